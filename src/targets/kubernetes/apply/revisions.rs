//! `restart`, `history`, `rollback`: the revisions of the service's Deployment, which its ReplicaSets remember.

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::error::{ExitStatus, Failure};
use crate::render::Overrides;
use crate::render::context::kubernetes::names;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::address::Address;
use crate::targets::change::Outcome;
use crate::targets::kubernetes::apply::compare::missing;
use crate::targets::kubernetes::apply::deployed::{Deployed, mark, port_of};
use crate::targets::kubernetes::apply::documents::is_service;
use crate::targets::kubernetes::apply::mounted::{self, Mounted};
use crate::targets::kubernetes::apply::reach::running_values;
use crate::targets::kubernetes::apply::references::mark_changes;
use crate::targets::kubernetes::apply::secrets::service_values;
use crate::targets::kubernetes::apply::transition::{Passage, beside, is_policy};
use crate::targets::kubernetes::client::{Kind, MANAGER, Object, apply, list, received};
use crate::targets::kubernetes::observe::{Inventory, REVISION, Snapshot, Waiting};
use crate::targets::kubernetes::scale::replicas;
use crate::targets::kubernetes::session::{Session, not_up};
use crate::targets::plan::{Action, Plan};
use crate::targets::revision::Revision;

/// The annotation by which kubectl, too, makes a Deployment replace its pods.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// What the Deployment controller adds to a ReplicaSet's pods.
const HASH: &str = "pod-template-hash";

impl Session<'_> {
    /// Replaces every replica, as the Deployment's strategy says: a new one is ready before an old one goes.
    ///
    /// # Errors
    /// As [`Session::up`]; exit 4 when the stack is not up.
    pub(crate) async fn restart(&self) -> Result<Outcome> {
        let cluster = &self.cluster;
        let live = self.live().await?;
        let mut plan = Plan::default();
        let snapshot = Snapshot::take(cluster, self.name()).await?;
        for pod in snapshot.pods_of(ComponentKind::Service) {
            plan.push(Action::Restart, crate::targets::kubernetes::observe::pods::name(pod), Vec::new());
        }
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED: Timestamp::now().to_string()}}}}});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let (api, patch) = (live.api(cluster), Patch::Merge(&patch));
        cluster.call(live.doing("patch", cluster), || api.patch(&live.name, &parameters, &patch)).await?;
        self.wait_for_rollout(Waiting::default()).await?;
        Ok(Outcome::new(plan, self.finish().await?))
    }

    /// The revisions that are remembered, the newest last.
    ///
    /// # Errors
    /// Exit 4 when the cluster cannot be reached or the stack is not up.
    pub(crate) async fn history(&self) -> Result<Vec<Revision>> {
        let live = self.live().await?;
        let sets = self.replica_sets(&live).await?;
        Ok(sets.iter().map(|(number, set)| revision(*number, set, &live)).collect())
    }

    /// Goes back to an earlier revision, by default the previous one, with the addresses and the port that it was made with, and
    /// waits for it.
    ///
    /// # Errors
    /// Exit 2 for an unknown revision, exit 1 when there is no earlier one, or when its addresses are not known any more or do
    /// not answer; else as [`Session::up`].
    pub(crate) async fn rollback(&self, number: Option<u64>) -> Result<Outcome> {
        let cluster = &self.cluster;
        self.sweep().await?;
        let live = self.live().await?;
        let sets = self.replica_sets(&live).await?;
        let current = live.annotation(REVISION).and_then(|number| number.parse::<u64>().ok());
        let previous = sets.iter().rev().map(|(number, _)| *number).find(|number| Some(*number) != current);
        let Some(number) = number.or(previous) else {
            let message = "the stack has no earlier revision";
            return Err(Failure::new(ExitStatus::Failed, message).hint("appforge history").into());
        };
        let Some((_, set)) = sets.iter().find(|(known, _)| *known == number) else {
            let known: Vec<String> = sets.iter().map(|(number, _)| number.to_string()).collect();
            return Err(Failure::new(ExitStatus::Usage, format!("unknown revision {number}"))
                .hint(format!("revisions: {}; `appforge history` describes them", known.join(", ")))
                .into());
        };
        let mut plan = Plan::default();
        if current == Some(number) {
            return Ok(Outcome::new(plan, self.finish().await?));
        }
        let mut template = serde_json::to_value(&set.spec.template)?;
        if let Some(labels) =
            template.pointer_mut("/metadata/labels").and_then(|labels| labels.as_object_mut())
        {
            labels.remove(HASH);
        }
        let inventory = Inventory::look(cluster, self.name(), self.say).await?;
        let secret = self.bring_back(&inventory, &mut template, number)?;
        let unreachable = self.pass_back(&inventory, &template, &secret).await?;
        let port = deployed(set).port.or_else(|| port_of(&template, names::PUBLIC_PORT));
        let port = port.unwrap_or(self.stack.service.port);
        let then = self.kubernetes.with_port(port);
        let documents = then.documents(cluster, Overrides::default()).await?;
        let deployment = documents.iter().find(|object| is_service(object, &live.name));
        let mut object = deployment.context("the stack has no Deployment")?.clone();
        // Going back changes what runs, never how many.
        replicas::leave(&mut object, &live);
        object.set(&["spec", "template"], template);
        mark(&mut object, port, Some(&format!("appforge rollback {number}")));
        let result = apply(cluster, &object, MANAGER, false).await?;
        let causes =
            crate::targets::kubernetes::apply::compare::differences("Deployment", &live.value, &result.value);
        plan.push(Action::Restart, live.title(), causes);
        self.wait_for_rollout(Waiting::default()).await?;
        for object in documents.iter().filter(|object| leads_to(object)) {
            let Some(live) = inventory.find(&object.kind, &object.name) else { continue };
            let causes = missing(object.kind.name(), &live.value, &object.value);
            if !causes.is_empty() {
                apply(cluster, object, MANAGER, false).await?;
                plan.push(Action::Change, object.title(), causes);
            }
        }
        let mut outcome = Outcome::new(plan, then.session(cluster.clone(), self.say).finish().await?);
        outcome.unreachable = unreachable;
        Ok(outcome)
    }

    /// Lets the pod template of an earlier revision name the Secret with the content that it was made with, and returns that.
    fn bring_back(&self, inventory: &Inventory, template: &mut Value, number: u64) -> Result<Object> {
        let say = self.say;
        let service = names::service(self.stack);
        let before = Mounted::of(template, &service);
        let copy = before.digest.as_deref().map(|digest| (digest, mounted::copy_name(&service, digest)));
        let found = copy.as_ref().and_then(|(_, name)| inventory.named("Secret", name));
        match (found, copy) {
            (Some(found), Some((digest, _))) => {
                mounted::point(template, &service, digest);
                return Ok(found.clone());
            }
            (None, Some((_, name))) if !before.stable => {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    format!("revision {number} needs the Secret `{name}`, which was deleted"),
                )
                .hint("set the values of that revision in the stack file, then: appforge up")
                .into());
            }
            _ => say(&format!(
                "revision {number} uses the Secret `{service}` itself: it returns with today's addresses"
            )),
        }
        inventory.named("Secret", &service).cloned().ok_or_else(|| {
            Failure::new(ExitStatus::Failed, format!("the Secret `{service}` was deleted"))
                .hint("appforge up")
                .into()
        })
    }

    /// Opens the network for an earlier revision, and tries the addresses that differ from those of today. The policy stays
    /// beside the other one until the next `up`, which knows what the file says.
    async fn pass_back(
        &self,
        inventory: &Inventory,
        template: &Value,
        secret: &Object,
    ) -> Result<Vec<String>> {
        let cluster = &self.cluster;
        let service = names::service(self.stack);
        let values = service_values(inventory, &secret.name)?.unwrap_or_default();
        let running = running_values(inventory, &service)?.unwrap_or_default();
        let mut addresses = StoreKind::ALL.map(Address::of).to_vec();
        for address in &mut addresses {
            address.changed = values.get(address.key) != running.get(address.key);
        }
        if let Some(live) = inventory.named("Deployment", &service) {
            mark_changes(&mut addresses, live, template);
        }
        addresses.retain(|address| address.changed);
        let documents = self
            .kubernetes
            .with_addresses(&values, template)
            .documents(cluster, Overrides::default())
            .await?;
        let policy = documents.iter().find(|object| is_policy(object, &service));
        let policy = policy.zip(inventory.named("NetworkPolicy", &service));
        let policy = policy
            .filter(|(policy, live)| !missing("NetworkPolicy", &live.value, &policy.value).is_empty())
            .map(|(policy, _)| beside(policy, &service));
        let there = |policy: &Object| inventory.find(&policy.kind, &policy.name).is_some();
        let passage = Passage {
            policy: policy.map(|policy| (policy.clone(), there(&policy))),
            secret: (secret, true),
            template,
            addresses,
            strict: false,
        };
        self.pass(&passage).await
    }

    /// The service's Deployment as it is.
    pub(crate) async fn live(&self) -> Result<Object> {
        let cluster = &self.cluster;
        let kind = Kind::find("apps/v1", "Deployment").context("Deployments are a known kind")?;
        let name = names::service(self.stack);
        let wanted = Object::new(kind.clone(), json!({"metadata": {"name": name}}))?;
        let api = wanted.api(cluster);
        let found = cluster.find(wanted.doing("get", cluster), || api.get(&name)).await?;
        let found = found.ok_or_else(|| not_up(self.name(), cluster))?;
        received(&kind, found)
    }

    /// The Deployment's ReplicaSets by revision, the newest last.
    async fn replica_sets(&self, live: &Object) -> Result<Vec<(u64, ReplicaSet)>> {
        let cluster = &self.cluster;
        let sets: Vec<ReplicaSet> = list(cluster, self.name(), "replicasets.apps").await?;
        let ours = |set: &ReplicaSet| {
            set.metadata.owner_references.iter().flatten().any(|owner| owner.name == live.name)
        };
        let mut sets: Vec<(u64, ReplicaSet)> = sets
            .into_iter()
            .filter(ours)
            .filter_map(|set| Some((set.metadata.annotations.as_ref()?.get(REVISION)?.parse().ok()?, set)))
            .collect();
        sets.sort_by_key(|(number, _)| *number);
        Ok(sets)
    }
}

/// Whether an object names the port of the service by its number.
fn leads_to(object: &Object) -> bool {
    matches!(object.kind.name(), "Service" | "HTTPRoute")
}

fn deployed(set: &ReplicaSet) -> Deployed {
    let annotations = set.metadata.annotations.as_ref();
    Deployed::of(|name| annotations?.get(name).map(String::as_str))
}

fn revision(number: u64, set: &ReplicaSet, live: &Object) -> Revision {
    let spec = set.spec.template.as_ref().and_then(|template| template.spec.as_ref());
    let image = spec.and_then(|spec| spec.containers.first()?.image.clone());
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let Deployed { by, at, message, .. } = deployed(set);
    Revision {
        number,
        current: live.annotation(REVISION) == Some(number.to_string().as_str()),
        deployed: at.or_else(|| Some(set.metadata.creation_timestamp.as_ref()?.0)),
        by,
        message,
        image: image.unwrap_or_default(),
        ready: u32::try_from(ready).unwrap_or(0),
    }
}
