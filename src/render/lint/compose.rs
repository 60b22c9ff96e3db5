//! The rules for the Compose target.

use serde_json::Value;

use super::{Finding, Level};
use crate::document::counted;
use crate::render::Document;
use crate::render::context::compose::FRONTS;
use crate::stack::Stack;

/// Addresses of the edge network that no replica can have: of the network itself, of broadcasts, of Docker's router and of
/// the gateway.
const TAKEN: u64 = 4;
/// Those of the exporter and of Prometheus.
const MONITORING: u64 = 2;

pub(super) fn lint(stack: &Stack, documents: &[Document]) -> Vec<Finding> {
    let file = Document::find(documents, "docker-compose.yml").and_then(|file| file.value.as_ref());
    let addresses = file.and_then(|file| addresses(stack, file));
    addresses.into_iter().chain(unheard(stack)).collect()
}

/// Alerts that are sent nowhere.
fn unheard(stack: &Stack) -> Option<Finding> {
    (stack.monitoring.enabled && stack.alerts.receivers().is_empty()).then(|| Finding {
        level: Level::Warning,
        path: "alerts",
        message:
            "no receiver is configured, so alerts fire and are sent nowhere: set `alerts.slack.channel`, \
                  `alerts.pagerduty.enabled` or `alerts.webhook.enabled`"
                .to_owned(),
    })
}

/// Every replica, or front of an app, and one more while they are replaced, needs an address.
fn addresses(stack: &Stack, file: &Value) -> Option<Finding> {
    let subnet = file.pointer("/networks/edge/ipam/config/0/subnet")?.as_str()?;
    let length: u32 = subnet.split_once('/')?.1.parse().ok()?;
    let room = 1u64
        .checked_shl(32u32.checked_sub(length)?)?
        .saturating_sub(TAKEN + if stack.monitoring.enabled { MONITORING } else { 0 });
    let counters = if stack.service.is_own() { FRONTS } else { stack.service.replicas };
    let replicas = u64::from(counters);
    (replicas + 1 > room).then(|| {
        let of = |count: u64| counted(usize::try_from(count).unwrap_or(usize::MAX), "replica");
        let message = format!(
            "{subnet} has addresses for {}, but {replicas} + 1 while they are replaced = {} are needed; choose a larger \
             network, or at most {}",
            of(room),
            replicas + 1,
            of(room.saturating_sub(1))
        );
        Finding { level: Level::Error, path: "compose.subnet", message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{Overrides, lint, render};
    use crate::stack::TargetKind;

    fn findings(subnet: &str, replicas: u32) -> Vec<Finding> {
        let mut stack = Stack::default();
        (stack.compose.subnet, stack.service.replicas) = (Some(subnet.to_owned()), replicas);
        let documents = render(&stack, TargetKind::Compose, &Overrides::default()).unwrap();
        lint::lint(&stack, TargetKind::Compose, &documents)
    }

    #[test]
    fn network_without_addresses_for_the_replicas_is_found() {
        for (subnet, most) in [("10.9.0.0/28", 11), ("10.9.0.0/27", 27), ("10.9.0.0/24", 251)] {
            assert_eq!(findings(subnet, most), [], "{subnet}");
            let found = findings(subnet, most + 1);
            let [Finding { level: Level::Error, path: "compose.subnet", message }] = &found[..] else {
                panic!("{found:?}")
            };
            assert!(message.contains(&format!("for {} replicas", most + 1)), "{message}");
            assert!(message.contains(&format!("= {} are needed", most + 2)), "{message}");
        }
        assert_eq!(findings("10.8.0.0/16", 1000), []);
    }
}
