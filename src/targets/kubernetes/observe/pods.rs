//! What is wrong with a pod, by the reasons that its status gives, and its last words for people.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{ListParams, LogParams};

use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::client::Cluster;

/// Reasons of a waiting container that do not pass by waiting.
const PERMANENT: [&str; 7] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ImageInspectError",
    "RunContainerError",
];
/// Those that are about the image; a pull is tried again for a while.
const IMAGE: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];
/// A container that ended this often will not come by waiting.
const MANY_RESTARTS: i32 = 3;
/// Lines of a log that a stuck pod is shown with.
const LAST_LINES: i64 = 8;
/// Events that it is shown with.
const LAST_EVENTS: usize = 3;
/// How long reading a log or events may take; they only illustrate another error.
const READING: Duration = Duration::from_secs(5);

/// Why a pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The reason, as a word of the API.
    pub(crate) reason: String,
    /// What there is to say about it.
    pub(crate) message: String,
    /// Waiting does not help.
    pub(crate) permanent: bool,
    /// The container that is to blame.
    pub(crate) container: Option<String>,
    /// It ended and was started again, so that its last words are in the log of the run before.
    pub(crate) ended: bool,
}

impl Trouble {
    /// Whether the image is to blame.
    pub(crate) fn is_about_image(&self) -> bool {
        IMAGE.contains(&self.reason.as_str())
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        if self.message.is_empty() {
            self.reason.clone()
        } else {
            format!("{}: {}", self.reason, self.message)
        }
    }
}

/// The name of a pod.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// A label of a pod.
pub(crate) fn label<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// Whether a pod only tries addresses: it has the service's labels but is not a replica.
pub(crate) fn is_trial(pod: &Pod) -> bool {
    label(pod, names::REACH_LABEL).is_some()
}

/// Whether a pod accepts work.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod is on its way out.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// How often its containers were started again.
pub(crate) fn restarts(pod: &Pod) -> u32 {
    let count = containers(pod).map(|container| container.restart_count).sum::<i32>();
    u32::try_from(count).unwrap_or(0)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    })
}

/// Why a pod is not ready; `None` when it is, or leaves.
pub(crate) fn trouble(pod: &Pod) -> Option<Trouble> {
    if is_ready(pod) || is_leaving(pod) {
        return None;
    }
    for container in containers(pod) {
        if let Some(trouble) = of_container(container) {
            return Some(trouble);
        }
    }
    let status = pod.status.as_ref();
    let plain = |reason: &str, message: String, permanent: bool| Trouble {
        reason: reason.to_owned(),
        message,
        permanent,
        container: None,
        ended: false,
    };
    if status.and_then(|status| status.phase.as_deref()) == Some("Failed") {
        let reason = status.and_then(|status| status.reason.clone()).unwrap_or_else(|| "Failed".into());
        let message = status.and_then(|status| status.message.clone()).unwrap_or_default();
        return Some(plain(&reason, message, false));
    }
    let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions {
        if condition.type_ == "PodScheduled" && condition.status == "False" {
            let reason = condition.reason.clone().unwrap_or_else(|| "Unschedulable".into());
            return Some(plain(&reason, condition.message.clone().unwrap_or_default(), false));
        }
    }
    let running = containers(pod)
        .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    Some(if running {
        plain("NotReady", "running, but its readiness probe fails".to_owned(), false)
    } else {
        plain("Pending", "not started yet".to_owned(), false)
    })
}

fn of_container(container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let how = ended.or(state.terminated.as_ref()).map(|end| {
        let reason = end.reason.as_deref().unwrap_or("Error");
        format!(
            "`{}` ended with exit code {} ({reason}), {} restarts",
            container.name, end.exit_code, container.restart_count
        )
    });
    let blame = |reason: &str, message: String, permanent: bool| Trouble {
        reason: reason.to_owned(),
        message,
        permanent,
        container: Some(container.name.clone()),
        ended: ended.is_some() && state.terminated.is_none(),
    };
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("Waiting");
        if reason == "CrashLoopBackOff" {
            let many = container.restart_count >= MANY_RESTARTS;
            return Some(blame(
                reason,
                how.unwrap_or_else(|| format!("`{}` restarts repeatedly", container.name)),
                many,
            ));
        }
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting.message.clone().unwrap_or_else(|| format!("`{}` waits", container.name));
        return Some(blame(reason, message, PERMANENT.contains(&reason)));
    }
    match &state.terminated {
        Some(end) if end.exit_code != 0 => {
            Some(blame("Ended", how?, container.restart_count >= MANY_RESTARTS))
        }
        _ => None,
    }
}

/// A pod that is not ready as lines for people: why, its last warnings, its last log lines.
pub(crate) async fn last_lines(cluster: &Cluster, pod: &Pod) -> String {
    let Some(trouble) = trouble(pod) else { return String::new() };
    let mut text = format!("\n  {}: {}", name(pod), trouble.line());
    for line in warnings(cluster, "Pod", name(pod)).await {
        text.push_str(&format!("\n    event {line}"));
    }
    for line in log(cluster, pod, &trouble).await {
        text.push_str(&format!("\n    | {line}"));
    }
    text
}

/// The last warnings about an object; none when they cannot be read.
pub(crate) async fn warnings(cluster: &Cluster, kind: &str, name: &str) -> Vec<String> {
    let api = cluster.api::<Event>();
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
    let parameters = ListParams::default().fields(&fields);
    let Ok(Ok(list)) = tokio::time::timeout(READING, api.list(&parameters)).await else { return Vec::new() };
    let mut events = list.items;
    let time = |event: &Event| event.last_timestamp.clone().map(|time| time.0);
    events.sort_by_key(time);
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            format!("{reason}: {}", event.message.as_deref().unwrap_or_default().trim())
        })
        .collect();
    lines.dedup();
    lines.split_off(lines.len().saturating_sub(LAST_EVENTS))
}

async fn log(cluster: &Cluster, pod: &Pod, trouble: &Trouble) -> Vec<String> {
    let parameters = LogParams {
        container: trouble.container.clone(),
        tail_lines: Some(LAST_LINES),
        previous: trouble.ended,
        ..LogParams::default()
    };
    let api = cluster.api::<Pod>();
    match tokio::time::timeout(READING, api.logs(name(pod), &parameters)).await {
        Ok(Ok(text)) => text.lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap()
    }

    fn with_container(state: &Value, restarts: i32, last: &Value) -> Pod {
        let container = json!({
            "name": "app", "image": "a", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last,
        });
        pod(&json!({"phase": "Pending", "containerStatuses": [container]}))
    }

    #[test]
    fn trouble_is_permanent_after_failed_pull_or_three_crashes() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "why"}});
        let found = trouble(&with_container(&waiting("ImagePullBackOff"), 0, &json!({}))).unwrap();
        assert!(found.permanent);
        assert_eq!((found.reason.as_str(), found.message.as_str()), ("ImagePullBackOff", "why"));
        let ended = json!({"terminated": {"exitCode": 3, "reason": "Error"}});
        let crash =
            |restarts| trouble(&with_container(&waiting("CrashLoopBackOff"), restarts, &ended)).unwrap();
        assert!(!crash(1).permanent);
        assert!(crash(3).permanent && crash(3).ended);
        assert_eq!(crash(3).message, "`app` ended with exit code 3 (Error), 3 restarts");
        let creating = trouble(&with_container(&waiting("ContainerCreating"), 0, &json!({}))).unwrap();
        assert_eq!((creating.reason.as_str(), creating.permanent), ("Pending", false));
    }

    #[test]
    fn trouble_names_scheduling_and_is_none_when_ready() {
        let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]);
        let found = trouble(&pod(&json!({"phase": "Pending", "conditions": conditions}))).unwrap();
        assert_eq!(
            (found.reason.as_str(), found.message.as_str(), found.permanent),
            ("Unschedulable", "0/1 nodes", false)
        );
        let ready = pod(&json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        assert_eq!(trouble(&ready), None);
    }
}
