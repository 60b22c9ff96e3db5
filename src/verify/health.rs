//! `service-health`: the service answers, and both of its stores do.

use anyhow::{Context, Result};
use appforge_service::status::{Health, HealthState};
use http::StatusCode;

use super::client::{fresh_client, get};
use super::report::Finding;
use crate::target::subject::Subject;

pub(super) async fn check(subject: &Subject) -> Result<Finding> {
    let client = fresh_client(&subject.probe_secret)?;
    let answer = get(&subject.url, "/health", Some(&client)).await?;
    let expected = "200, status ok";
    if answer.status != StatusCode::OK {
        return Ok(Finding::failed(expected, answer.status.to_string()));
    }
    let health: Health =
        serde_json::from_slice(&answer.body).context("/health is not that of the bundled service")?;
    let troubles = [("mongodb", &health.mongodb.error), ("redis", &health.redis.error)];
    let troubles: Vec<String> =
        troubles.iter().filter_map(|(name, error)| Some(format!("{name}: {}", error.as_ref()?))).collect();
    let observed = match health.status {
        HealthState::Ok => "200, status ok".to_owned(),
        HealthState::Degraded => format!("200, status degraded ({})", troubles.join("; ")),
    };
    let good = health.status == HealthState::Ok;
    Ok(Finding::of(good, expected, observed).with("replica", health.replica).with("version", health.version))
}
