//! What a changed stack file means for volumes that are there: they are kept, or grow. What neither the API server nor the data
//! survives is refused before anything is applied. A StatefulSet keeps the claim template that it was made with; the size of
//! its volumes is that of their claims.

use anyhow::{Context, Result};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use serde_json::{Value, json};

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::render::context::kubernetes::object::quantity;
use crate::stack::Stack;
use crate::stack::values::ByteSize;
use crate::targets::kubernetes::client::{Cluster, Doing, Kind, Object};
use crate::targets::kubernetes::observe::Inventory;
use crate::targets::kubernetes::session::Session;

/// Where a StatefulSet has the templates of its claims.
const TEMPLATES: &str = "/spec/volumeClaimTemplates";
/// The size, in a claim and in a template.
const SIZE: &str = "/spec/resources/requests/storage";
/// The kind of what asks for a volume.
const CLAIM: &str = "PersistentVolumeClaim";
/// The container that only `redis.topology: sentinel` has.
const SENTINEL: &str = "sentinel";

/// The size that the stack file asks for, and where it is written.
struct Asked {
    path: &'static str,
    /// `None` keeps what is there.
    size: Option<ByteSize>,
}

impl Asked {
    fn of(stack: &Stack, set: &str) -> Option<Self> {
        if set == names::redis(stack) {
            return Some(Self { path: "redis.storage", size: stack.redis.storage });
        }
        let mongodb = set == names::mongodb(stack);
        mongodb.then_some(Self { path: "mongodb.storage", size: Some(stack.mongodb.storage) })
    }
}

impl Session<'_> {
    /// Fits the StatefulSets of `objects` to the volumes that are there. Returns the claims that have to grow.
    ///
    /// # Errors
    /// Exit 1 with the way out for a volume that cannot become what the stack file says.
    pub(crate) async fn fit_volumes(
        &self,
        inventory: &Inventory,
        objects: &mut [Object],
    ) -> Result<Vec<Object>> {
        let mut grown = Vec::new();
        for set in objects.iter_mut().filter(|object| object.kind.name() == "StatefulSet") {
            let Some(asked) = Asked::of(self.stack, &set.name) else { continue };
            let live = inventory.named("StatefulSet", &set.name).filter(|live| !live.is_leaving());
            if let Some(live) = live {
                refuse_other_shape(&self.cluster, set, live)?;
            }
            let claims = claims(inventory, &set.name);
            if set.at(TEMPLATES).is_none() {
                continue;
            }
            for claim in &claims {
                let (Some(has), Some(asks)) = (size(claim.at(SIZE)), asked.size) else { continue };
                if asks < has {
                    return Err(shrinks(&asked, claim, has, asks).into());
                }
                if asks > has {
                    self.refuse_fixed_class(&asked, claim, has).await?;
                    grown.push(larger(claim, asks)?);
                }
            }
            let kept = live.and_then(|live| live.at(TEMPLATES)?.pointer(&format!("/0{SIZE}")));
            let kept = kept.or_else(|| claims.first()?.at(SIZE).filter(|_| asked.size.is_none()));
            if let Some(kept) = kept.cloned()
                && let Some(size) = set.value.pointer_mut(&format!("{TEMPLATES}/0{SIZE}"))
            {
                *size = kept;
            }
        }
        Ok(grown)
    }

    /// Some classes make volumes that cannot grow. Without the right to read the class, the server's dry run decides.
    async fn refuse_fixed_class(&self, asked: &Asked, claim: &Object, has: ByteSize) -> Result<()> {
        let cluster = &self.cluster;
        let Some(name) = claim.at("/spec/storageClassName").and_then(Value::as_str) else { return Ok(()) };
        let api: Api<StorageClass> = Api::all(cluster.client.clone());
        let doing = Doing::one("get", "storageclasses.storage.k8s.io", name, None);
        let Ok(Some(class)) = cluster.find(doing, || api.get(name)).await else { return Ok(()) };
        if class.allow_volume_expansion == Some(true) {
            return Ok(());
        }
        Err(Failure::new(
            ExitStatus::Failed,
            format!(
                "`{}` cannot grow: the storage class `{name}` does not expand volumes, so nothing was applied",
                claim.title()
            ),
        )
        .hint(format!("keep the volume as it is: set `{}: {has}`", asked.path))
        .hint(format!(
            "if its provisioner can expand volumes: kubectl --context {} patch storageclass {name} -p '{{\"allowVolumeExpansion\":true}}'",
            cluster.place.context
        ))
        .into())
    }
}

/// Redis with volumes against without, and one server against three with Sentinel: a StatefulSet cannot become the other.
fn refuse_other_shape(cluster: &Cluster, set: &Object, live: &Object) -> Result<()> {
    let volumes =
        |set: &Object| set.at(TEMPLATES).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let (path, was, asks, lost) = match ((volumes(live), volumes(set)), (sentinel(live), sentinel(set))) {
        ((true, false), _) => (
            "redis.persistence",
            "aof",
            "none",
            "its counts and cache start empty, and the volumes stay unused",
        ),
        ((false, true), _) => ("redis.persistence", "none", "aof", "its counts and cache start empty"),
        (_, (false, true)) => ("redis.topology", "single", "sentinel", "its data is kept"),
        (_, (true, false)) => (
            "redis.topology",
            "sentinel",
            "single",
            "the data of the first server counts, and the other volumes stay unused",
        ),
        _ => return Ok(()),
    };
    let recreate = format!(
        "kubectl --context {} -n {} delete {} {} && appforge up",
        cluster.place.context,
        cluster.namespace,
        set.kind.qualified(),
        set.name
    );
    Err(Failure::new(
        ExitStatus::Failed,
        format!(
            "`{}` runs with `{path}: {was}` and cannot become `{asks}` in place, so nothing was applied",
            set.title()
        ),
    )
    .hint(format!(
        "recreate Redis ({lost}; until it is back, `rate_limit.on_redis_failure` applies): {recreate}"
    ))
    .hint(format!("keep it as it is: set `{path}: {was}`"))
    .into())
}

fn sentinel(set: &Object) -> bool {
    let containers = set.at("/spec/template/spec/containers").and_then(Value::as_array);
    containers.is_some_and(|all| all.iter().any(|container| container["name"] == SENTINEL))
}

fn shrinks(asked: &Asked, claim: &Object, has: ByteSize, asks: ByteSize) -> Failure {
    Failure::new(
        ExitStatus::Failed,
        format!(
            "`{}` has {has} and cannot shrink to {asks} (`{}`), so nothing was applied",
            claim.title(),
            asked.path
        ),
    )
    .hint(format!("keep the volume as it is: set `{}: {has}`", asked.path))
}

/// Whether an object is a claim that grows. The StatefulSet controller made it and never sets its size again, so taking that
/// conflicts with nothing.
pub(crate) fn is_claim(object: &Object) -> bool {
    object.kind.name() == CLAIM
}

/// The claims of a StatefulSet, by name.
fn claims<'a>(inventory: &'a Inventory, set: &str) -> Vec<&'a Object> {
    let mut claims: Vec<&Object> = inventory
        .objects
        .iter()
        .filter(|object| is_claim(object) && !object.is_leaving())
        .filter(|claim| claim.label(names::INSTANCE_LABEL) == Some(set))
        .collect();
    claims.sort_by(|one, other| one.name.cmp(&other.name));
    claims
}

/// What is sent of a claim that grows: the size alone, the rest is the StatefulSet controller's.
fn larger(claim: &Object, size: ByteSize) -> Result<Object> {
    let kind = Kind::find("v1", CLAIM).context("claims are a known kind")?;
    let value = json!({
        "apiVersion": "v1",
        "kind": CLAIM,
        "metadata": {"name": claim.name},
        "spec": {"resources": {"requests": {"storage": quantity(size)}}},
    });
    Object::new(kind, value)
}

/// A size as the API has it; `None` for one that this program never writes, such as `1e9`.
fn size(value: Option<&Value>) -> Option<ByteSize> {
    let text = value?.as_str()?;
    let decimal = [("k", "kB"), ("M", "MB"), ("G", "GB")];
    let unit =
        decimal.into_iter().find_map(|(unit, ours)| Some(format!("{}{ours}", text.strip_suffix(unit)?)));
    unit.as_deref().unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_of_a_claim_is_read_in_each_unit() {
        for (text, bytes) in [("4Gi", 4 << 30), ("512Mi", 512 << 20), ("10G", 10_000_000_000), ("1024", 1024)]
        {
            assert_eq!(size(Some(&json!(text))), Some(ByteSize(bytes)), "{text}");
        }
        assert_eq!(size(Some(&json!("1e9"))), None);
        assert_eq!(size(None), None);
    }
}
