//! `rate-limit`: half as many again as the limit, over new connections, one after the other and at once: exactly the limit passes.

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;

use super::client::{Answer, fresh_client, get};
use super::report::Finding;
use crate::stack::Stack;
use crate::targets::subject::Subject;

/// Requests that are under way together in the second round.
const AT_ONCE: usize = 50;
/// A limit above this is not used up by a check; the headers are looked at instead.
const MOST: u32 = 2000;
/// The headers that every answer must carry.
const HEADERS: [&str; 5] =
    ["ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let limit = stack.rate_limit.requests;
    if limit > MOST {
        return headers_only(limit, subject).await;
    }
    let sent = limit + limit.div_ceil(2);
    let serial = round(subject, sent, 1).await?;
    let concurrent = round(subject, sent, AT_ONCE).await?;
    let expected = format!("{limit} of {sent} pass, {} get 429", sent - limit);
    let told = |round: &Round| format!("{} pass, {} get 429{}", round.passed, round.limited, round.rest());
    let mut observed = if serial.passed == concurrent.passed && serial.limited == concurrent.limited {
        told(&serial)
    } else {
        format!("serial {}; concurrent {}", told(&serial), told(&concurrent))
    };
    let replicas = u32::try_from(subject.replicas.len())?;
    let most = serial.passed.max(concurrent.passed);
    if replicas > 1 && most > limit && most.is_multiple_of(limit) {
        observed.push_str(&format!(": the limit is per replica, {replicas} replicas pass {most}"));
    }
    let faults: Vec<&String> = serial.faults.iter().chain(&concurrent.faults).collect();
    if let Some(fault) = faults.first() {
        observed.push_str(&format!("; {fault}"));
    }
    let exact = |round: &Round| round.passed == limit && round.limited == sent - limit;
    let good = exact(&serial) && exact(&concurrent) && faults.is_empty();
    let finding = Finding::of(good, expected, observed).with("serial_passed", serial.passed);
    Ok(finding.with("concurrent_passed", concurrent.passed).with("sent", sent).with("replicas", replicas))
}

struct Round {
    passed: u32,
    limited: u32,
    other: u32,
    faults: Vec<String>,
}

impl Round {
    fn rest(&self) -> String {
        if self.other == 0 { String::new() } else { format!(", {} something else", self.other) }
    }
}

/// All requests of one client, some of them together.
async fn round(subject: &Subject, requests: u32, together: usize) -> Result<Round> {
    let client = fresh_client(&subject.probe_secret)?;
    let answers: Vec<Answer> = stream::iter(0..requests)
        .map(|_| get(&subject.url, "/health", Some(&client)))
        .buffer_unordered(together)
        .try_collect()
        .await
        .context("cannot send all requests")?;
    let mut round = Round { passed: 0, limited: 0, other: 0, faults: Vec::new() };
    for answer in &answers {
        match answer.status {
            StatusCode::OK => round.passed += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                round.limited += 1;
                if !answer.headers.contains_key("retry-after") {
                    round.faults.push("a 429 has no Retry-After".into());
                }
            }
            _ => round.other += 1,
        }
        if let Some(missing) = HEADERS.iter().find(|name| !answer.headers.contains_key(**name)) {
            round.faults.push(format!("an answer has no {missing}"));
        }
    }
    Ok(round)
}

async fn headers_only(limit: u32, subject: &Subject) -> Result<Finding> {
    let client = fresh_client(&subject.probe_secret)?;
    let answer = get(&subject.url, "/health", Some(&client)).await?;
    let told =
        answer.headers.get("ratelimit-limit").and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    let observed = format!("the service reports {told}; the check does not send more than {MOST} requests");
    Ok(Finding::of(told == limit.to_string(), format!("a limit of {limit}"), observed))
}
