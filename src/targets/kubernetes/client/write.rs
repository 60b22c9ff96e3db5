//! Requests that change one object: apply, scale, delete, and the wait for its end.

use anyhow::Result;
use futures_util::future::BoxFuture;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use crate::error::{ExitStatus, Failure};
use crate::targets::kubernetes::client::cluster::Cluster;
use crate::targets::kubernetes::client::object::{Object, received};

/// Applies an object server-side.
pub(crate) async fn apply(cluster: &Cluster, object: &Object, manager: &str, force: bool) -> Result<Object> {
    let api = object.api(cluster);
    let mut parameters = PatchParams::apply(manager).validation_strict();
    parameters.force = force;
    let patch = Patch::Apply(&object.value);
    let answer =
        cluster.call(object.doing("patch", cluster), || api.patch(&object.name, &parameters, &patch)).await?;
    received(&object.kind, answer)
}

/// Sets the number of replicas of a workload, as `kubectl scale` does.
pub(crate) async fn set_replicas(
    cluster: &Cluster,
    object: &Object,
    count: u32,
    manager: &str,
) -> Result<()> {
    let api = object.api(cluster);
    let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": count}}));
    let mut doing = object.doing("patch", cluster);
    doing.resource = format!("{}/scale", doing.resource);
    cluster.call(doing, || api.patch_scale(&object.name, &parameters, &patch)).await.map(drop)
}

/// Deletes an object with all that hangs on it; one that is gone already is fine.
pub(crate) fn remove<'a>(cluster: &'a Cluster, object: &'a Object) -> BoxFuture<'a, Result<bool>> {
    Box::pin(async move {
        let api = object.api(cluster);
        let parameters = kube::api::DeleteParams::foreground();
        let found =
            cluster.find(object.doing("delete", cluster), || api.delete(&object.name, &parameters)).await?;
        Ok(found.is_some())
    })
}

/// Waits until an object that is being deleted is no longer there.
///
/// # Errors
/// Exit 9 when it is still there at the deadline.
pub(crate) async fn wait_until_deleted(cluster: &Cluster, object: &Object) -> Result<()> {
    let Some(uid) = object.at("/metadata/uid").and_then(|uid| uid.as_str()) else { return Ok(()) };
    let gone = await_condition(object.api(cluster), &object.name, conditions::is_deleted(uid));
    match tokio::time::timeout_at(cluster.deadline(), gone).await {
        // A watch that cannot be begun says nothing; the next request to the server will.
        Ok(_) => Ok(()),
        Err(_) => {
            Err(Failure::new(ExitStatus::TimedOut, format!("`{}` is still being deleted", object.title()))
                .hint(format!(
                    "kubectl --context {} -n {} get {} {} -o yaml shows which finalizer holds it",
                    cluster.place.context,
                    cluster.namespace,
                    object.kind.qualified(),
                    object.name
                ))
                .into())
        }
    }
}
