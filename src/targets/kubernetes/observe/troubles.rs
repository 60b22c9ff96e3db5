//! What is wrong with a stack that `up` does not fix: an image that cannot be pulled, a volume claim that is
//! being deleted, an autoscaler without metrics. For people, one sentence each.

use anyhow::Result;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::client::{Cluster, Object, list};
use crate::targets::kubernetes::observe::Inventory;
use crate::targets::kubernetes::observe::pods::{self, trouble};
use crate::targets::kubernetes::scale::autoscaler;

/// Keeps a claim that is being deleted until no pod uses it.
const IN_USE: &str = "kubernetes.io/pvc-protection";

/// All of them.
///
/// # Errors
/// When pods cannot be listed.
pub(crate) async fn troubles(cluster: &Cluster, stack: &str, inventory: &Inventory) -> Result<Vec<String>> {
    let mut lines: Vec<String> = leaving_claims(inventory)
        .map(|claim| format!("{} is being deleted: its data is lost once its pod ends", claim.title()))
        .collect();
    for pod in list::<Pod>(cluster, stack, "pods").await? {
        if let Some(trouble) = trouble(&pod).filter(pods::Trouble::is_about_image) {
            lines.push(format!("pod/{} cannot start: {}", pods::name(&pod), trouble.line()));
        }
    }
    for object in inventory.objects.iter().filter(|object| object.kind.name() == "HorizontalPodAutoscaler") {
        let Ok(scaler) = serde_json::from_value::<HorizontalPodAutoscaler>(object.value.clone()) else {
            continue;
        };
        if let Some(condition) = autoscaler::read(&scaler).inactive() {
            lines.push(format!(
                "{} does not scale: {}: {}; `appforge doctor` checks the metrics",
                condition.object, condition.reason, condition.message
            ));
        }
    }
    Ok(lines)
}

/// Refuses to change a stack one of whose stores is about to lose its data.
///
/// # Errors
/// Exit 1 for a claim that is being deleted and that a pod uses.
pub(crate) fn refuse_lost_claim(cluster: &Cluster, inventory: &Inventory) -> Result<()> {
    let used = |claim: &&Object| {
        let finalizers = claim.at("/metadata/finalizers").and_then(Value::as_array);
        let set = claim.label(names::INSTANCE_LABEL).and_then(|name| inventory.named("StatefulSet", name));
        finalizers.is_some_and(|all| all.iter().any(|one| one == IN_USE))
            && set.is_some_and(|set| !set.is_leaving())
    };
    let Some(claim) = leaving_claims(inventory).find(used) else { return Ok(()) };
    let kubectl = format!("kubectl --context {} -n {}", cluster.place.context, cluster.namespace);
    let set = claim.label(names::INSTANCE_LABEL).unwrap_or_default();
    Err(Failure::new(
        ExitStatus::Failed,
        format!(
            "{} is being deleted: its data is lost once its pod ends; nothing was applied",
            claim.title()
        ),
    )
    .hint(format!("copy the data first: {kubectl} exec -it {set}-0 -- sh"))
    .hint(format!("then let it go, and `appforge up` makes a new volume: {kubectl} delete pod {set}-0"))
    .into())
}

fn leaving_claims(inventory: &Inventory) -> impl Iterator<Item = &Object> {
    let leaving = |object: &&Object| object.kind.name() == "PersistentVolumeClaim" && object.is_leaving();
    inventory.objects.iter().filter(leaving)
}
