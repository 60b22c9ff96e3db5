//! What alerts and dashboards depend on, of a stack. Pure.

use crate::rules::{Facts, Feature};
use crate::stack::{Stack, TargetKind};

/// The page with the runbooks, beside the rules.
const RUNBOOKS: &str = "runbooks.md";

/// The facts of `stack` on its target.
pub fn facts(stack: &Stack) -> Facts {
    let (compose, kubernetes) = (stack.target == TargetKind::Compose, stack.target == TargetKind::Kubernetes);
    let https = compose && stack.compose.tls.is_some() || kubernetes && stack.kubernetes.ingress.is_some();
    let has_receiver = !stack.alerts.receivers().is_empty();
    let features = [
        (Feature::Bundled, !stack.service.is_own()),
        (Feature::RateLimit, stack.rate_limit.enabled),
        (Feature::Redis, true),
        (Feature::Mongodb, true),
        (Feature::Probe, true),
        (Feature::Certificate, https),
        (Feature::Gateway, compose),
        (Feature::Autoscaling, kubernetes && stack.kubernetes.autoscaling.is_some()),
        // A Prometheus of ours has no Alertmanager without a receiver.
        (Feature::Monitoring, (compose || kubernetes) && (!stack.monitoring.enabled || has_receiver)),
    ];
    let thresholds = &stack.load.thresholds;
    Facts {
        stack: stack.name.to_string(),
        p95: thresholds.p95.0,
        p99: thresholds.p99.0,
        error_rate: thresholds.error_rate.0 / 100.0,
        features: features.into_iter().filter_map(|(feature, has)| has.then_some(feature)).collect(),
        runbooks: stack.alerts.runbooks.clone().unwrap_or_else(|| RUNBOOKS.to_owned()),
        disabled: stack.alerts.disable.clone(),
    }
}

/// The facts of `stack` if it had everything: every alert that any target has.
pub(crate) fn every_fact(stack: &Stack) -> Facts {
    Facts { features: Feature::ALL.to_vec(), disabled: Vec::new(), ..facts(stack) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_follow_the_target_and_the_stack() {
        let mut stack = Stack::default();
        let has = |stack: &Stack, feature| facts(stack).has(feature);
        assert!(has(&stack, Feature::Bundled) && !has(&stack, Feature::Gateway));
        stack.target = TargetKind::Compose;
        assert!(has(&stack, Feature::Gateway) && !has(&stack, Feature::Certificate));
        stack.target = TargetKind::Kubernetes;
        assert!(has(&stack, Feature::Autoscaling) && !has(&stack, Feature::Gateway));
        stack.kubernetes.ingress = Some("shop.example.com".into());
        assert!(has(&stack, Feature::Certificate));
        stack.rate_limit.enabled = false;
        assert!(!has(&stack, Feature::RateLimit));
        assert!((facts(&stack).error_rate - 0.01).abs() < 1e-9);
    }
}
