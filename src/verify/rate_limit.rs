//! `rate-limit`: half as many again as the limit, over new connections, one after the other and at once: exactly the limit passes.
//! Where each answer takes long, some go together in the first round too, so that the check ends in time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use appforge_service::status::LimitMode;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::client::{Answer, Outcome, Question, fresh_client, statusz};
use super::report::Finding;
use crate::document::counted;
use crate::float;
use crate::stack::Stack;
use crate::targets::subject::{ServiceAddress, Subject};

/// The pause between two looks at replicas that count by themselves.
const LOOK: Duration = Duration::from_millis(100);
/// Requests that are under way together in the second round, and at most in a slow one.
const AT_ONCE: usize = 50;
const MOST_AT_ONCE: usize = 100;
/// The first requests of a round, one after the other, which show how long one takes.
const TIMED: u32 = 5;
/// How long a round may take. A tunnel to a cluster far away needs half a second for each request.
const ROUND: Duration = Duration::from_secs(8);
/// A limit above this is not used up by a check; the headers are looked at instead.
const MOST: u32 = 2000;
/// The headers that every answer must carry.
const HEADERS: [&str; 5] =
    ["ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let (limit, question) = (stack.rate_limit.requests, Question::of(stack));
    if !stack.rate_limit.enabled {
        return Ok(Finding::skipped("`rate_limit.enabled` is false"));
    }
    if limit > MOST {
        return headers_only(limit, &question, subject).await;
    }
    let sent = limit + limit.div_ceil(2);
    let expected = format!("{limit} of {sent} pass, {} get 429", sent - limit);
    // Two replicas that count half of the limit each pass as many, until a third request of a client finds one of them used up.
    if let Some(alone) = counting_alone(subject).await {
        return Ok(Finding::of(false, expected, alone));
    }
    let client = || fresh_client(&subject.probe_secret);
    let serial = round((&question, &subject.service), &client()?, sent, 1, ROUND).await?;
    let concurrent = round((&question, &subject.service), &client()?, sent, AT_ONCE, ROUND).await?;
    let described =
        |round: &Round| format!("{} pass, {} get 429{}", round.passed, round.limited, round.rest());
    let mut observed = if serial.passed == concurrent.passed && serial.limited == concurrent.limited {
        described(&serial)
    } else {
        format!("serial {}; concurrent {}", described(&serial), described(&concurrent))
    };
    let replicas = u32::try_from(subject.replicas.len())?;
    let most = serial.passed.max(concurrent.passed);
    if replicas > 1 && most > limit && most.is_multiple_of(limit) {
        observed.push_str(&format!(": the limit is per replica, {replicas} replicas pass {most}"));
    }
    // The limiter did its part; whoever reads the report looks into the app.
    let errors: u32 = [&serial, &concurrent].iter().map(|round| round.errors).sum();
    if errors > 0 {
        observed.push_str(&format!(
            "; warning: the app answers {} of them with 5xx",
            counted(errors as usize, "request")
        ));
    }
    let faults: Vec<&String> = serial.faults.iter().chain(&concurrent.faults).collect();
    if let Some(fault) = faults.first() {
        observed.push_str(&format!("; {fault}"));
    }
    let exact = |round: &Round| round.passed == limit && round.limited == sent - limit;
    let good = exact(&serial) && exact(&concurrent) && faults.is_empty();
    let finding = Finding::of(good, expected, observed).with("serial_passed", serial.passed);
    let finding = finding.with("concurrent_passed", concurrent.passed).with("app_errors", errors);
    Ok(finding.with("sent", sent).with("replicas", replicas))
}

/// A replica that does not count in Redis, also after a moment, with the reason.
async fn counting_alone(subject: &Subject) -> Option<String> {
    let until = Instant::now() + subject.redis_back_within;
    loop {
        let mut alone = None;
        for replica in &subject.replicas {
            // One that does not answer is the business of `replicas`.
            let Ok(status) = statusz(&replica.admin).await else { continue };
            if matches!(status.rate_limit.mode, LimitMode::Memory | LimitMode::Open | LimitMode::Closed) {
                let away =
                    status.redis.error.map_or("Redis does not answer it in time".to_owned(), |error| {
                        format!("Redis cannot be used ({error})")
                    });
                alone = Some(format!("{} counts by itself: {away}", replica.name));
            }
        }
        if alone.is_none() || Instant::now() > until {
            return alone;
        }
        // The return of Redis gives no event here.
        tokio::time::sleep(LOOK).await;
    }
}

struct Round {
    passed: u32,
    limited: u32,
    other: u32,
    /// Of those that passed, how many the app answered with 5xx.
    errors: u32,
    faults: Vec<String>,
}

impl Round {
    fn rest(&self) -> String {
        if self.other == 0 { String::new() } else { format!(", {} something else", self.other) }
    }
}

/// All requests of one client: so many together, or more where they would not end `within` the time.
async fn round(
    (question, service): (&Question, &ServiceAddress),
    client: &str,
    requests: u32,
    together: usize,
    within: Duration,
) -> Result<Round> {
    let ask = |count: u32, together: usize| {
        stream::iter(0..count)
            .map(|_| question.ask(service, client))
            .buffer_unordered(together)
            .try_collect::<Vec<(Outcome, Answer)>>()
    };
    let (began, timed) = (Instant::now(), requests.min(TIMED));
    let mut answers = ask(timed, 1).await.context("cannot send all requests")?;
    let rest = requests - timed;
    let alone = began.elapsed() / timed.max(1) * rest;
    let width = alone.as_secs_f64() / within.as_secs_f64();
    let together = float::to_usize(width.ceil()).clamp(together, MOST_AT_ONCE);
    answers.extend(ask(rest, together).await.context("cannot send all requests")?);
    let mut round = Round { passed: 0, limited: 0, other: 0, errors: 0, faults: Vec::new() };
    for (outcome, answer) in &answers {
        match outcome {
            Outcome::Passed => {
                round.passed += 1;
                round.errors += u32::from(answer.status.is_server_error());
            }
            Outcome::Limited => {
                round.limited += 1;
                if !answer.headers.contains_key("retry-after") {
                    round.faults.push("a 429 has no Retry-After".into());
                }
            }
            Outcome::Unavailable | Outcome::Failed => round.other += 1,
        }
        if let Some(missing) = HEADERS.iter().find(|name| !answer.headers.contains_key(**name)) {
            round.faults.push(format!("an answer has no {missing}"));
        }
    }
    Ok(round)
}

async fn headers_only(limit: u32, question: &Question, subject: &Subject) -> Result<Finding> {
    let client = fresh_client(&subject.probe_secret)?;
    let (_, answer) = question.ask(&subject.service, &client).await?;
    let reported =
        answer.headers.get("ratelimit-limit").and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    let observed =
        format!("the service reports {reported}; the check does not send more than {MOST} requests");
    Ok(Finding::of(reported == limit.to_string(), format!("a limit of {limit}"), observed))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A service with a limit of 100 that takes so long for each answer.
    async fn service(delay: Duration) -> ServiceAddress {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let count = Arc::new(AtomicU32::new(0));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = count.clone();
                tokio::spawn(async move {
                    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
                    while !head.ends_with(b"\r\n\r\n") {
                        let read = stream.read(&mut buffer).await.unwrap();
                        head.extend_from_slice(&buffer[..read]);
                    }
                    let passes = count.fetch_add(1, Ordering::Relaxed) < 100;
                    tokio::time::sleep(delay).await;
                    let status = if passes { "200 OK" } else { "429 Too Many Requests\r\nretry-after: 1" };
                    let headers: String = HEADERS.map(|name| format!("{name}: 1\r\n")).concat();
                    let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
            }
        });
        ServiceAddress::of(url)
    }

    #[tokio::test]
    async fn round_ends_in_time_though_each_answer_takes_long() {
        let question = Question::of(&Stack::default());
        for (delay, together) in [(60, 1), (60, 10), (0, 1)] {
            let service = service(Duration::from_millis(delay)).await;
            let began = Instant::now();
            let round = round((&question, &service), "client", 150, together, Duration::from_millis(500))
                .await
                .unwrap();
            assert_eq!((round.passed, round.limited, round.other), (100, 50, 0), "{delay} {together}");
            // One after the other they would take 9 s.
            assert!(began.elapsed() < Duration::from_secs(4), "{delay} {together}: {:?}", began.elapsed());
        }
    }
}
