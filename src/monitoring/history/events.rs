//! What happened to a stack, from two looks at its status. Pure.

use serde::{Deserialize, Serialize};

use crate::document::counted;
use crate::targets::status::Status;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
    /// What.
    pub(crate) kind: EventKind,
    /// For people.
    pub(crate) text: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    /// A component was started, by a user or again.
    Start,
    /// A component was stopped.
    Stop,
    /// A component ended by itself.
    Crash,
    /// Another number of replicas.
    Scale,
    /// A load test.
    Load,
}

/// What happened between two looks.
pub(in crate::monitoring) fn between(before: &Status, now: &Status, at: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let mut event = |kind, text: String| events.push(Event { at, kind, text });
    if before.replicas.desired != now.replicas.desired && before.url.is_some() {
        let replicas = counted(now.replicas.desired as usize, "replica");
        event(EventKind::Scale, format!("{replicas}, before {}", before.replicas.desired));
    }
    for component in &now.components {
        let name = &component.name;
        match before.components.iter().find(|other| other.name == *name) {
            None => event(EventKind::Start, format!("{name} started")),
            Some(other) if other.restarts < component.restarts => {
                event(
                    EventKind::Crash,
                    format!("{name} ended by itself ({})", counted(component.restarts as usize, "restart")),
                );
            }
            Some(other) if other.pid != component.pid && component.pid.is_some() => {
                event(EventKind::Start, format!("{name} restarted"));
            }
            Some(_) => {}
        }
    }
    let is_gone = |name: &str| !now.components.iter().any(|component| component.name == name);
    for component in before.components.iter().filter(|component| is_gone(&component.name)) {
        event(EventKind::Stop, format!("{} stopped", component.name));
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ComponentKind;
    use crate::targets::status::{Component, ComponentState, Replicas};

    fn status(desired: u32, components: &[(&str, u32, u32)]) -> Status {
        let component = |(name, pid, restarts): &(&str, u32, u32)| Component {
            name: (*name).to_owned(),
            kind: ComponentKind::Service,
            state: ComponentState::Ready,
            endpoint: None,
            restarts: *restarts,
            version: None,
            detail: String::new(),
            pid: Some(*pid),
        };
        Status {
            stack: "shop".into(),
            target: "local".into(),
            url: Some("http://localhost:5000".into()),
            replicas: Replicas { desired, ready: desired },
            components: components.iter().map(component).collect(),
            cluster: None,
        }
    }

    fn texts(before: &Status, now: &Status) -> Vec<String> {
        between(before, now, 7).into_iter().map(|event| event.text).collect()
    }

    #[test]
    fn each_change_is_one_event() {
        let before = status(2, &[("redis", 1, 0), ("service-1", 2, 0), ("service-2", 3, 0)]);
        assert!(texts(&before, &before).is_empty());
        let now = status(1, &[("redis", 9, 1), ("service-1", 8, 0), ("service-3", 4, 0)]);
        let expected = [
            "1 replica, before 2",
            "redis ended by itself (1 restart)",
            "service-1 restarted",
            "service-3 started",
            "service-2 stopped",
        ];
        assert_eq!(texts(&before, &now), expected);
    }
}
