//! `service-health`: the service answers, and both of its stores do.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::status::{Health, HealthState};
use http::StatusCode;
use tokio::time::Instant;

use super::client::{fresh_client, get};
use super::report::Finding;
use crate::stack::StoreKind;
use crate::targets::subject::Subject;

/// How long a replica that has just started, or whose store has, may take to find its stores.
const SETTLED: Duration = Duration::from_secs(5);
/// A pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn check(subject: &Subject) -> Result<Finding> {
    let until = Instant::now() + SETTLED;
    let expected = "200, status ok";
    loop {
        // Each look is a client of its own, so that a small limit is not used up.
        let client = fresh_client(&subject.probe_secret)?;
        let answer = get(&subject.url, "/health", Some(&client)).await?;
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
