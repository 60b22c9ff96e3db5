//! Proves that a running stack is what its file says: each check over real connections, with what was expected and seen.

mod app_connections;
mod autoscaler;
mod client;
mod drill;
mod health;
mod mongodb;
mod monitoring;
mod rate_limit;
mod redis;
mod replicas;
mod report;

use anyhow::Result;

pub use drill::Drill;
pub use report::{Check, Report, Verdict};

use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::stack::{Stack, TargetKind};
use crate::targets::subject::Subject;
use report::judged;

/// A check, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckKind {
    ServiceHealth,
    MongodbConnections,
    RedisPing,
    RateLimit,
    Replicas,
    /// Only a stack with Prometheus has it.
    Monitoring,
    /// Only a cluster has one.
    Autoscaler,
}

impl CheckKind {
    const ALL: [Self; 7] = [
        Self::ServiceHealth,
        Self::MongodbConnections,
        Self::RedisPing,
        Self::RateLimit,
        Self::Replicas,
        Self::Monitoring,
        Self::Autoscaler,
    ];

    /// The name in commands and reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServiceHealth => "service-health",
            Self::MongodbConnections => "mongodb-connections",
            Self::RedisPing => "redis-ping",
            Self::RateLimit => "rate-limit",
            Self::Replicas => "replicas",
            Self::Monitoring => "monitoring",
            Self::Autoscaler => "autoscaler",
        }
    }

    /// The checks of these names, or all that the stack has on its target.
    ///
    /// # Errors
    /// Exit 2 for an unknown name.
    pub(crate) fn chosen(names: &[String], stack: &Stack) -> Result<Vec<Self>> {
        let known = Self::ALL.map(Self::as_str);
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let failure = Failure::new(ExitStatus::Usage, format!("unknown check `{name}`"));
            let hint = match nearest(name, known.into_iter()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("checks: {}", known.join(", ")),
            };
            return Err(failure.hint(hint).into());
        }
        let is_chosen = |kind: &Self| match kind {
            _ if !names.is_empty() => names.iter().any(|name| name == kind.as_str()),
            Self::Autoscaler => stack.target == TargetKind::Kubernetes,
            Self::Monitoring => stack.monitoring.enabled && stack.target == TargetKind::Compose,
            _ => true,
        };
        Ok(Self::ALL.into_iter().filter(is_chosen).collect())
    }
}

/// Does these checks; `begins` receives the name of each.
pub(crate) async fn verify(
    stack: &Stack,
    subject: &Subject,
    kinds: &[CheckKind],
    begins: impl Fn(&str),
) -> Report {
    let mut checks = Vec::new();
    for kind in kinds {
        begins(kind.as_str());
        let check = async {
            match kind {
                CheckKind::ServiceHealth => health::check(stack, subject).await,
                CheckKind::MongodbConnections if stack.service.is_own() => {
                    app_connections::check(stack, subject).await
                }
                CheckKind::MongodbConnections => mongodb::check(stack, subject).await,
                CheckKind::RedisPing => redis::check(stack, subject).await,
                CheckKind::RateLimit => rate_limit::check(stack, subject).await,
                CheckKind::Replicas => replicas::check(subject).await,
                CheckKind::Monitoring => monitoring::check(stack, subject).await,
                CheckKind::Autoscaler => autoscaler::check(stack, subject),
            }
        };
        checks.push(judged(kind.as_str(), check).await);
    }
    Report::new(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(target: TargetKind) -> Stack {
        Stack { target, ..Stack::default() }
    }

    fn chosen(names: &[&str], target: TargetKind) -> Vec<CheckKind> {
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        CheckKind::chosen(&names, &on(target)).unwrap()
    }

    #[test]
    fn checks_run_in_their_order_when_named_in_another() {
        let named = chosen(&["autoscaler", "replicas", "redis-ping"], TargetKind::Local);
        assert_eq!(named, [CheckKind::RedisPing, CheckKind::Replicas, CheckKind::Autoscaler]);
    }

    #[test]
    fn checks_of_what_the_stack_lacks_are_left_out() {
        let without = |left_out: &[CheckKind]| -> Vec<CheckKind> {
            CheckKind::ALL.into_iter().filter(|kind| !left_out.contains(kind)).collect()
        };
        assert_eq!(chosen(&[], TargetKind::Kubernetes), without(&[CheckKind::Monitoring]));
        let both = [CheckKind::Monitoring, CheckKind::Autoscaler];
        assert_eq!(chosen(&[], TargetKind::Compose), without(&both));
        let mut stack = on(TargetKind::Compose);
        stack.monitoring.enabled = true;
        assert_eq!(CheckKind::chosen(&[], &stack).unwrap(), without(&[CheckKind::Autoscaler]));
    }

    #[test]
    fn unknown_check_is_refused_and_not_taken_for_another() {
        let error =
            CheckKind::chosen(&["replicas".into(), "replica".into()], &on(TargetKind::Local)).unwrap_err();
        assert_eq!(error.to_string(), "unknown check `replica`");
        let hints: Vec<&String> = crate::error::hints(&error).collect();
        assert_eq!(hints, ["did you mean `replicas`?"]);
    }
}
