//! `up` and `diff`: brings the objects of the cluster to what the documents say, and waits until they work.

use anyhow::{Context, Result};

use crate::render::Overrides;
use crate::render::context::kubernetes::names;
use crate::stack::TargetKind;
use crate::targets::change::{Change, Judge, Outcome};
use crate::targets::kubernetes::apply::changes::{Asked, Asking, Conflicts, ObjectChange};
use crate::targets::kubernetes::apply::deployed;
use crate::targets::kubernetes::apply::documents::{is_service, known_kind};
use crate::targets::kubernetes::apply::leftovers::is_copy;
use crate::targets::kubernetes::apply::mounted::{self, Content, Mounted};
use crate::targets::kubernetes::apply::prepared::{Prepared, Wanted};
use crate::targets::kubernetes::apply::release::Release;
use crate::targets::kubernetes::apply::secrets::{digest, service_values};
use crate::targets::kubernetes::apply::transition::{beside, is_policy};
use crate::targets::kubernetes::client::{Cluster, Kind, Object, object, wait_until_deleted};
use crate::targets::kubernetes::observe::troubles::{refuse_lost_claim, troubles};
use crate::targets::kubernetes::observe::{Inventory, NamespaceState, Waiting};
use crate::targets::kubernetes::scale::replicas::{self, Handover, Request};
use crate::targets::kubernetes::session::Session;
use crate::targets::plan::{Action, Plan, Step};

impl Session<'_> {
    /// Brings the cluster to what the stack says, and waits for the rollout. After a failure or an interruption it continues
    /// where it stopped.
    ///
    /// # Errors
    /// Each obstacle by its own exit status and next command: see `fault`, `immutable` and `rollout`.
    pub(crate) async fn up(&self, change: &Change) -> Result<Outcome> {
        let mut wanted = self.wanted(true).await?;
        self.sweep().await?;
        wanted.credentials.keep()?;
        let namespace = wanted.objects.iter().find(|object| object.kind.name() == "Namespace");
        if wanted.inventory.namespace == NamespaceState::Missing {
            // The server judges objects only in a namespace that is there.
            self.kubernetes.make_namespace(&self.cluster, namespace).await?;
        }
        let made = self.kubernetes.made_namespace.get().is_some();
        if made {
            // It is there now, and needs no change.
            wanted.inventory.namespace = NamespaceState::Foreign;
        }
        let conflicts = if change.force { Conflicts::Take } else { Conflicts::Refuse };
        let asking = Asking { server: true, explicit: change.explicit, conflicts };
        let mut prepared = self.prepare(&mut wanted, asking).await?;
        let mut plan = prepared.changes.plan();
        prepared.mark(&names::service(self.stack), self.stack.service.port, change.message.as_deref());
        if made {
            plan.steps.insert(0, new_namespace(&self.cluster));
        }
        prepared.notes.iter().for_each(|note| (self.say)(note));
        if let Some(image) = &wanted.image {
            self.load_image(image).await?;
        }
        let tried = self.try_first(&wanted, &prepared, change.strict).await?;
        self.kubernetes.record_owner(&self.cluster, self.say).await?;
        self.carry_out(&prepared, change.force).await?;
        let floor = self.stack.replicas_on(TargetKind::Kubernetes);
        self.lift(floor).await?;
        let kept = matches!(prepared.handover, Handover::Keep(_));
        let leaving = &prepared.changes.prunes;
        let meant = Waiting { floor: if kept { 0 } else { floor }, leaving, only: None };
        self.wait_for_rollout(meant).await?;
        self.conclude(&prepared, change.force).await?;
        let left = self.prune_copies(&wanted.inventory, &prepared.secrets()).await?;
        let unreachable = match tried {
            Some(warnings) => warnings,
            None => self.try_last(&wanted, &prepared, change.strict).await?,
        };
        let mut outcome = Outcome::new(plan, self.finish().await?);
        outcome.unreachable = unreachable;
        outcome.left = prepared.changes.left(&self.cluster);
        outcome.left.extend(left);
        Ok(outcome)
    }

    /// What `up` would do; changes nothing.
    ///
    /// # Errors
    /// As [`Session::up`], as far as it can be known beforehand.
    pub(crate) async fn diff(&self, change: &Change, judge: Judge) -> Result<Plan> {
        let mut expected = self.wanted(false).await?;
        let missing = expected.inventory.namespace == NamespaceState::Missing;
        let server = judge == Judge::Server;
        let conflicts = if change.force { Conflicts::Take } else { Conflicts::Show };
        let asking = Asking { server, explicit: change.explicit, conflicts };
        let prepared = self.prepare(&mut expected, asking).await?;
        let mut plan = prepared.changes.plan();
        if missing {
            plan.steps.insert(0, new_namespace(&self.cluster));
        }
        prepared.notes.iter().for_each(|note| (self.say)(note));
        if !missing {
            let troubles = troubles(&self.cluster, self.name(), &expected.inventory).await?;
            troubles.iter().for_each(|trouble| (self.say)(&format!("warning: {trouble}")));
        }
        Ok(plan)
    }

    /// What the cluster has, and what it should have. Changes nothing.
    async fn wanted(&self, wait: bool) -> Result<Wanted> {
        let cluster = &self.cluster;
        // What cannot be rendered is said before anything is looked for on the network.
        let plain = self.kubernetes.rendered(Overrides::default())?;
        let variables = self.kubernetes.variables_of_file()?;
        let image = self.kubernetes.image(cluster)?;
        self.kubernetes.check_owner(cluster).await?;
        let mut needed = vec![Kind::find("v1", "Secret").context("Secrets are a known kind")?];
        needed.extend(object::parse(&plain)?.iter().filter_map(known_kind));
        let mut inventory = Inventory::look(cluster, self.name(), self.say).await?;
        let leaving: Vec<Object> =
            inventory.objects.iter().filter(|object| object.is_leaving()).cloned().collect();
        if wait && !leaving.is_empty() {
            refuse_lost_claim(cluster, &inventory)?;
            // An object that is being deleted takes a change, and is gone all the same.
            for object in &leaving {
                (self.say)(&format!("waiting for the deletion of {}", object.title()));
                wait_until_deleted(cluster, object).await?;
            }
            inventory = Inventory::look(cluster, self.name(), self.say).await?;
        }
        // What may not be seen is not what is not there.
        inventory.require(needed.iter())?;
        self.check_references().await?;
        let credentials = self.kubernetes.credentials(cluster, &inventory)?;
        let overrides = Overrides { image: image.clone(), ..Overrides::default() };
        let mut objects = self.kubernetes.documents(cluster, overrides).await?;
        if let Some(variables) = &variables {
            self.kubernetes.add_variables(variables, &credentials, &mut objects)?;
        }
        let grown = self.fit_volumes(&inventory, &mut objects).await?;
        self.watch_own_secrets(&inventory, &credentials, &mut objects).await?;
        let service = names::service(self.stack);
        let live = inventory.named("Deployment", &service).and_then(|live| live.at(mounted::TEMPLATE));
        let live = live.map(|template| Mounted::of(template, &service));
        let stable = service_values(&inventory, &service)?.map(|values| digest(&values)).transpose()?;
        let deployment = objects.iter_mut().find(|object| is_service(object, &service));
        let alike = deployment.is_some_and(|deployment| {
            mounted::settle(
                deployment,
                live.as_ref(),
                Content { stable: &service, digest: &credentials.digest, stable_digest: stable.as_deref() },
            )
        });
        let deployment = objects.iter().find(|object| is_service(object, &service));
        let release = deployment
            .map(|deployment| Release::of(self.stack, deployment, &credentials.digest, &inventory.objects));
        let release = release.transpose()?.flatten();
        objects.extend(grown);
        objects.extend(self.kubernetes.secret_objects(&credentials, &inventory)?);
        objects.sort_by_key(|object| object.kind.rank);
        Ok(Wanted { inventory, credentials, image, objects, alike, release })
    }

    async fn prepare(&self, wanted: &mut Wanted, asking: Asking) -> Result<Prepared> {
        let cluster = &self.cluster;
        let mut objects = std::mem::take(&mut wanted.objects);
        let inventory = &wanted.inventory;
        // Another user's namespace is theirs to label.
        objects.retain(|object| {
            object.kind.name() != "Namespace" || inventory.namespace == NamespaceState::Ours
        });
        let (floor, autoscaled) =
            (self.stack.replicas_on(TargetKind::Kubernetes), self.stack.kubernetes.autoscaling.is_some());
        let (mut handover, mut notes) = (Handover::None, Vec::new());
        let name = names::service(self.stack);
        if let Some(deployment) = objects.iter_mut().find(|object| is_service(object, &name)) {
            let live = inventory.named("Deployment", &name);
            if let Some(live) = live {
                deployed::keep(deployment, live);
            }
            handover = replicas::prepare(
                deployment,
                live,
                Request { replicas: floor, autoscaled, explicit: asking.explicit },
            );
            if let (Handover::Keep(running), Some(live)) = (handover, live) {
                let owner = replicas::owner(live).unwrap_or("another field manager");
                notes.push(format!(
                    "{} keeps its {running} replicas, which `{owner}` set; `appforge scale --replicas {floor}` takes that back",
                    live.title()
                ));
            }
        }
        let asked = Asked { cluster, stack: self.name(), inventory, asking };
        let mut changes = asked.changes(objects).await?;
        let release = wanted.release.take();
        if let Some(release) = &release {
            changes.add_release(release);
        }
        if asking.conflicts == Conflicts::Refuse {
            notes.extend(changes.changes.iter().flat_map(ObjectChange::kept));
        }
        if let Some(change) = changes.changes.iter_mut().find(|change| is_service(&change.object, &name))
            && wanted.alike
        {
            if change.action == Some(Action::Restart) {
                // Its pods are replaced anyway; the new ones keep what they were made with.
                let mut object = change.object.clone();
                if let Some(template) = object.value.pointer_mut(mounted::TEMPLATE) {
                    mounted::point(template, &name, &wanted.credentials.digest);
                }
                *change = asked.change(object).await?;
            } else {
                // The copy is kept for a later rollback; what runs does not need it.
                let copies = changes.changes.iter().filter(|change| is_copy(&change.object, &name));
                changes.quiet = copies.map(|change| change.object.title()).collect();
            }
        }
        let widens = |change: &&ObjectChange| {
            is_policy(&change.object, &name) && change.action == Some(Action::Change)
        };
        let beside = changes.changes.iter().find(widens).map(|change| beside(&change.object, &name));
        let beside = beside.filter(|_| inventory.named("Deployment", &name).is_some());
        if let Some(live) = inventory.named("Deployment", &name)
            && let Some(change) = changes.changes.iter_mut().find(|change| is_service(&change.object, &name))
        {
            let running = live.at("/spec/replicas").cloned().unwrap_or_default();
            // What the server makes of a Deployment without a number is not what will be: the number is handed over.
            change.causes.retain(|cause| !cause.starts_with("spec.replicas: ") || handover == Handover::None);
            let passed = match handover {
                Handover::Take(count) => Some(format!("spec.replicas: {running} -> {count}")),
                Handover::Give(_) => {
                    Some(format!("spec.replicas: {running}, from now on set by the autoscaler"))
                }
                Handover::None | Handover::Keep(_) => None,
            };
            if passed.is_some() {
                change.action = change.action.or(Some(Action::Change));
            }
            change.causes.extend(passed);
        }
        Ok(Prepared { changes, handover, notes, beside, release })
    }
}

fn new_namespace(cluster: &Cluster) -> Step {
    Step { action: Action::Create, component: format!("namespace/{}", cluster.namespace), causes: Vec::new() }
}
