//! `up` and `diff`: brings the objects of the cluster to what the documents say, and waits until they work.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::carry_out::Prepared;
use super::changes::{Change, Changes};
use super::cluster::{Cluster, MANAGER};
use super::down::wait_until_deleted;
use super::kind::Kind;
use super::leftovers::is_copy;
use super::mounted::{self, Mounted};
use super::object::{self, Object};
use super::replicas::{self, Handover};
use super::rollout::Waiting;
use super::secrets::{Credentials, digest, service_values};
use super::transition::{beside, is_policy};
use super::world::{NamespaceState, World};
use super::write::apply;
use super::{Kubernetes, LOOK};
use crate::render::context::kubernetes::names;
use crate::render::lint::{Finding, lint};
use crate::render::{self, Document, Overrides};
use crate::stack::TargetKind;
use crate::targets::Say;
use crate::targets::outcome::Outcome;
use crate::targets::plan::{Action, Plan, Step};

/// How `up` is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long all of it may take.
    pub timeout: Duration,
    /// Take fields over that somebody else manages.
    pub force_conflicts: bool,
    /// Whether the user asked for the number of replicas just now.
    pub explicit: bool,
    /// A new address that cannot be tried is a failure.
    pub strict: bool,
}

/// How a plan is made.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// The server judges each object; else it is only read, and what it would say is not known.
    pub server: bool,
    /// Whether the user asked for the number of replicas just now.
    pub explicit: bool,
    /// Take fields over that somebody else manages.
    pub force: bool,
}

/// What the cluster has, and what it should have.
pub(super) struct Wanted {
    /// What the cluster has.
    pub world: World,
    /// The secrets of the stack.
    pub credentials: Credentials,
    /// What the bundled image is called, when the stack has that.
    image: Option<String>,
    /// In the order of application.
    objects: Vec<Object>,
    /// The Deployment that runs names `NAME-app` itself, with the content that it should have.
    alike: bool,
}

impl Kubernetes {
    /// Brings the cluster to what the stack says, and waits for the rollout. Doing it again changes nothing; after a
    /// failure or an interruption it goes on where it stopped. Returns what was done.
    ///
    /// # Errors
    /// Each obstacle by its own exit status and next command: see `fault`, `immutable` and `rollout`.
    pub async fn up(&self, replicas: u32, options: Options, say: Say<'_>) -> Result<Outcome> {
        self.with_replicas(replicas).converge(options, say).await
    }

    async fn converge(&self, options: Options, say: Say<'_>) -> Result<Outcome> {
        let cluster = self.reach(options.timeout).await?;
        let _lock = self.lock("up", say).await?;
        let mut wanted = self.wanted(&cluster, true).await?;
        self.sweep(&cluster).await?;
        wanted.credentials.keep()?;
        let made = self.make_namespace(&cluster, &wanted).await?;
        if made {
            // It is there now, and needs no change.
            wanted.world.namespace = NamespaceState::Foreign;
        }
        let asking = Asking { server: true, explicit: options.explicit, force: options.force_conflicts };
        let prepared = self.prepare(&cluster, &mut wanted, asking).await?;
        let mut plan = prepared.changes.plan();
        if made {
            plan.steps.insert(0, new_namespace(&cluster));
        }
        for note in &prepared.notes {
            say(note);
        }
        if let Some(image) = &wanted.image {
            self.load_image(&cluster, image, say).await?;
        }
        let tried = self.try_first(&cluster, &wanted, &prepared, options.strict, say).await?;
        self.record_owner(&cluster, say).await?;
        self.carry_out(&cluster, &prepared, options.force_conflicts, say).await?;
        let floor = self.stack.replicas_on(TargetKind::Kubernetes);
        self.lift(&cluster, floor).await?;
        let kept = matches!(prepared.handover, Handover::Keep(_));
        let leaving = &prepared.changes.prunes;
        let meant = Waiting { floor: if kept { 0 } else { floor }, leaving, only: None };
        self.wait_for_rollout(&cluster, meant, say).await?;
        self.conclude(&cluster, &prepared, options.force_conflicts, say).await?;
        let left = self.prune_copies(&cluster, &wanted.world, &wanted.credentials.digest, say).await?;
        let unreachable = match tried {
            Some(warnings) => warnings,
            None => self.try_last(&cluster, &wanted, &prepared, options.strict, say).await?,
        };
        let mut outcome = Outcome::new(plan, self.finish(&cluster, say).await?);
        outcome.unreachable = unreachable;
        outcome.left = prepared.changes.left(&cluster);
        outcome.left.extend(left);
        Ok(outcome)
    }

    /// What `up` would do; changes nothing.
    ///
    /// # Errors
    /// As [`Kubernetes::up`], as far as it can be known beforehand.
    pub async fn diff(&self, replicas: u32, asking: Asking, say: Say<'_>) -> Result<Plan> {
        self.with_replicas(replicas).compare(asking, say).await
    }

    async fn compare(&self, asking: Asking, say: Say<'_>) -> Result<Plan> {
        let cluster = self.reach(LOOK).await?;
        let mut wanted = self.wanted(&cluster, false).await?;
        let missing = wanted.world.namespace == NamespaceState::Missing;
        let prepared = self.prepare(&cluster, &mut wanted, asking).await?;
        let mut plan = prepared.changes.plan();
        if missing {
            plan.steps.insert(0, new_namespace(&cluster));
        }
        for note in &prepared.notes {
            say(note);
        }
        Ok(plan)
    }

    /// What the cluster has, and what it should have. Changes nothing.
    async fn wanted(&self, cluster: &Cluster, wait: bool) -> Result<Wanted> {
        // What cannot be rendered is said before anything is looked for on the network.
        let plain = self.rendered(Overrides::default())?;
        let image = self.image(cluster)?;
        self.check_owner(cluster).await?;
        let mut needed = vec![Kind::find("v1", "Secret").context("Secrets are a known kind")?];
        needed.extend(object::parse(&plain)?.iter().filter_map(known_kind));
        let mut world = World::look(cluster, self.name()).await?;
        let leaving: Vec<Object> =
            world.objects.iter().filter(|object| object.is_leaving()).cloned().collect();
        if wait && !leaving.is_empty() {
            // An object that is being deleted takes a change, and is gone all the same.
            for object in &leaving {
                wait_until_deleted(cluster, object).await?;
            }
            world = World::look(cluster, self.name()).await?;
        }
        // What may not be seen is not what is not there.
        world.require(needed.iter())?;
        let credentials = self.credentials(cluster, &world)?;
        let overrides = Overrides { image: image.clone(), ..Overrides::default() };
        let mut objects = self.documents(cluster, overrides).await?;
        self.watch_own_secrets(cluster, &world, &credentials, &mut objects).await?;
        let service = names::service(&self.stack);
        let live = world.named("Deployment", &service).and_then(|live| live.at(mounted::TEMPLATE));
        let live = live.map(|template| Mounted::of(template, &service));
        let stable = service_values(&world, &service)?.map(|values| digest(&values)).transpose()?;
        let deployment = objects.iter_mut().find(|object| is_service(object, &service));
        let alike = deployment.is_some_and(|deployment| {
            mounted::settle(deployment, live.as_ref(), &service, &credentials.digest, stable.as_deref())
        });
        objects.extend(self.secret_objects(&credentials, &world)?);
        objects.sort_by_key(|object| object.kind.rank);
        Ok(Wanted { world, credentials, image, objects, alike })
    }

    /// What does not fit in the documents of so many replicas, as `render` says it too.
    ///
    /// # Errors
    /// When they cannot be rendered.
    pub fn findings(&self, replicas: u32) -> Result<Vec<Finding>> {
        let this = self.with_replicas(replicas);
        Ok(lint(&this.stack, TargetKind::Kubernetes, &this.rendered(Overrides::default())?))
    }

    fn rendered(&self, overrides: Overrides) -> Result<Vec<Document>> {
        let overrides = Overrides { templates: self.templates.clone(), ..overrides };
        render::render(&self.stack, TargetKind::Kubernetes, &overrides)
    }

    /// The objects of the documents, in the order of application.
    pub(super) async fn documents(&self, cluster: &Cluster, overrides: Overrides) -> Result<Vec<Object>> {
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

    /// The server judges objects only in a namespace that is there.
    async fn make_namespace(&self, cluster: &Cluster, wanted: &Wanted) -> Result<bool> {
        let namespace = wanted.objects.iter().find(|object| object.kind.name() == "Namespace");
        match namespace.filter(|_| wanted.world.namespace == NamespaceState::Missing) {
            Some(namespace) => apply(cluster, namespace, MANAGER, false).await.map(|_| true),
            None => Ok(false),
        }
    }

    async fn prepare(&self, cluster: &Cluster, wanted: &mut Wanted, asking: Asking) -> Result<Prepared> {
        let mut objects = std::mem::take(&mut wanted.objects);
        let world = &wanted.world;
        // A namespace that somebody else made is theirs to label.
        objects.retain(|object| object.kind.name() != "Namespace" || world.namespace == NamespaceState::Ours);
        let (floor, autoscaled) =
            (self.stack.replicas_on(TargetKind::Kubernetes), self.stack.kubernetes.autoscaling.is_some());
        let (mut handover, mut notes) = (Handover::None, Vec::new());
        let name = names::service(&self.stack);
        if let Some(deployment) = objects.iter_mut().find(|object| is_service(object, &name)) {
            let live = world.named("Deployment", &name);
            handover = replicas::prepare(deployment, live, floor, autoscaled, asking.explicit);
            if let (Handover::Keep(running), Some(live)) = (handover, live) {
                let owner = replicas::owner(live).unwrap_or("somebody");
                notes.push(format!(
                    "{} keeps its {running} replicas, which `{owner}` set; `appforge scale --replicas {floor}` takes that back",
                    live.title()
                ));
            }
        }
        let mut changes = Changes::ask(cluster, self.name(), world, objects, asking).await?;
        if let Some(change) = changes.changes.iter_mut().find(|change| is_service(&change.object, &name))
            && wanted.alike
        {
            if change.action == Some(Action::Restart) {
                // Its pods are replaced anyway; the new ones keep what they were made with.
                let mut object = change.object.clone();
                if let Some(template) = object.value.pointer_mut(mounted::TEMPLATE) {
                    mounted::point(template, &name, &wanted.credentials.digest);
                }
                *change = Change::ask(cluster, self.name(), world, object, asking).await?;
            } else {
                // The copy is kept for a later rollback; what runs does not need it.
                let copies = changes.changes.iter().filter(|change| is_copy(&change.object, &name));
                changes.quiet = copies.map(|change| change.object.title()).collect();
            }
        }
        let widens =
            |change: &&Change| is_policy(&change.object, &name) && change.action == Some(Action::Change);
        let beside = changes.changes.iter().find(widens).map(|change| beside(&change.object, &name));
        let beside = beside.filter(|_| world.named("Deployment", &name).is_some());
        if let Some(live) = world.named("Deployment", &name)
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
        Ok(Prepared { changes, handover, notes, beside })
    }
}

fn new_namespace(cluster: &Cluster) -> Step {
    Step { action: Action::Create, component: format!("namespace/{}", cluster.namespace), causes: Vec::new() }
}

pub(super) fn is_service(object: &Object, name: &str) -> bool {
    object.kind.name() == "Deployment" && object.name == name
}

fn known_kind(value: &Value) -> Option<Kind> {
    Kind::find(value["apiVersion"].as_str()?, value["kind"].as_str()?)
}

/// A kind that only a patch or an own template names: the server knows where it has it.
async fn foreign(cluster: &Cluster, value: &Value) -> Result<Kind> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    let doing = super::fault::Doing::one("discover", api_version, kind, None);
    let (resource, capabilities) =
        cluster.call(doing, || kube::discovery::pinned_kind(&cluster.client, &gvk)).await?;
    Ok(Kind::foreign(resource, capabilities.scope == kube::discovery::Scope::Namespaced))
}
