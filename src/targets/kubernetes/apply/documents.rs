//! The documents of a stack as objects of the API.

use anyhow::Result;
use kube::core::GroupVersionKind;
use serde_json::Value;

use crate::render::lint::{Finding, lint};
use crate::render::{self, Document, Overrides};
use crate::stack::TargetKind;
use crate::targets::kubernetes::client::{Cluster, Doing, Kind, Object, object};
use crate::targets::kubernetes::session::Kubernetes;

impl Kubernetes {
    /// What does not fit in the documents, as `render` reports it too.
    pub(crate) fn unfit(&self) -> Result<Vec<Finding>> {
        Ok(lint(&self.stack, TargetKind::Kubernetes, &self.rendered(Overrides::default())?))
    }

    pub(crate) fn rendered(&self, overrides: Overrides) -> Result<Vec<Document>> {
        let overrides = Overrides { templates: self.templates.clone(), ..overrides };
        render::render(&self.stack, TargetKind::Kubernetes, &overrides)
    }

    /// The objects of the documents, in the order of application.
    pub(crate) async fn documents(&self, cluster: &Cluster, overrides: Overrides) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for value in object::parse(&self.rendered(overrides)?)? {
            let kind = match known_kind(&value) {
                Some(kind) => kind,
                None => foreign(cluster, &value).await?,
            };
            objects.push(Object::new(kind, value)?);
        }
        objects.sort_by_key(|object| object.kind.rank);
        Ok(objects)
    }
}

/// Whether an object is the Deployment of the service.
pub(crate) fn is_service(object: &Object, name: &str) -> bool {
    object.kind.name() == "Deployment" && object.name == name
}

pub(crate) fn known_kind(value: &Value) -> Option<Kind> {
    Kind::find(value["apiVersion"].as_str()?, value["kind"].as_str()?)
}

/// A kind that only a patch or an own template names: the server knows where it has it.
async fn foreign(cluster: &Cluster, value: &Value) -> Result<Kind> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let doing = Doing::one("discover", api_version, kind, None);
    let (resource, capabilities) =
        cluster.call(doing, || kube::discovery::pinned_kind(&cluster.client, &gvk)).await?;
    Ok(Kind::foreign(resource, capabilities.scope == kube::discovery::Scope::Namespaced))
}
