//! Who decides over the number of replicas: the file, an autoscaler, or whoever scaled last. Pure.
//!
//! The field has one owner at a time. It is passed on without a moment in which it has none: then the server would set
//! it to its default, one replica.

use serde_json::Value;

use crate::targets::kubernetes::client::{MANAGER, Object};

/// The manager that holds the field while an autoscaler takes over.
pub(crate) const HANDOVER: &str = "appforge-handover";
/// What the file asked for when it was last applied; distinguishes a change of the file from a change of the cluster.
pub(crate) const ASKED: &str = "appforge.dev/replicas";

/// What has to be done besides applying the Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handover {
    /// Nothing.
    None,
    /// Ours until now, or about to be made: hold this number for the autoscaler, which takes it from there.
    Give(u32),
    /// Somebody else's until now: the apply takes the field over, once it is known that it is the only one.
    Take(u32),
    /// Somebody else's, and it stays theirs: this number runs.
    Keep(u32),
}

/// How many replicas are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The autoscaler's floor, or the fixed number.
    pub(crate) replicas: u32,
    pub(crate) autoscaled: bool,
    /// Whether the user asked for the number just now.
    pub(crate) explicit: bool,
}

/// Prepares the wanted Deployment.
pub(crate) fn prepare(deployment: &mut Object, live: Option<&Object>, request: Request) -> Handover {
    let Request { replicas: wanted, autoscaled, explicit } = request;
    let running =
        live.and_then(|live| live.at("/spec/replicas")?.as_u64()).and_then(|n| u32::try_from(n).ok());
    let ours = live.is_some_and(owns_replicas);
    if autoscaled {
        deployment.unset(&["spec", "replicas"]);
        return match running {
            None => Handover::Give(wanted),
            Some(running) if ours => Handover::Give(running.max(1)),
            Some(_) => Handover::None,
        };
    }
    deployment.set(&["spec", "replicas"], wanted);
    deployment.set(&["metadata", "annotations", ASKED], wanted.to_string());
    match running {
        Some(running) if !ours && running != wanted => {
            deployment.unset(&["spec", "replicas"]);
            let asked = live.and_then(|live| live.annotation(ASKED)).and_then(|asked| asked.parse().ok());
            if asked == Some(wanted) && !explicit { Handover::Keep(running) } else { Handover::Take(wanted) }
        }
        _ => Handover::None,
    }
}

/// Prepares a Deployment that is to leave the number of replicas as it is, and its owner too.
pub(crate) fn leave(deployment: &mut Object, live: &Object) {
    deployment.unset(&["spec", "replicas"]);
    if let Some(asked) = live.annotation(ASKED) {
        deployment.set(&["metadata", "annotations", ASKED], asked);
    }
    if owns_replicas(live) {
        deployment.set(&["spec", "replicas"], live.at("/spec/replicas").cloned().unwrap_or_default());
    }
}

/// Whether our last apply set the number of replicas, and no other manager has since.
fn owns_replicas(live: &Object) -> bool {
    let entries = live.at("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        entry["manager"] == MANAGER
            && entry["operation"] == "Apply"
            && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    })
}

/// Who set the number of replicas, for messages.
pub(crate) fn owner(live: &Object) -> Option<&str> {
    let entries = live.at("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().find_map(|entry| {
        entry.pointer("/fieldsV1/f:spec/f:replicas")?;
        entry["manager"].as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::kubernetes::client::kind::Kind;
    use serde_json::json;

    fn request(replicas: u32, autoscaled: bool, explicit: bool) -> Request {
        Request { replicas, autoscaled, explicit }
    }

    fn deployment(value: Value) -> Object {
        let mut object =
            Object::new(Kind::find("apps/v1", "Deployment").unwrap(), json!({"metadata": {"name": "a"}}))
                .unwrap();
        object.value["spec"] = value;
        object
    }

    fn live(replicas: u32, manager: &str, operation: &str, asked: Option<&str>) -> Object {
        let mut object = deployment(json!({"replicas": replicas}));
        object.value["metadata"]["managedFields"] = json!([
            {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        ]);
        if let Some(asked) = asked {
            object.set(&["metadata", "annotations", ASKED], asked);
        }
        object
    }

    #[test]
    fn autoscaler_takes_over_the_running_number() {
        let mut wanted = deployment(json!({}));
        assert_eq!(prepare(&mut wanted, None, request(3, true, false)), Handover::Give(3));
        assert_eq!(
            prepare(&mut wanted, Some(&live(5, MANAGER, "Apply", None)), request(3, true, false)),
            Handover::Give(5)
        );
        let scaled = live(7, "kube-controller-manager", "Update", None);
        assert_eq!(prepare(&mut wanted, Some(&scaled), request(3, true, false)), Handover::None);
        assert_eq!(wanted.at("/spec/replicas"), None);
    }

    #[test]
    fn number_of_another_manager_stays_until_file_or_user_change() {
        let scaled = live(5, "kubectl", "Update", Some("3"));
        let prepared = |wanted: u32, explicit: bool| {
            let mut object = deployment(json!({"replicas": wanted}));
            let handover = prepare(&mut object, Some(&scaled), request(wanted, false, explicit));
            (handover, object.at("/spec/replicas").cloned())
        };
        assert_eq!(prepared(3, false), (Handover::Keep(5), None));
        assert_eq!(prepared(3, true), (Handover::Take(3), None));
        assert_eq!(prepared(4, false), (Handover::Take(4), None));
        assert_eq!(prepared(5, false), (Handover::None, Some(json!(5))));
        assert_eq!(owner(&scaled), Some("kubectl"));
    }

    #[test]
    fn own_number_is_applied() {
        let mut object = deployment(json!({"replicas": 4}));
        let before = live(3, MANAGER, "Apply", Some("3"));
        assert_eq!(prepare(&mut object, Some(&before), request(4, false, false)), Handover::None);
        assert_eq!((object.at("/spec/replicas"), object.annotation(ASKED)), (Some(&json!(4)), Some("4")));
    }
}
