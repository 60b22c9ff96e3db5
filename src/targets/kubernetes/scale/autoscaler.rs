//! What an autoscaler says of itself, once it had the time to look.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use futures_util::StreamExt;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec, MetricStatus};

use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::time::{Instant, timeout_at};

use crate::targets::kubernetes::client::{STACK_LABEL, list};
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::status::{Autoscaler, Condition, Metric};

/// So long after its making an autoscaler may still be about to look: it does each 15 s, and pods are measured some time
/// after their start.
const YOUNG: Duration = Duration::from_secs(90);

impl Kubernetes {
    /// The autoscaler; one that was made just now is given the time to look first.
    pub(crate) async fn watch_autoscaler(&self) -> Result<Option<Autoscaler>> {
        let cluster = self.connect(YOUNG).await?;
        let resource = "horizontalpodautoscalers.autoscaling";
        let all: Vec<HorizontalPodAutoscaler> = list(&cluster, self.name(), resource).await?;
        let Some(first) = all.into_iter().next() else { return Ok(None) };
        let made = first.metadata.creation_timestamp.as_ref().map(|time| SystemTime::from(time.0));
        let age = made.and_then(|made| made.elapsed().ok()).unwrap_or(YOUNG);
        let until = Instant::now() + YOUNG.saturating_sub(age);
        let mut latest = read(&first);
        let config = watcher::Config::default().labels(&format!("{STACK_LABEL}={}", self.name()));
        let mut events = watcher(cluster.api::<HorizontalPodAutoscaler>(), config).default_backoff().boxed();
        while !is_settled(&latest) {
            match timeout_at(until, events.next()).await {
                Ok(Some(Ok(Event::Apply(now) | Event::InitApply(now)))) => latest = read(&now),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Some(latest))
    }
}

/// Whether it has looked and found all that it goes by.
fn is_settled(autoscaler: &Autoscaler) -> bool {
    let holds =
        |name: &str| autoscaler.conditions.iter().any(|condition| condition.name == name && condition.holds);
    holds("AbleToScale")
        && holds("ScalingActive")
        && autoscaler.metrics.iter().all(|metric| metric.current.is_some())
}

/// The state of an autoscaler, as data.
pub(crate) fn read(autoscaler: &HorizontalPodAutoscaler) -> Autoscaler {
    let spec = &autoscaler.spec;
    let status = autoscaler.status.clone().unwrap_or_default();
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let name = autoscaler.metadata.name.clone().unwrap_or_default();
    let current = status.current_metrics.unwrap_or_default();
    let metrics = spec.metrics.iter().flatten();
    Autoscaler {
        min: count(spec.min_replicas.or(Some(1))),
        max: count(Some(spec.max_replicas)),
        current: count(status.current_replicas),
        desired: count(Some(status.desired_replicas)),
        metrics: metrics.filter_map(|metric| read_metric(metric, &current)).collect(),
        conditions: status
            .conditions
            .into_iter()
            .flatten()
            .map(|condition| Condition {
                object: format!("horizontalpodautoscaler/{name}"),
                name: condition.type_,
                holds: condition.status == "True",
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            })
            .collect(),
    }
}

/// A metric of the pods' or the service's container: its share of what is requested.
fn read_metric(metric: &MetricSpec, current: &[MetricStatus]) -> Option<Metric> {
    let share = |number: i32| u32::try_from(number).ok();
    if let Some(resource) = &metric.resource {
        let now = current.iter().filter_map(|status| status.resource.as_ref());
        let now = now
            .filter(|status| status.name == resource.name)
            .find_map(|status| status.current.average_utilization);
        let target = resource.target.average_utilization.and_then(share);
        return Some(Metric { name: resource.name.clone(), current: now.and_then(share), target });
    }
    let resource = metric.container_resource.as_ref()?;
    let now = current.iter().filter_map(|status| status.container_resource.as_ref());
    let now = now
        .filter(|status| status.name == resource.name)
        .find_map(|status| status.current.average_utilization);
    let target = resource.target.average_utilization.and_then(share);
    Some(Metric { name: resource.name.clone(), current: now.and_then(share), target })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metric_is_empty_without_measurements() {
        let resource = |name: &str, target: i32| json!({"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": target}}});
        let value = json!({
            "metadata": {"name": "a-app"},
            "spec": {
                "minReplicas": 3, "maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": "a-app"},
                "metrics": [resource("cpu", 70), resource("memory", 80)],
            },
            "status": {
                "currentReplicas": 3, "desiredReplicas": 4,
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "60m"}}}],
                "conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric"}],
            },
        });
        let read = read(&serde_json::from_value(value).unwrap());
        assert_eq!((read.min, read.max, read.current, read.desired), (3, 10, 3, 4));
        assert_eq!(read.metrics[0], Metric { name: "cpu".into(), current: Some(12), target: Some(70) });
        assert_eq!(read.metrics[1], Metric { name: "memory".into(), current: None, target: Some(80) });
        assert!(!read.conditions[0].holds);
    }
}
