//! Fields that other managers have added to our objects, by the server's own record of who set what (`managedFields`). Server-side
//! apply leaves them alone. Pure but for [`claim`].

use anyhow::Result;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};

use crate::targets::kubernetes::apply::compare::{below, shown};
use crate::targets::kubernetes::client::{Cluster, MANAGER, Object, received};
use crate::targets::kubernetes::scale::replicas::HANDOVER;

/// Managers that are the cluster itself, by the names of its programs.
const CLUSTERS: [&str; 5] =
    ["kube-controller-manager", "cloud-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver"];
/// Fields that belong to others: a controller may note what it likes at an object, and the number of replicas is handed over
/// between file, autoscaler and people.
const OTHERS: [&[&str]; 5] = [
    &["f:metadata"],
    &["f:status"],
    &["f:spec", "f:replicas"],
    // `kubectl rollout restart`, and our `restart`.
    &["f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"],
    &["f:spec", "f:finalizers"],
];

/// A field that another manager has added.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Addition {
    /// Who.
    pub(crate) manager: String,
    /// Where, for people.
    pub(crate) path: String,
    /// What, for people.
    value: String,
    /// The way to it in the manager's `fieldsV1`, and what is below.
    steps: Vec<String>,
    entry: usize,
    below: Value,
}

impl Addition {
    /// What happens to it: it is only shown, or removed.
    pub(crate) fn cause(&self, removed: bool) -> String {
        let Self { manager, path, value, .. } = self;
        if removed {
            format!("{path}: {value} -> (none), added by `{manager}`")
        } else {
            format!("{path}: added by `{manager}`: `appforge up --force-conflicts` removes it")
        }
    }

    /// Whether it is part of a pod template, so that pods are replaced without it.
    pub(crate) fn is_of_pods(&self) -> bool {
        self.steps.get(..2).is_some_and(|steps| steps == ["f:spec", "f:template"])
    }
}

/// What other managers have added to `live` and `desired` does not have.
pub(crate) fn additions(live: &Object, desired: &Object) -> Vec<Addition> {
    let entries = live.at("/metadata/managedFields").and_then(Value::as_array);
    let mut found: Vec<Addition> = Vec::new();
    for (entry, managed) in entries.into_iter().flatten().enumerate() {
        let manager = managed["manager"].as_str().unwrap_or_default();
        let others = [MANAGER, HANDOVER].contains(&manager) || CLUSTERS.contains(&manager);
        // A subresource, such as `scale` or `status`, is a controller's.
        if others || managed["subresource"].as_str().is_some_and(|name| !name.is_empty()) {
            continue;
        }
        let mut stack = vec![(Vec::new(), &managed["fieldsV1"], Some(&live.value), Some(&desired.value))];
        while let Some((steps, fields, there, meant)) = stack.pop() {
            for (step, inner) in fields.as_object().into_iter().flatten().filter(|(step, _)| *step != ".") {
                let steps: Vec<String> = [&steps[..], std::slice::from_ref(step)].concat();
                if OTHERS.iter().any(|path| steps == *path) || !holds_more(&steps, inner) {
                    continue;
                }
                // What is listed and not there any more was removed by a third one.
                let Some(value) = there.and_then(|value| child(value, step)) else { continue };
                let meant = meant.and_then(|value| child(value, step));
                if meant.is_none() {
                    let secret = live.kind.name() == "Secret";
                    let value = if secret { "(hidden)".to_owned() } else { shown(Some(value)) };
                    let (manager, path) = (manager.to_owned(), path(&steps));
                    found.push(Addition { manager, path, value, steps, entry, below: inner.clone() });
                } else {
                    stack.push((steps, inner, Some(value), meant));
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Whether more than fields of others is at or below a place.
fn holds_more(steps: &[String], fields: &Value) -> bool {
    let mut stack = vec![(steps.to_vec(), fields)];
    while let Some((steps, fields)) = stack.pop() {
        if OTHERS.iter().any(|path| steps == *path) {
            continue;
        }
        let mut inner = fields.as_object().into_iter().flatten().filter(|(step, _)| *step != ".").peekable();
        if inner.peek().is_none() {
            return true;
        }
        stack.extend(inner.map(|(step, value)| ([&steps[..], std::slice::from_ref(step)].concat(), value)));
    }
    false
}

/// What a step of a `fieldsV1` leads to: a field, the item of a list with these keys, a value of a set, or a position.
fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    let (kind, rest) = step.split_once(':')?;
    match kind {
        "f" => value.get(rest),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            // A key that a document leaves out has the server's default.
            let fits = |item: &&Value| {
                keys.iter().all(|(key, desired)| item.get(key).is_none_or(|is| is == desired))
            };
            value.as_array()?.iter().find(fits)
        }
        "v" => {
            let desired: Value = serde_json::from_str(rest).ok()?;
            value.as_array()?.iter().find(|item| **item == desired)
        }
        "i" => value.get(rest.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A path for people, such as `spec.template.spec.containers[app].env[NEW]`.
fn path(steps: &[String]) -> String {
    let mut path = String::new();
    for step in steps {
        path = match step.split_once(':') {
            Some(("f", name)) if path.is_empty() => name.to_owned(),
            Some(("f", name)) => below(&path, name),
            Some(("k", keys)) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                match keys.get("name") {
                    Some(name) => format!("{path}[{}]", text(name)),
                    None => {
                        let pairs = keys.iter().map(|(key, value)| format!("{key}={}", text(value)));
                        format!("{path}[{}]", pairs.collect::<Vec<_>>().join(","))
                    }
                }
            }
            Some((_, rest)) => format!("{path}[{}]", rest.trim_matches('"')),
            None => path,
        };
    }
    path
}

/// Makes fields that other managers have added ours, so that the next apply of `desired`, which does not have them, removes them.
/// Nothing else of the object changes: pods stay as they are until that apply.
///
/// # Errors
/// When the object changes meanwhile, or may not be patched.
pub(crate) async fn claim(cluster: &Cluster, desired: &Object) -> Result<()> {
    let api = desired.api(cluster);
    let live = cluster.call(desired.doing("get", cluster), || api.get(&desired.name)).await?;
    let live = received(&desired.kind, live)?;
    let additions = additions(&live, desired);
    if additions.is_empty() {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"metadata": {
        "resourceVersion": live.at("/metadata/resourceVersion"),
        "managedFields": claimed(&live, &additions),
    }}));
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    cluster.call(live.doing("patch", cluster), || api.patch(&live.name, &parameters, &patch)).await.map(drop)
}

/// The `managedFields` with those fields under our name.
fn claimed(live: &Object, additions: &[Addition]) -> Value {
    let mut all = live.at("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
    let ours = |entry: &Value| {
        entry["manager"] == MANAGER && entry["operation"] == "Apply" && entry.get("subresource").is_none()
    };
    for addition in additions {
        let Some(theirs) = all.get_mut(addition.entry) else { continue };
        let version = theirs["apiVersion"].clone();
        take(&mut theirs["fieldsV1"], &addition.steps);
        let own = match all.iter().position(ours) {
            Some(own) => own,
            // `kubectl apply` made the object, or its record was cleared. A field without an owner would stay.
            None => {
                all.push(json!({
                    "manager": MANAGER, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1",
                    "time": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "fieldsV1": {},
                }));
                all.len() - 1
            }
        };
        if let Some(own) = all.get_mut(own) {
            put(&mut own["fieldsV1"], &addition.steps, &addition.below);
        }
    }
    all.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|fields| !fields.is_empty()));
    Value::Array(all)
}

/// Takes a field away, with each parent that holds nothing else.
fn take(fields: &mut Value, steps: &[String]) {
    for depth in (1..=steps.len()).rev() {
        let Some((last, above)) = steps.get(..depth).and_then(<[String]>::split_last) else { return };
        let mut at = Some(&mut *fields);
        for step in above {
            at = at.and_then(|value| value.get_mut(step));
        }
        let Some(map) = at.and_then(Value::as_object_mut) else { return };
        let empty = |value: &Value| value.as_object().is_none_or(|map| map.keys().all(|step| step == "."));
        if depth == steps.len() || map.get(last).is_some_and(empty) {
            map.remove(last);
        }
    }
}

fn put(fields: &mut Value, steps: &[String], below: &Value) {
    let mut at = fields;
    for step in steps {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[step.as_str()];
    }
    *at = below.clone();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::kubernetes::client::Kind;

    fn object(value: Value) -> Object {
        Object::new(Kind::find("apps/v1", "Deployment").unwrap(), value).unwrap()
    }

    fn desired() -> Object {
        object(json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "a:1", "ports": [{"containerPort": 80}], "env": [{"name": "PORT", "value": "80"}]},
        ]}}}}))
    }

    fn live(entries: &Value) -> Object {
        object(json!({
            "metadata": {"name": "a", "managedFields": entries, "annotations": {"note": "x"}},
            "spec": {"replicas": 7, "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now", "extra": "1"}},
                "spec": {"containers": [
                    {"name": "app", "image": "a:1", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                     "env": [{"name": "PORT", "value": "80"}, {"name": "NEW", "value": "1"}]},
                    {"name": "side", "image": "b:1"},
                ]},
            }},
        }))
    }

    fn entry(manager: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "fieldsV1": fields})
    }

    fn env() -> Value {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
            "f:image": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            "f:env": {"k:{\"name\":\"NEW\"}": {".": {}, "f:name": {}, "f:value": {}}},
        }}}}}})
    }

    #[test]
    fn added_fields_are_named_with_their_manager() {
        let side = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"side\"}": {".": {}, "f:image": {}}}}}}});
        let live = live(&json!([entry("kubectl-set", &env()), entry("injector", &side)]));
        let found = additions(&live, &desired());
        let names: Vec<_> = found.iter().map(|one| (one.manager.as_str(), one.path.as_str())).collect();
        assert_eq!(
            names,
            [
                ("kubectl-set", "spec.template.spec.containers[app].env[NEW]"),
                ("injector", "spec.template.spec.containers[side]"),
            ]
        );
        assert!(found.iter().all(Addition::is_of_pods));
        assert!(found[0].cause(true).contains("-> (none), added by `kubectl-set`"), "{found:?}");
    }

    #[test]
    fn fields_of_the_cluster_and_of_controllers_are_left_out() {
        let annotations = |name: &str| json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {".": {}, name: {}}}}}});
        let restarted = annotations("f:kubectl.kubernetes.io/restartedAt");
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let mut scaled = entry("kubectl", &annotations("f:extra"));
        scaled["subresource"] = "scale".into();
        let entries = json!([
            entry(MANAGER, &env()),
            entry("kube-controller-manager", &env()),
            entry("kubectl-rollout", &restarted),
            entry("kubectl", &replicas),
            entry("kubectl-annotate", &json!({"f:metadata": {"f:annotations": {"f:note": {}}}})),
            scaled,
        ]);
        assert_eq!(additions(&live(&entries), &desired()), []);
        let added = additions(&live(&json!([entry("kubectl-edit", &annotations("f:extra"))])), &desired());
        assert_eq!(added.len(), 1);
    }

    #[test]
    fn claimed_field_gets_an_entry_when_we_have_applied_nothing() {
        let live = live(&json!([entry("kubectl-set", &env())]));
        let claimed = claimed(&live, &additions(&live, &desired()));
        let added = "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"app\"}/f:env/k:{\"name\":\"NEW\"}/f:value";
        assert_eq!(claimed[0].pointer(added), None, "{claimed:#}");
        let ours = &claimed[1];
        assert_eq!((&ours["manager"], &ours["operation"]), (&json!(MANAGER), &json!("Apply")));
        assert_eq!(ours["fieldsType"], "FieldsV1");
        assert!(ours.pointer(added).is_some(), "{claimed:#}");
        let time = ours["time"].as_str().unwrap();
        assert!(time.parse::<Timestamp>().is_ok() && time.len() == 20, "{time}");
    }

    #[test]
    fn claimed_fields_move_to_our_entry_and_the_rest_stays() {
        let own =
            json!({"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}});
        let live = live(&json!([own, entry("kubectl-set", &env())]));
        let found = additions(&live, &desired());
        let claimed = claimed(&live, &found);
        let container = "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"app\"}";
        assert!(claimed[0].pointer(&format!("{container}/f:env/k:{{\"name\":\"NEW\"}}/f:value")).is_some());
        assert_eq!(claimed[1].pointer(&format!("{container}/f:env")), None, "{claimed:#}");
        assert!(claimed[1].pointer(&format!("{container}/f:image")).is_some(), "{claimed:#}");
        let alone = json!({"f:spec": {"f:paused": {}}});
        let mut fields = alone.clone();
        take(&mut fields, &["f:spec".to_owned(), "f:paused".to_owned()]);
        assert_eq!(fields, json!({}));
    }
}
