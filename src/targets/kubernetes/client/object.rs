//! One object of the API, as a document describes it or as the server has it: JSON with a kind and a name.

use anyhow::{Context, Result, bail};
use kube::Api;
use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::render::Document;
use crate::targets::kubernetes::client::cluster::Cluster;
use crate::targets::kubernetes::client::fault::Doing;
use crate::targets::kubernetes::client::kind::Kind;

/// The label that says whose an object is.
pub(crate) const STACK_LABEL: &str = "appforge.dev/stack";
/// What kustomize reads, and no server.
const KUSTOMIZE: &str = "kustomize.config.k8s.io/";

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) value: Value,
}

impl Object {
    /// An object from its JSON.
    ///
    /// # Errors
    /// When it has no kind or no name.
    pub(crate) fn new(kind: Kind, value: Value) -> Result<Self> {
        let name = value.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.with_context(|| format!("a {} without a name", kind.name()))?.to_owned();
        Ok(Self { kind, name, value })
    }

    /// How people call it, such as `deployment/shop-app`.
    pub(crate) fn title(&self) -> String {
        format!("{}/{}", self.kind.name().to_lowercase(), self.name)
    }

    /// What `path` (a JSON pointer) holds.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.value.pointer(path)
    }

    /// A label.
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.value.get("metadata")?.get("labels")?.get(name)?.as_str()
    }

    /// An annotation.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.value.get("metadata")?.get("annotations")?.get(name)?.as_str()
    }

    /// Whether it is being deleted.
    pub(crate) fn is_leaving(&self) -> bool {
        self.at("/metadata/deletionTimestamp").is_some()
    }

    /// Sets a value below objects that are made when missing.
    pub(crate) fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let Some((last, above)) = path.split_last() else { return };
        let mut at = &mut self.value;
        for part in above {
            if !at.get(*part).is_some_and(Value::is_object) {
                at[*part] = json!({});
            }
            at = &mut at[*part];
        }
        at[*last] = value.into();
    }

    /// Takes a value away; nothing happens when it is not there.
    pub(crate) fn unset(&mut self, path: &[&str]) {
        let Some((last, above)) = path.split_last() else { return };
        let mut at = Some(&mut self.value);
        for part in above {
            at = at.and_then(|value| value.get_mut(*part));
        }
        if let Some(map) = at.and_then(Value::as_object_mut) {
            map.remove(*last);
        }
    }

    /// Where the API has it.
    pub(crate) fn api(&self, cluster: &Cluster) -> Api<DynamicObject> {
        api(cluster, &self.kind)
    }

    /// A request for it, for messages.
    pub(crate) fn doing(&self, verb: &'static str, cluster: &Cluster) -> Doing {
        let namespace = self.kind.namespaced.then_some(cluster.namespace.as_str());
        Doing::one(verb, &self.kind.qualified(), &self.name, namespace)
    }
}

/// Where the API has the objects of a kind.
pub(crate) fn api(cluster: &Cluster, kind: &Kind) -> Api<DynamicObject> {
    if kind.namespaced {
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &kind.resource)
    } else {
        Api::all_with(cluster.client.clone(), &kind.resource)
    }
}

/// The JSON of what the server answered.
///
/// # Errors
/// When it is no JSON, which a server does not answer.
pub(crate) fn received(kind: &Kind, object: DynamicObject) -> Result<Object> {
    let mut value = serde_json::to_value(object)?;
    // Lists leave out what all their items share.
    value["apiVersion"] = kind.resource.api_version.clone().into();
    value["kind"] = kind.resource.kind.clone().into();
    Object::new(kind.clone(), value)
}

/// The objects of documents, before their kinds are known to the server.
///
/// # Errors
/// When a document is no YAML, or an object has no kind.
pub(crate) fn parse(documents: &[Document]) -> Result<Vec<Value>> {
    let mut values = Vec::new();
    for document in documents {
        if !document.path.ends_with(".yaml") && !document.path.ends_with(".yml") {
            continue;
        }
        let Some(value) = &document.value else { continue };
        match value.get("apiVersion").and_then(Value::as_str) {
            // A template of the user may leave a document empty.
            _ if value.as_object().is_some_and(Map::is_empty) => {}
            Some(api) if api.starts_with(KUSTOMIZE) => {}
            Some(_) if value.get("kind").is_some_and(Value::is_string) => values.push(value.clone()),
            _ => bail!("`{}` holds an object without `apiVersion` and `kind`", document.path),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, value: Value) -> Document {
        Document { path: path.into(), text: String::new(), value: Some(value), mode: 0o644 }
    }

    #[test]
    fn objects_are_those_of_all_documents_but_kustomizations() {
        let documents = [
            document("a.yaml", json!({"apiVersion": "v1", "kind": "Namespace"})),
            document("b.yml", json!({"apiVersion": "v1", "kind": "Service"})),
            document("empty.yaml", json!({})),
            document(
                "kustomization.yaml",
                json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}),
            ),
            document("dashboard.json", json!({"title": "shop"})),
            Document { value: None, ..document("README.md", json!(null)) },
        ];
        let kinds: Vec<_> = parse(&documents).unwrap().iter().map(|value| value["kind"].clone()).collect();
        assert_eq!(kinds, ["Namespace", "Service"]);
        parse(&[document("b.yaml", json!({"a": 1}))]).unwrap_err();
    }

    #[test]
    fn values_are_set_and_taken_away_below_missing_parents() {
        let kind = Kind::find("apps/v1", "Deployment").unwrap();
        let mut object = Object::new(kind, json!({"metadata": {"name": "a"}})).unwrap();
        object.set(&["spec", "replicas"], 3);
        assert_eq!(object.at("/spec/replicas"), Some(&json!(3)));
        object.unset(&["spec", "replicas"]);
        object.unset(&["status", "replicas"]);
        assert_eq!(object.at("/spec"), Some(&json!({})));
    }
}
