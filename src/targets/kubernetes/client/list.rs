//! Lists of the stack's objects, by the label that all of them carry.

use anyhow::Result;
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use crate::targets::kubernetes::client::cluster::Cluster;
use crate::targets::kubernetes::client::fault::Doing;
use crate::targets::kubernetes::client::kind::Kind;
use crate::targets::kubernetes::client::object::{Object, STACK_LABEL, api, received};

/// The stack's objects of one kind.
pub(crate) async fn list<K>(cluster: &Cluster, stack: &str, resource: &str) -> Result<Vec<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = cluster.api::<K>();
    let parameters = ListParams::default().labels(&format!("{STACK_LABEL}={stack}"));
    let doing = Doing::all("list", resource, Some(&cluster.namespace));
    Ok(cluster.find(doing, || api.list(&parameters)).await?.map(|list| list.items).unwrap_or_default())
}

/// The stack's objects of one kind; none of a kind that the server does not have.
pub(crate) async fn list_kind(cluster: &Cluster, kind: &Kind, stack: &str) -> Result<Vec<Object>> {
    list_by(cluster, kind, &format!("{STACK_LABEL}={stack}")).await
}

/// The objects of one kind in the namespace that are not the stack's.
pub(crate) async fn list_others(cluster: &Cluster, kind: &Kind, stack: &str) -> Result<Vec<Object>> {
    list_by(cluster, kind, &format!("{STACK_LABEL}!={stack}")).await
}

async fn list_by(cluster: &Cluster, kind: &Kind, labels: &str) -> Result<Vec<Object>> {
    let namespace = kind.namespaced.then_some(cluster.namespace.as_str());
    let doing = Doing::all("list", &kind.qualified(), namespace);
    let parameters = ListParams::default().labels(labels);
    let api = api(cluster, kind);
    let found = cluster.find(doing, || api.list(&parameters)).await?;
    found.map(|list| list.items).unwrap_or_default().into_iter().map(|item| received(kind, item)).collect()
}
