//! What changes leave behind: pods of a command that was cut off, copies of credentials that no revision names any more,
//! volumes of stores that the stack no longer runs.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use serde_json::Value;

use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::apply::mounted::{Mounted, copy_name, secrets};
use crate::targets::kubernetes::client::{Doing, Object, STACK_LABEL, is_forbidden, list, remove};
use crate::targets::kubernetes::observe::{Inventory, pods};
use crate::targets::kubernetes::session::Session;

/// A copy this young may be that of a colleague's `up`, whose Deployment does not name it yet.
const YOUNG: SignedDuration = SignedDuration::from_mins(10);

impl Session<'_> {
    /// Removes pods that tried addresses for a command that was cut off.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let cluster = &self.cluster;
        let api = cluster.api::<Pod>();
        let labels = format!("{STACK_LABEL}={},{}={}", self.name(), names::REACH_LABEL, names::REACH_STORES);
        let parameters = ListParams::default().labels(&labels);
        let doing = Doing::all("list", "pods", Some(&cluster.namespace));
        for pod in cluster.call(doing, || api.list(&parameters)).await?.items {
            let name = pods::name(&pod).to_owned();
            let doing = Doing::one("delete", "pods", &name, Some(&cluster.namespace));
            let parameters = DeleteParams::default();
            cluster.find(doing, || api.delete(&name, &parameters)).await?;
        }
        Ok(())
    }

    /// Removes the copies of credentials and variables that no ReplicaSet names, but those that are `wanted`. Returns what could not
    /// be removed, for people.
    pub(crate) async fn prune_copies(
        &self,
        inventory: &Inventory,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let (cluster, say) = (&self.cluster, self.say);
        let service = names::service(self.stack);
        let old: Vec<&Object> = inventory
            .objects
            .iter()
            .filter(|object| is_copy(object, &service) || is_copy(object, &names::env_file(self.stack)))
            .filter(|object| is_old(object) && !wanted.contains(&object.name))
            .collect();
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let sets: Vec<ReplicaSet> = list(cluster, self.name(), "replicasets.apps").await?;
        let mut named = BTreeSet::new();
        for set in &sets {
            let template = serde_json::to_value(&set.spec.template)?;
            named.extend(secrets(&template));
            // A template that names the stable Secret was made with this content of it.
            named.extend(Mounted::of(&template, &service).digest.map(|digest| copy_name(&service, &digest)));
        }
        let mut kept = Vec::new();
        for copy in old {
            if named.contains(&copy.name) {
                continue;
            }
            say(&format!("removing {}, which no revision uses", copy.title()));
            match remove(cluster, copy).await {
                Err(error) if is_forbidden(&error) => {
                    kept.push(format!(
                        "{} is unused, but this user is not allowed to remove it",
                        copy.title()
                    ));
                }
                other => drop(other?),
            }
        }
        Ok(kept)
    }
}

/// Whether an object is an immutable copy of the service's credentials.
pub(crate) fn is_copy(object: &Object, service: &str) -> bool {
    object.kind.name() == "Secret"
        && object.label(names::CREDENTIALS).is_some_and(|digest| object.name == copy_name(service, digest))
}

fn is_old(object: &Object) -> bool {
    let made = object.at("/metadata/creationTimestamp").and_then(Value::as_str);
    let made = made.and_then(|text| text.parse::<Timestamp>().ok());
    made.is_some_and(|made| Timestamp::now().duration_since(made) > YOUNG)
}

/// The volume claims that a StatefulSet leaves behind.
pub(crate) fn claims(inventory: &Inventory, set: &Object) -> Vec<Object> {
    if set.kind.name() != "StatefulSet" {
        return Vec::new();
    }
    let claims = inventory.objects.iter().filter(|object| {
        object.kind.name() == "PersistentVolumeClaim"
            && object.label(names::INSTANCE_LABEL) == Some(&set.name)
    });
    claims.cloned().collect()
}

/// An object that holds data, with its size when it has one, such as `persistentvolumeclaim/data-shop-mongodb-0 (10Gi)`.
pub(crate) fn described(object: &Object) -> String {
    match object.at("/spec/resources/requests/storage") {
        Some(size) => format!("{} ({})", object.title(), size.as_str().unwrap_or_default()),
        None => object.title(),
    }
}
