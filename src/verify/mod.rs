//! Proves that a running stack is what its file says: each check over real connections, with what was expected and seen.

mod autoscaler;
mod client;
mod drill;
mod health;
mod mongodb;
mod rate_limit;
mod redis;
mod replicas;
mod report;

use anyhow::Result;

pub use drill::redis_down;
pub use report::{Check, Report, Verdict};

use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::stack::{Stack, TargetKind};
use crate::targets::subject::Subject;
use report::judged;

/// The checks, in the order in which they are done.
pub const CHECKS: [&str; 6] =
    ["service-health", "mongodb-connections", "redis-ping", "rate-limit", "replicas", AUTOSCALER];
/// The check that only a cluster has.
pub const AUTOSCALER: &str = "autoscaler";

/// Refuses names of checks that do not exist, before a target is asked.
///
/// # Errors
/// Exit 2, with the nearest known name.
pub fn known(names: &[String]) -> Result<()> {
    let Some(name) = names.iter().find(|name| !CHECKS.contains(&name.as_str())) else { return Ok(()) };
    let hint = match nearest(name, CHECKS.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("checks: {}", CHECKS.join(", ")),
    };
    Err(Failure::new(ExitStatus::Usage, format!("unknown check `{name}`")).hint(hint).into())
}

/// Does the checks of these names, or all; `begins` hears the name of each. The names are [`known`].
pub async fn verify(stack: &Stack, subject: &Subject, names: &[String], begins: impl Fn(&str)) -> Report {
    let mut checks = Vec::new();
    let meant = |name: &&str| {
        if names.is_empty() {
            *name != AUTOSCALER || stack.target == TargetKind::Kubernetes
        } else {
            names.iter().any(|wanted| wanted == name)
        }
    };
    for name in CHECKS.into_iter().filter(meant) {
        begins(name);
        let check = async {
            match name {
                "service-health" => health::check(subject).await,
                "mongodb-connections" => mongodb::check(stack, subject).await,
                "redis-ping" => redis::check(stack, subject).await,
                "rate-limit" => rate_limit::check(stack, subject).await,
                AUTOSCALER => autoscaler::check(stack, subject),
                _ => replicas::check(subject).await,
            }
        };
        checks.push(judged(name, check).await);
    }
    Report::new(checks)
}
