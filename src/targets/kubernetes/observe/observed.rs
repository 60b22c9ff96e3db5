//! What the watches of a rollout have reported so far, and what is waited for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::runtime::watcher::Event;
use tokio::time::Instant;

use crate::targets::kubernetes::client::Object;
use crate::targets::kubernetes::observe::pods;
use crate::targets::kubernetes::observe::workload::{self, Progress};

/// Which workloads are waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting<'a> {
    /// At least so many replicas of the service, which an autoscaler may not have made yet.
    pub(crate) floor: u32,
    /// Objects that are about to be removed: nothing is waited for that they do.
    pub(crate) leaving: &'a [Object],
    /// Only these; without a list all of the stack.
    pub(crate) only: Option<&'a [&'a Object]>,
}

impl Waiting<'_> {
    pub(crate) fn is_for(&self, kind: &str, name: &str) -> bool {
        let same = |object: &Object| object.kind.name() == kind && object.name == name;
        !self.leaving.iter().any(same) && self.only.is_none_or(|only| only.iter().any(|object| same(object)))
    }
}

/// What the watches have reported so far.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) deployments: BTreeMap<String, Deployment>,
    sets: BTreeMap<String, StatefulSet>,
    pub(crate) pods: BTreeMap<String, Pod>,
    complete: [bool; 3],
    pub(crate) troubled_since: BTreeMap<String, Instant>,
}

/// One event of a watch.
pub(crate) enum Seen {
    Deployment(Event<Deployment>),
    Set(Event<StatefulSet>),
    Pod(Event<Pod>),
}

impl Observed {
    pub(crate) fn take(&mut self, seen: Seen) {
        let done = match seen {
            Seen::Deployment(event) => (0, keep(&mut self.deployments, event)),
            Seen::Set(event) => (1, keep(&mut self.sets, event)),
            Seen::Pod(event) => (2, keep(&mut self.pods, event)),
        };
        if let (place, Some(complete)) = done
            && let Some(slot) = self.complete.get_mut(place)
        {
            *slot = complete;
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.iter().all(|complete| *complete)
    }

    /// A workload that is waited for, was applied, and is not there any more.
    pub(crate) fn vanished(&self, waiting: Waiting<'_>, service: &str) -> Option<String> {
        let meant: Vec<(&str, &str)> = match waiting.only {
            Some(only) => only.iter().map(|object| (object.kind.name(), object.name.as_str())).collect(),
            None => vec![("Deployment", service)],
        };
        let there = |kind: &str, name: &str| match kind {
            "Deployment" => self.deployments.contains_key(name),
            _ => self.sets.contains_key(name),
        };
        let gone = meant.into_iter().find(|(kind, name)| waiting.is_for(kind, name) && !there(kind, name));
        gone.map(|(kind, name)| format!("{}/{name}", kind.to_lowercase()))
    }

    pub(crate) fn progress(&self, waiting: Waiting<'_>, service: &str) -> Vec<Progress> {
        let sets = self.sets.values().map(workload::of_set);
        let deployments = self.deployments.values().map(|deployment| {
            let least = if deployment.metadata.name.as_deref() == Some(service) { waiting.floor } else { 0 };
            workload::of_deployment(deployment, least)
        });
        sets.chain(deployments).filter(|progress| waiting.is_for(progress.kind, &progress.name)).collect()
    }
}

/// Keeps what an event reports; whether the first list is complete, if it reports that.
fn keep<K: Resource>(objects: &mut BTreeMap<String, K>, event: Event<K>) -> Option<bool> {
    let name = |object: &K| object.meta().name.clone().unwrap_or_default();
    match event {
        Event::Init => {
            objects.clear();
            Some(false)
        }
        Event::InitDone => Some(true),
        Event::InitApply(object) | Event::Apply(object) => {
            objects.insert(name(&object), object);
            None
        }
        Event::Delete(object) => {
            objects.remove(&name(&object));
            None
        }
    }
}

/// What a pod is to the rollout.
pub(crate) enum Standing {
    /// Of the newest revision of a StatefulSet.
    Newest,
    /// Of an older one.
    Older,
    /// Of a ReplicaSet, which may be of any revision.
    Replica,
    /// The cluster has not looked at the newest revision yet.
    Unknown,
}

impl Observed {
    /// Whether a pod is of a workload that is waited for. A ReplicaSet's is, unless only StatefulSets are meant.
    pub(crate) fn is_meant(&self, pod: &Pod, meant: Waiting<'_>) -> bool {
        let owner = owner(pod);
        if self.sets.contains_key(&owner) {
            meant.is_for("StatefulSet", &owner)
        } else {
            meant.only.is_none()
        }
    }

    pub(crate) fn standing(&self, pod: &Pod) -> Standing {
        let Some(set) = self.sets.get(&owner(pod)) else { return Standing::Replica };
        let status = set.status.as_ref();
        let seen = status.and_then(|status| status.observed_generation) >= set.metadata.generation;
        let newest = status.and_then(|status| status.update_revision.as_deref());
        match pods::label(pod, "controller-revision-hash") {
            Some(own) if seen && Some(own) == newest => Standing::Newest,
            Some(_) if seen && newest.is_some() => Standing::Older,
            _ => Standing::Unknown,
        }
    }
}

/// The name of what made a pod.
pub(crate) fn owner(pod: &Pod) -> String {
    let owner = pod.metadata.owner_references.iter().flatten().next();
    owner.map(|owner| owner.name.clone()).unwrap_or_default()
}
