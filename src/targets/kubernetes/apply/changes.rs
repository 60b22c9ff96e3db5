//! What `up` would change: each document tried against the server without being kept, and what no document names any more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt};
use kube::api::{Patch, PatchParams};
use serde_json::Value;

use crate::error::{ExitStatus, Failure};
use crate::targets::kubernetes::apply::compare::{differences, missing};
use crate::targets::kubernetes::apply::drift::{Addition, additions};
use crate::targets::kubernetes::apply::immutable;
use crate::targets::kubernetes::apply::leftovers::{claims, described};
use crate::targets::kubernetes::apply::release::Release;
use crate::targets::kubernetes::apply::volumes::is_claim;
use crate::targets::kubernetes::client::{
    AT_ONCE, Cluster, MANAGER, Object, STACK_LABEL, conflicts, explain, received,
};
use crate::targets::kubernetes::observe::{Inventory, NamespaceState};
use crate::targets::plan::{Action, Plan};

/// How a plan is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// The server judges each object; else it is only read, and what it would say is not known.
    pub(crate) server: bool,
    /// Whether the user asked for the number of replicas just now.
    pub(crate) explicit: bool,
    /// What happens to fields that other managers own.
    pub(crate) conflicts: Conflicts,
}

/// What happens to fields of ours that another field manager has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// They are an error.
    Refuse,
    /// They are shown, with their owner.
    Show,
    /// They are taken over.
    Take,
}

/// Whom to ask about a stack, and how.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) cluster: &'a Cluster,
    /// The stack's name.
    pub(crate) stack: &'a str,
    /// What the cluster has of it.
    pub(crate) inventory: &'a Inventory,
    pub(crate) asking: Asking,
}

/// One document and what applying it does.
#[derive(Debug)]
pub(crate) struct ObjectChange {
    /// As it will be sent.
    pub(crate) object: Object,
    /// What it does; `None` when it does nothing.
    pub(crate) action: Option<Action>,
    /// Why.
    pub(crate) causes: Vec<String>,
    /// What other managers have added to the object.
    pub(crate) additions: Vec<Addition>,
}

/// All that `up` would change.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The documents, in the order of application.
    pub(crate) changes: Vec<ObjectChange>,
    /// Objects of the stack that no document names, in the order of deletion.
    pub(crate) prunes: Vec<Object>,
    /// The volumes that stay when these objects go, by the object's title.
    pub(crate) claims: BTreeMap<String, Vec<Object>>,
    /// Titles of documents that are applied without being a change of the stack.
    pub(crate) quiet: BTreeSet<String>,
}

impl ObjectChange {
    fn new(object: Object, action: Option<Action>, causes: Vec<String>) -> Self {
        Self { object, action, causes, additions: Vec::new() }
    }

    /// What others have added and an apply leaves, one sentence each.
    pub(crate) fn kept(&self) -> impl Iterator<Item = String> {
        self.additions.iter().map(|Addition { manager, path, .. }| {
            format!(
                "{} keeps `{path}`, which `{manager}` added; `appforge up --force-conflicts` removes it",
                self.object.title()
            )
        })
    }

    /// Lets what others have added be a reason to change the object.
    fn count_additions(&mut self, removed: bool) {
        self.causes.extend(self.additions.iter().map(|addition| addition.cause(removed)));
        if self.additions.iter().any(Addition::is_of_pods) {
            self.action = Some(Action::Restart);
        } else if !self.additions.is_empty() {
            self.action = self.action.or(Some(Action::Change));
        }
    }
}

impl Changes {
    /// The data that stays when stores go, and how to remove it, one sentence a volume.
    pub(crate) fn left(&self, cluster: &Cluster) -> Vec<String> {
        let kubectl = format!("kubectl --context {} -n {}", cluster.place.context, cluster.namespace);
        let line = |(title, claim): (&String, &Object)| {
            format!(
                "{title} is removed, its data stays in {}; `{kubectl} delete pvc {}` removes it",
                described(claim),
                claim.name
            )
        };
        let all =
            self.claims.iter().flat_map(|(title, claims)| claims.iter().map(move |claim| (title, claim)));
        all.map(line).collect()
    }

    /// Adds the Job of a release. The server is not asked: what is there cannot change, and is not pruned.
    pub(crate) fn add_release(&mut self, release: &Release) {
        let job = &release.job;
        self.prunes.retain(|object| object.kind != job.kind || object.name != job.name);
        if let Some((action, cause)) = release.standing.step() {
            self.changes.push(ObjectChange {
                object: job.clone(),
                action: Some(action),
                causes: vec![cause.to_owned()],
                additions: Vec::new(),
            });
        }
    }

    /// For people: what is made, then what is changed, then what goes.
    pub(crate) fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let order = |action: &Action| match action {
            Action::Create => 0,
            Action::Change | Action::Restart => 1,
            Action::Remove => 2,
        };
        let mut steps: Vec<(Action, &ObjectChange)> =
            self.changes.iter().filter_map(|change| Some((change.action?, change))).collect();
        steps.retain(|(_, change)| !self.quiet.contains(&change.object.title()));
        steps.sort_by_key(|(action, _)| order(action));
        for (action, change) in steps {
            plan.push(action, change.object.title(), change.causes.clone());
        }
        for object in &self.prunes {
            let mut causes = vec!["no longer in the stack".to_owned()];
            if let Some(claims) = self.claims.get(&object.title()) {
                causes.extend(claims.iter().map(|claim| format!("its data stays in {}", described(claim))));
            }
            plan.push(Action::Remove, object.title(), causes);
        }
        plan
    }
}

impl Asked<'_> {
    /// Asks what each object would become. Nothing is kept.
    ///
    /// # Errors
    /// The first objection of the server, before anything is applied: a field of another manager, an immutable field, a
    /// value that is not valid, a quota, a verb that is forbidden; and an object of another stack.
    pub(crate) async fn changes(&self, objects: Vec<Object>) -> Result<Changes> {
        let prunes = prunes(self.inventory, &objects);
        let claims = prunes
            .iter()
            .map(|object| (object.title(), claims(self.inventory, object)))
            .filter(|(_, claims): &(String, Vec<Object>)| !claims.is_empty())
            .collect();
        let there = self.inventory.namespace != NamespaceState::Missing || !self.asking.server;
        let asked = objects.into_iter().map(|object| async move {
            if !there {
                // The server judges only what goes into a namespace that exists.
                return Ok(ObjectChange::new(object, Some(Action::Create), Vec::new()));
            }
            self.change(object).await
        });
        let changes = futures_util::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(Changes { changes, prunes, claims, quiet: BTreeSet::new() })
    }

    /// Asks what one object would become.
    pub(crate) async fn change(&self, object: Object) -> Result<ObjectChange> {
        let mut change =
            if self.asking.server { self.dry_run(object).await? } else { guess(self.inventory, object) };
        if let Some(live) = self.inventory.find(&change.object.kind, &change.object.name) {
            change.additions = additions(live, &change.object);
            if self.asking.conflicts != Conflicts::Refuse {
                change.count_additions(self.asking.conflicts == Conflicts::Take);
            }
        }
        Ok(change)
    }

    async fn dry_run(&self, object: Object) -> Result<ObjectChange> {
        let cluster = self.cluster;
        let api = object.api(cluster);
        let mut parameters = PatchParams::apply(MANAGER).dry_run().validation_strict();
        parameters.force = self.asking.conflicts == Conflicts::Take || is_claim(&object);
        let patch = Patch::Apply(&object.value);
        let known = self.inventory.find(&object.kind, &object.name);
        let doing = object.doing("patch", cluster);
        let mut answer = cluster.attempt(&doing, || api.patch(&object.name, &parameters, &patch)).await?;
        let mut owners = Vec::new();
        if self.asking.conflicts == Conflicts::Show
            && let Err(error) = &answer
        {
            owners = conflicts(error);
            if !owners.is_empty() {
                parameters.force = true;
                answer = cluster.attempt(&doing, || api.patch(&object.name, &parameters, &patch)).await?;
            }
        }
        let answer = answer.map_err(|error| explain(error, &doing, &cluster.place));
        let answer = match (answer, known) {
            (Err(error), Some(live)) => return Err(immutable::explain(error, &object, live, cluster)),
            (answer, _) => answer?,
        };
        let result = received(&object.kind, answer)?;
        let found;
        let live = match known {
            Some(live) => live,
            // What a dry run would make has no version in the store yet.
            None if result.at("/metadata/resourceVersion").is_none() => {
                return Ok(ObjectChange::new(object, Some(Action::Create), Vec::new()));
            }
            None => {
                let live = cluster.call(object.doing("get", cluster), || api.get(&object.name)).await?;
                found = received(&object.kind, live)?;
                refuse_stranger(&found, self.stack)?;
                &found
            }
        };
        let mut causes = differences(object.kind.name(), &live.value, &result.value);
        causes.extend(
            owners.into_iter().map(|owner| format!("{owner}: `appforge up --force-conflicts` takes it over")),
        );
        let action = match causes.is_empty() {
            true => None,
            false if live.at("/spec/template") != result.at("/spec/template") => Some(Action::Restart),
            false => Some(Action::Change),
        };
        Ok(ObjectChange::new(object, action, causes))
    }
}

/// What applying an object changes, as far as that is known without the server: values that are not there yet.
fn guess(inventory: &Inventory, object: Object) -> ObjectChange {
    let Some(live) = inventory.find(&object.kind, &object.name) else {
        return ObjectChange::new(object, Some(Action::Create), Vec::new());
    };
    let causes = missing(object.kind.name(), &live.value, &object.value);
    let template = causes.iter().any(|cause| cause.starts_with("spec.template."));
    let action =
        if template { Some(Action::Restart) } else { (!causes.is_empty()).then_some(Action::Change) };
    ObjectChange::new(object, action, causes)
}

/// An object that another stack made is not ours to change.
fn refuse_stranger(live: &Object, stack: &str) -> Result<()> {
    match live.label(STACK_LABEL) {
        Some(other) if other != stack => Err(Failure::new(
            ExitStatus::Failed,
            format!("`{}` belongs to the stack `{other}`", live.title()),
        )
        .hint("set another `name` or another `kubernetes.namespace`")
        .into()),
        _ => Ok(()),
    }
}

fn prunes(inventory: &Inventory, objects: &[Object]) -> Vec<Object> {
    let wanted =
        |live: &Object| objects.iter().any(|object| object.kind == live.kind && object.name == live.name);
    // What a controller made of another object goes with that one.
    let owned =
        |live: &Object| live.at("/metadata/ownerReferences").is_some_and(|owners| owners != &Value::Null);
    let mut prunes: Vec<Object> = inventory
        .objects
        .iter()
        .filter(|live| live.kind.pruned && !wanted(live) && !owned(live) && !live.is_leaving())
        .cloned()
        .collect();
    prunes.sort_by_key(|object| std::cmp::Reverse(object.kind.rank));
    prunes
}
