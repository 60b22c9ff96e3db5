//! The objects of the test's API server, with what its controllers would make of them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use super::fields::{conflicts, fields, overlay, restricted, yielding};
use super::jobs::Jobs;
use super::kubelet::{Trials, ports};

/// What the Deployment controller numbers revisions with.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";

/// Marks what a manager did by updates.
const UPDATES: &str = " updates";

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub api: String,
    pub namespace: String,
    pub plural: String,
    pub name: String,
}

impl Key {
    /// A path of the API, and its subresource.
    pub(super) fn parse(path: &str) -> Option<(Self, Option<String>)> {
        let mut parts = path.trim_start_matches('/').split('/');
        let api = match parts.next()? {
            "api" => parts.next()?.to_owned(),
            "apis" => format!("{}/{}", parts.next()?, parts.next()?),
            _ => return None,
        };
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, plural, rest @ ..] => (*namespace, [&[*plural], rest].concat()),
            all => ("", all.to_vec()),
        };
        let text = |at: usize| rest.get(at).map(|part| (*part).to_owned());
        let key = Self {
            api,
            namespace: namespace.to_owned(),
            plural: text(0)?,
            name: text(1).unwrap_or_default(),
        };
        Some((key, text(2)))
    }
}

/// How the controllers of the cluster behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pods {
    /// Every pod is ready at once.
    #[default]
    Ready,
    /// The image of the service cannot be pulled.
    CannotPull,
    /// No pod may be made.
    OverQuota,
}

pub(super) struct Store {
    pub(super) objects: BTreeMap<Key, Value>,
    /// All that changed, for watches that begin at an earlier version.
    history: Vec<(u64, Key, Value)>,
    /// What each manager applied last.
    applied: BTreeMap<(Key, String), Value>,
    version: u64,
    changes: broadcast::Sender<(Key, Value)>,
    pub pods: Pods,
    pub trials: Trials,
    pub jobs: Jobs,
    /// The ports outside that policies opened for the service at each rollout.
    pub rollouts: Vec<BTreeSet<u16>>,
    pub events: Value,
    /// Verbs on resources that the user has no right to, when asked.
    pub denied: Vec<(&'static str, &'static str)>,
    /// What takes the connections to a pod.
    pub backends: BTreeMap<String, SocketAddr>,
}

impl Store {
    pub(super) fn new(changes: broadcast::Sender<(Key, Value)>) -> Self {
        Self {
            objects: BTreeMap::new(),
            history: Vec::new(),
            applied: BTreeMap::new(),
            version: 100,
            changes,
            pods: Pods::Ready,
            trials: Trials::Run,
            jobs: Jobs::Complete,
            rollouts: Vec::new(),
            events: json!([]),
            denied: Vec::new(),
            backends: BTreeMap::new(),
        }
    }

    /// What changed after a version.
    pub(super) fn since(&self, version: u64) -> Vec<(Key, Value)> {
        let later = self.history.iter().filter(|(at, ..)| *at > version);
        later.map(|(_, key, event)| (key.clone(), event.clone())).collect()
    }

    /// All objects of all kinds, without what the server writes.
    pub(super) fn bare(&self) -> BTreeMap<String, Value> {
        let name = |key: &Key| format!("{}/{}", key.plural, key.name);
        self.objects.iter().map(|(key, object)| (name(key), bare(object))).collect()
    }

    pub(super) fn names(&self, plural: &str) -> Vec<String> {
        self.objects.keys().filter(|key| key.plural == plural).map(|key| key.name.clone()).collect()
    }

    pub(super) fn find(&self, plural: &str, name: &str) -> Option<Value> {
        let found = self.objects.iter().find(|(key, _)| key.plural == plural && key.name == name);
        found.map(|(_, object)| object.clone())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.objects.get(key).cloned()
    }

    /// `None` for what this server does not serve.
    pub(super) fn list(&self, key: &Key, selector: &str, query: &BTreeMap<String, String>) -> Option<Value> {
        if key.api.starts_with("gateway.") {
            return None;
        }
        let fields = query.get("fieldSelector").cloned().unwrap_or_default();
        let items: Vec<Value> = match key.plural.as_str() {
            "events" => {
                self.events.as_array()?.iter().filter(|event| named(event, &fields)).cloned().collect()
            }
            _ => self
                .objects
                .iter()
                .filter(|(other, object)| {
                    other.api == key.api
                        && other.plural == key.plural
                        && (key.namespace.is_empty() || other.namespace == key.namespace)
                        && selected(object, selector)
                        && (fields.is_empty() || fields == format!("metadata.name={}", other.name))
                })
                .map(|(_, object)| object.clone())
                .collect(),
        };
        Some(json!({
            "apiVersion": key.api, "kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        }))
    }

    /// Server-side apply: the object is what all managers applied, one over the other. A value that another manager has set
    /// otherwise is an error, or taken over by force.
    pub(super) fn apply(
        &mut self,
        key: &Key,
        manager: &str,
        body: Value,
        dry: bool,
        force: bool,
    ) -> Result<Value, Value> {
        let before = self.applied.clone();
        let others = before.iter().filter(|((of, other), _)| of == key && other != manager);
        let mut causes = Vec::new();
        for (place, theirs) in others {
            let name = place.1.trim_end_matches(UPDATES);
            let found = conflicts("", theirs, &body);
            causes.extend(found.into_iter().map(|field| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{name}\""), "field": field})
            }));
            if force {
                self.applied.insert(place.clone(), yielding(theirs, &body));
            }
        }
        if !force && !causes.is_empty() {
            return Err(
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "Apply failed with conflicts", "details": {"causes": causes}}),
            );
        }
        if force && !dry && body.pointer("/spec/replicas").is_some() {
            self.take_replicas(key);
        }
        self.applied.insert((key.clone(), manager.to_owned()), body);
        let mut object = self.composed(key);
        let old = self.objects.get(key).cloned();
        if let Some(old) = &old {
            object["status"] = old["status"].clone();
            object["metadata"]["uid"] = old["metadata"]["uid"].clone();
            object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            if let Some(revision) = old["metadata"]["annotations"].get(REVISION) {
                object["metadata"]["annotations"][REVISION] = revision.clone();
            }
        }
        if dry {
            self.applied = before;
            return Ok(object);
        }
        if old.as_ref().map(bare) == Some(bare(&object)) {
            self.objects.insert(key.clone(), object.clone());
            return Ok(object);
        }
        Ok(self.put(key, object))
    }

    /// Gives fields to other managers: each keeps what the new list says. The object itself stays as it is.
    fn own(&mut self, key: &Key, managed: &Value) -> Value {
        let entries = managed.as_array().unwrap();
        for ((of, manager), applied) in &mut self.applied {
            let operation = if manager.ends_with(UPDATES) { "Update" } else { "Apply" };
            let manager = manager.trim_end_matches(UPDATES);
            let entry = entries.iter().find(|one| one["manager"] == manager && one["operation"] == operation);
            if of == key {
                *applied = entry.map_or_else(|| json!({}), |entry| restricted(applied, &entry["fieldsV1"]));
            }
        }
        let mut object = self.objects[key].clone();
        object["metadata"]["managedFields"] = managed.clone();
        self.put(key, object)
    }

    /// A merge patch, as `kubectl scale` or somebody else sends it.
    pub(super) fn merge(&mut self, key: &Key, manager: &str, body: &Value) -> Option<Value> {
        self.objects.get(key)?;
        if let Some(managed) = body.pointer("/metadata/managedFields") {
            return Some(self.own(key, managed));
        }
        if key.plural == "leases" {
            let mut object = self.objects[key].clone();
            overlay(&mut object, body);
            return Some(self.put(key, object));
        }
        if body.pointer("/spec/replicas").is_some() {
            self.take_replicas(key);
        }
        // What a manager updates is kept apart from what it applies.
        let updates = (key.clone(), format!("{manager}{UPDATES}"));
        let own = self.applied.entry(updates).or_insert_with(|| json!({}));
        overlay(own, body);
        let old = self.objects.get(key).cloned().unwrap_or_default();
        let mut object = self.composed(key);
        object["status"] = old["status"].clone();
        object["metadata"]["uid"] = old["metadata"]["uid"].clone();
        Some(self.put(key, object))
    }

    /// Whoever sets the number of replicas takes it from those who had it.
    fn take_replicas(&mut self, key: &Key) {
        for ((of, _), applied) in &mut self.applied {
            if of == key
                && let Some(spec) = applied.get_mut("spec").and_then(Value::as_object_mut)
            {
                spec.remove("replicas");
            }
        }
    }

    pub(super) fn delete(&mut self, key: &Key) -> bool {
        let Some(gone) = self.objects.remove(key) else { return false };
        self.version += 1;
        self.applied.retain(|(of, _), _| of != key);
        self.tell("DELETED", key, &gone);
        let owned: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, object)| {
                object["metadata"]["ownerReferences"][0]["name"] == gone["metadata"]["name"]
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            self.delete(&key);
        }
        true
    }

    /// What a manager would have applied in another time.
    pub(super) fn replace(&mut self, key: &Key, manager: &str, object: Value) {
        let applied = self.applied.get(&(key.clone(), manager.to_owned())).cloned().unwrap_or_default();
        let mut applied = applied;
        applied["spec"]["template"] = object["spec"]["template"].clone();
        self.applied.insert((key.clone(), manager.to_owned()), applied);
        self.put(key, object);
    }

    /// Puts an object there that a controller made, and that others may change.
    pub(super) fn made(&mut self, key: &Key, object: Value) -> Value {
        // A controller's fields come first, so that those of others lie over them.
        self.applied.insert((key.clone(), format!("{UPDATES}controller")), object.clone());
        self.put(key, object)
    }

    /// Puts an object there that nobody applied.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Value {
        if key.plural == "deployments" {
            let open = ports(self, &object["spec"]["template"]["metadata"]["labels"]);
            self.rollouts.push(open);
        }
        self.version += 1;
        let new = !self.objects.contains_key(key);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if new {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.objects.insert(key.clone(), object.clone());
        self.control(key);
        let object = self.objects.get(key).cloned().unwrap_or_default();
        self.tell(if new { "ADDED" } else { "MODIFIED" }, key, &object);
        object
    }

    fn tell(&mut self, what: &str, key: &Key, object: &Value) {
        let mut event = json!({"type": what, "object": object});
        event["object"]["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push((self.version, key.clone(), event.clone()));
        // Nobody may be watching.
        let _ = self.changes.send((key.clone(), event));
    }

    fn composed(&self, key: &Key) -> Value {
        let mut object = json!({});
        let mut managers = Vec::new();
        for ((_, manager), applied) in self.applied.iter().filter(|((of, _), _)| of == key) {
            overlay(&mut object, applied);
            let operation = if manager.ends_with(UPDATES) { "Update" } else { "Apply" };
            let manager = manager.trim_end_matches(UPDATES);
            managers.push(json!({"manager": manager, "operation": operation, "fieldsV1": fields(applied)}));
        }
        object["metadata"]["managedFields"] = json!(managers);
        object["metadata"]["generation"] = 1.into();
        object["metadata"]["creationTimestamp"] = "2026-01-31T12:00:00Z".into();
        if ["deployments", "statefulsets"].contains(&key.plural.as_str())
            && object["spec"]["replicas"].is_null()
        {
            object["spec"]["replicas"] = 1.into();
        }
        object
    }
}

/// Whether an object that is there is immutable, or has claim templates, and would get others.
pub(super) fn changes_fixed(there: &Value, body: &Value, dry: bool) -> bool {
    let claims = |set: &Value| set["spec"]["volumeClaimTemplates"].clone();
    let set = !dry && there["kind"] == "StatefulSet" && claims(there) != claims(body);
    set || there["immutable"] == true && there["data"] != body["data"]
}

/// An object without what the server writes.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    for (part, name) in [("metadata", "managedFields"), ("metadata", "resourceVersion"), ("metadata", "uid")]
    {
        if let Some(map) = object[part].as_object_mut() {
            map.remove(name);
        }
    }
    if let Some(map) = object["metadata"]["annotations"].as_object_mut() {
        map.remove(REVISION);
    }
    if object["metadata"]["annotations"].as_object().is_none_or(Map::is_empty)
        && let Some(map) = object["metadata"].as_object_mut()
    {
        map.remove("annotations");
    }
    object
}

pub(super) fn selected(object: &Value, selector: &str) -> bool {
    selector.split(',').filter_map(|pair| pair.split_once('=')).all(|(name, value)| {
        let has = |name: &str| object["metadata"]["labels"].get(name).and_then(Value::as_str) == Some(value);
        name.strip_suffix('!').map_or_else(|| has(name), |name| !has(name))
    })
}

/// Whether labels have all pairs of a selector.
pub(super) fn matches(labels: &Value, selector: &Value) -> bool {
    selector.as_object().into_iter().flatten().all(|(name, value)| labels[name] == *value)
}

fn named(event: &Value, fields: &str) -> bool {
    fields.split(',').filter_map(|pair| pair.split_once('=')).all(|(name, value)| match name {
        "involvedObject.name" => event["involvedObject"]["name"] == value,
        _ => true,
    })
}
