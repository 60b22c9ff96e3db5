//! `service-health`: the service answers, and both of its stores do; an app of the user's own answers its front.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::status::{Health, HealthState, UpstreamStatus};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::{fresh_client, get, statusz};
use super::report::Finding;
use crate::stack::{Stack, StoreKind};
use crate::targets::subject::Subject;

/// How long a replica that has just started, or whose store has, may take to find its stores.
const SETTLED: Duration = Duration::from_secs(5);
/// A pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    if stack.service.is_own() { apps(stack, subject).await } else { bundled(subject).await }
}

/// The apps as their fronts see them. What the app answers counts, since the answer of a front says nothing about its app.
async fn apps(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let expected = match &stack.service.health {
        Some(health) => format!("every app answers {} with 2xx or 3xx", health.path),
        None => "every app accepts connections".to_owned(),
    };
    let until = Instant::now() + SETTLED;
    loop {
        let mut seen = Vec::new();
        for replica in &subject.replicas {
            let upstream = statusz(&replica.admin).await?.upstream;
            let upstream = upstream.with_context(|| format!("{} is not a front", replica.name))?;
            seen.push((replica.name.as_str(), upstream));
        }
        let good = !seen.is_empty() && seen.iter().all(|(_, upstream)| is_good(upstream));
        if good || Instant::now() > until {
            let statuses: Map<String, Value> =
                seen.iter().map(|(name, app)| ((*name).to_owned(), json!(app.last_status))).collect();
            let beyond: Map<String, Value> = seen
                .iter()
                .filter_map(|(name, app)| Some(((*name).to_owned(), json!(app.beyond_loopback?))))
                .collect();
            let finding = Finding::of(good, expected, observed_of_apps(&seen)).with("statuses", statuses);
            return Ok(if beyond.is_empty() { finding } else { finding.with("beyond_loopback", beyond) });
        }
        // A front gives no event when its app answers.
        tokio::time::sleep(LOOK).await;
    }
}

fn is_good(upstream: &UpstreamStatus) -> bool {
    upstream.ready && upstream.error.is_none()
}

fn observed_of_apps(seen: &[(&str, UpstreamStatus)]) -> String {
    if seen.is_empty() {
        return "no front runs".to_owned();
    }
    let good = seen.iter().filter(|(_, upstream)| is_good(upstream));
    let statuses: BTreeSet<String> = good
        .clone()
        .map(|(_, upstream)| match upstream.last_status {
            Some(status) => format!("answer {status}"),
            None => "accept connections".to_owned(),
        })
        .collect();
    let mut observed = format!("{} of {}", good.count(), seen.len());
    if statuses.is_empty() {
        observed.push_str(" healthy");
    } else {
        observed.push_str(&format!(" {}", statuses.into_iter().collect::<Vec<_>>().join(" or ")));
    }
    for (name, upstream) in seen.iter().filter(|(_, upstream)| !is_good(upstream)) {
        let error = upstream.error.as_deref().unwrap_or("the app has not answered yet");
        observed.push_str(&format!("; {name}: {error}"));
    }
    for (name, upstream) in seen {
        if let Some(warning) = upstream.beyond() {
            observed.push_str(&format!("; warning: {name}: {warning}"));
        }
    }
    observed
}

async fn bundled(subject: &Subject) -> Result<Finding> {
    let until = Instant::now() + SETTLED;
    let expected = "200, status ok";
    loop {
        // Each look is a client of its own, so that a small limit is not used up.
        let client = fresh_client(&subject.probe_secret)?;
        let answer = get(&subject.service, "/health", Some(&client)).await?;
        if answer.status != StatusCode::OK {
            return Ok(Finding::failed(expected, answer.status.to_string()));
        }
        let health: Health = serde_json::from_slice(&answer.body)
            .context("/health has another format than the bundled service")?;
        let good = health.status == HealthState::Ok;
        if good || Instant::now() > until {
            let observed = observed(&health);
            let finding = Finding::of(good, expected, observed).with("replica", health.replica);
            return Ok(finding.with("version", health.version));
        }
        // A service gives no event when it finds its stores.
        tokio::time::sleep(LOOK).await;
    }
}

fn observed(health: &Health) -> String {
    let troubles = [(StoreKind::Mongodb, &health.mongodb.error), (StoreKind::Redis, &health.redis.error)];
    let trouble = |(kind, error): (StoreKind, &Option<String>)| {
        error.as_ref().map(|error| format!("{}: {error}", kind.as_str()))
    };
    let troubles: Vec<String> = troubles.into_iter().filter_map(trouble).collect();
    match health.status {
        HealthState::Ok => "200, status ok".to_owned(),
        HealthState::Degraded => format!("200, status degraded ({})", troubles.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_an_app_is_named_with_its_replica() {
        let app = |status: Option<u16>, error: Option<&str>| UpstreamStatus {
            url: None,
            ready: true,
            accepting: true,
            last_status: status,
            error: error.map(str::to_owned),
            siblings: 0,
            beyond_loopback: None,
        };
        let seen =
            [("a", app(Some(200), None)), ("b", app(Some(503), Some("the health of the app answers 503")))];
        assert_eq!(observed_of_apps(&seen), "1 of 2 answer 200; b: the health of the app answers 503");
        assert_eq!(observed_of_apps(&seen[1..]), "0 of 1 healthy; b: the health of the app answers 503");
        assert_eq!(observed_of_apps(&[("a", app(None, None))]), "1 of 1 accept connections");
        assert_eq!(observed_of_apps(&[]), "no front runs");
        let outside = UpstreamStatus { beyond_loopback: "0.0.0.0:8080".parse().ok(), ..app(Some(200), None) };
        assert_eq!(
            observed_of_apps(&[("a", outside)]),
            "1 of 1 answer 200; warning: a: the app also listens on 0.0.0.0:8080, past its front and the rate limit; bind HOST"
        );
    }
}
