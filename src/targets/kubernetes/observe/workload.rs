//! How far a workload is with what its object says. Pure.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};

/// How far a workload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Its kind.
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Replicas of the newest revision that accept work.
    pub(crate) ready: i32,
    /// So many there should be.
    pub(crate) wanted: i32,
    /// The newest revision has all its replicas, and no older one has any.
    pub(crate) done: bool,
    /// The rollout's own deadline has passed.
    pub(crate) expired: bool,
    /// The server refuses to make pods.
    pub(crate) refused: bool,
    /// What its conditions say against it.
    pub(crate) complaints: Vec<String>,
}

/// A Deployment with at least `least` replicas.
pub(crate) fn of_deployment(deployment: &Deployment, least: u32) -> Progress {
    let status = deployment.status.clone().unwrap_or_default();
    let asked = deployment.spec.replicas.unwrap_or(1);
    let wanted = asked.max(i32::try_from(least).unwrap_or(i32::MAX));
    let seen = status.observed_generation >= deployment.metadata.generation;
    let count = |number: Option<i32>| number.unwrap_or(0);
    let (updated, available) = (count(status.updated_replicas), count(status.available_replicas));
    let old = count(status.replicas) - updated;
    let mut progress = Progress {
        kind: "Deployment",
        name: deployment.metadata.name.clone().unwrap_or_default(),
        // Old replicas that still serve are not what is waited for.
        ready: if seen { available.min(updated) } else { 0 },
        wanted,
        done: seen && updated >= wanted && old <= 0 && available >= wanted,
        expired: false,
        refused: false,
        complaints: Vec::new(),
    };
    for condition in status.conditions.into_iter().flatten().filter(|_| seen) {
        let reason = condition.reason.unwrap_or_default();
        let bad = match (condition.type_.as_deref(), condition.status.as_deref()) {
            (Some("Progressing"), Some("False")) => {
                progress.expired |= reason == "ProgressDeadlineExceeded";
                true
            }
            (Some("ReplicaFailure"), Some("True")) => {
                progress.refused = true;
                true
            }
            _ => false,
        };
        if bad {
            progress.complaints.push(format!("{reason}: {}", condition.message.unwrap_or_default()));
        }
    }
    progress
}

/// A StatefulSet.
pub(crate) fn of_set(set: &StatefulSet) -> Progress {
    let status = set.status.clone().unwrap_or_default();
    let wanted = set.spec.replicas.unwrap_or(1);
    let seen = status.observed_generation >= set.metadata.generation;
    let ready = status.ready_replicas.unwrap_or(0);
    let newest =
        status.update_revision == status.current_revision || status.updated_replicas.unwrap_or(0) >= wanted;
    Progress {
        kind: "StatefulSet",
        name: set.metadata.name.clone().unwrap_or_default(),
        ready: if seen { ready } else { 0 },
        wanted,
        done: seen && newest && ready >= wanted && status.replicas <= wanted,
        expired: false,
        refused: false,
        complaints: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn deployment(replicas: i32, status: &Value) -> Deployment {
        let value = json!({
            "metadata": {"name": "a", "generation": 2},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": status,
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rollout_is_done_when_only_the_newest_revision_is_ready() {
        let done = |status: Value| of_deployment(&deployment(3, &status), 0).done;
        assert!(done(
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
        ));
        assert!(!done(
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3})
        ));
        assert!(!done(
            json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3})
        ));
        assert!(!done(
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2})
        ));
        assert!(!done(json!({})));
    }

    #[test]
    fn rollout_waits_for_the_floor_of_the_autoscaler() {
        let status =
            json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
        let progress = of_deployment(&deployment(3, &status), 5);
        assert_eq!((progress.ready, progress.wanted, progress.done), (3, 5, false));
    }

    #[test]
    fn progress_reports_expiry_and_refusal_from_conditions() {
        let conditions = json!([
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
        ]);
        let progress =
            of_deployment(&deployment(1, &json!({"observedGeneration": 2, "conditions": conditions})), 0);
        assert!(progress.expired && progress.refused);
        assert_eq!(progress.complaints, ["ProgressDeadlineExceeded: late", "FailedCreate: quota"]);
    }

    #[test]
    fn set_is_done_when_its_newest_revision_is_ready() {
        let set = |status: Value| {
            let value = json!({
                "metadata": {"name": "a", "generation": 1},
                "spec": {"replicas": 1, "selector": {}, "template": {}, "serviceName": "a"},
                "status": status,
            });
            of_set(&serde_json::from_value(value).unwrap()).done
        };
        assert!(set(
            json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "x", "updateRevision": "x"})
        ));
        assert!(!set(
            json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "x", "updateRevision": "y"})
        ));
        assert!(!set(
            json!({"observedGeneration": 1, "replicas": 1, "currentRevision": "x", "updateRevision": "x"})
        ));
    }
}
