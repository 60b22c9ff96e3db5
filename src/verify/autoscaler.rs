//! `autoscaler`: it can scale, it is measured what it goes by, and its bounds are the file's. On Kubernetes only.

use anyhow::Result;
use serde_json::json;

use super::report::Finding;
use crate::stack::{Stack, TargetKind};
use crate::targets::status::Autoscaler;
use crate::targets::subject::Subject;

pub(super) fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let wanted = match &stack.kubernetes.autoscaling {
        Some(wanted) if stack.target == TargetKind::Kubernetes => wanted,
        Some(_) => return Ok(Finding::skipped("autoscaling requires Kubernetes")),
        None => {
            return Ok(Finding::skipped("`kubernetes.autoscaling` is null: the number of replicas is fixed"));
        }
    };
    let expected = format!("able to scale from {} to {}, with metrics", wanted.min, wanted.max);
    let Some(autoscaler) = &subject.autoscaler else {
        return Ok(Finding::failed(expected, "no HorizontalPodAutoscaler found"));
    };
    let troubles = troubles(autoscaler, wanted.min, wanted.max);
    let observed = if troubles.is_empty() {
        format!("{} replicas, desired {}", autoscaler.current, autoscaler.desired)
    } else {
        troubles.join("; ")
    };
    Ok(Finding::of(troubles.is_empty(), expected, observed)
        .with("min", autoscaler.min)
        .with("max", autoscaler.max)
        .with("metrics", json!(autoscaler.metrics))
        .with("conditions", json!(autoscaler.conditions)))
}

fn troubles(autoscaler: &Autoscaler, min: u32, max: u32) -> Vec<String> {
    let mut troubles = Vec::new();
    if (autoscaler.min, autoscaler.max) != (min, max) {
        troubles.push(format!("scales from {} to {}", autoscaler.min, autoscaler.max));
    }
    for name in ["AbleToScale", "ScalingActive"] {
        let next = if name == "ScalingActive" { "; `appforge doctor` checks the metrics" } else { "" };
        match autoscaler.conditions.iter().find(|condition| condition.name == name) {
            Some(condition) if condition.holds => {}
            Some(condition) => {
                troubles.push(format!("not {name}: {}: {}{next}", condition.reason, condition.message));
            }
            None => troubles.push(format!("no condition {name} yet")),
        }
    }
    for metric in autoscaler.metrics.iter().filter(|metric| metric.current.is_none()) {
        troubles.push(format!("no metrics for {}; is metrics-server installed?", metric.name));
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::status::{Condition, Metric};

    #[test]
    fn a_missing_metric_a_condition_that_does_not_hold_and_other_bounds_are_each_named() {
        let condition = |name: &str, holds| Condition {
            object: "a".into(),
            name: name.into(),
            holds,
            reason: "Why".into(),
            message: "because".into(),
        };
        let mut autoscaler = Autoscaler {
            min: 3,
            max: 10,
            current: 3,
            desired: 3,
            metrics: vec![Metric { name: "cpu".into(), current: Some(1), target: Some(70) }],
            conditions: vec![condition("AbleToScale", true), condition("ScalingActive", true)],
        };
        assert_eq!(troubles(&autoscaler, 3, 10), Vec::<String>::new());
        autoscaler.conditions = vec![condition("ScalingActive", false)];
        autoscaler.metrics[0].current = None;
        assert_eq!(
            troubles(&autoscaler, 3, 12),
            [
                "scales from 3 to 10",
                "no condition AbleToScale yet",
                "not ScalingActive: Why: because; `appforge doctor` checks the metrics",
                "no metrics for cpu; is metrics-server installed?",
            ]
        );
    }
}
