//! `down`: deletes what is the stack's, in the opposite order of its making.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::stack::ComponentKind;
use crate::targets::kubernetes::apply::leftovers::{described, is_copy};
use crate::targets::kubernetes::client::{
    Cluster, Doing, Kind, Object, STACK_LABEL, is_forbidden, list_others, object, received, remove,
    timed_out, wait_until_deleted,
};
use crate::targets::kubernetes::observe::{Inventory, NamespaceState};
use crate::targets::kubernetes::session::{Kubernetes, Session};
use crate::targets::progress::Say;

/// What `down` finds.
pub(crate) struct Remains {
    pub(crate) cluster: Cluster,
    /// Everything that is deleted without a question.
    objects: Vec<Object>,
    /// What holds data, and what opens it.
    data: Vec<Object>,
    ours: bool,
}

impl Remains {
    /// What `--volumes` would take, for people.
    pub(crate) fn data(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.data.iter().map(described).collect();
        if self.ours {
            lines.push(format!("namespace/{} with all its objects", self.cluster.namespace));
        }
        lines
    }
}

impl Kubernetes {
    /// Looks for what `down` would delete.
    pub(crate) async fn look_for_remains(&self, timeout: Duration, say: Say<'_>) -> Result<Remains> {
        let cluster = self.connect(timeout).await?;
        let mut inventory = Inventory::look(&cluster, self.name(), say).await?;
        let workloads: Vec<Kind> =
            ["Deployment", "StatefulSet"].iter().filter_map(|kind| Kind::find("apps/v1", kind)).collect();
        inventory.require(workloads.iter())?;
        let ours = inventory.namespace == NamespaceState::Ours && !is_shared(&cluster, self.name()).await?;
        let service = names::service(&self.stack);
        // A copy of the credentials is of use to a ReplicaSet only.
        let holds = |object: &Object| {
            matches!(object.kind.name(), "PersistentVolumeClaim" | "Secret") && !is_copy(object, &service)
        };
        let mine = |object: &Object| {
            // One without a namespace may be of a stack of this name in another one.
            let kind = &object.kind;
            kind.namespaced
                || kind.name() != "Namespace"
                    && object.label(names::NAMESPACE_LABEL) == Some(cluster.namespace.as_str())
        };
        let (data, mut objects): (Vec<Object>, Vec<Object>) = inventory.objects.into_iter().partition(holds);
        objects.retain(|object| mine(object) && object.at("/metadata/ownerReferences").is_none());
        objects.sort_by_key(|object| std::cmp::Reverse(object.kind.rank));
        Ok(Remains { cluster, objects, data, ours })
    }
}

/// Whether workloads or data of others are in the namespace, so that it is not the stack's to remove.
async fn is_shared(cluster: &Cluster, stack: &str) -> Result<bool> {
    for (api, name) in
        [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("v1", "PersistentVolumeClaim")]
    {
        let kind = Kind::find(api, name).with_context(|| format!("{name} is a known kind"))?;
        match list_others(cluster, &kind, stack).await {
            Ok(others) if others.is_empty() => {}
            // What may not be seen may be there.
            Err(error) if !is_forbidden(&error) => return Err(error),
            _ => return Ok(true),
        }
    }
    Ok(false)
}

impl Session<'_> {
    /// Deletes the stack and waits until its pods are gone. Data and passwords stay, and so does the namespace, unless
    /// `volumes`. Doing it again goes on where it stopped. Returns how many objects were deleted.
    ///
    /// # Errors
    /// When the cluster cannot be reached, forbids it, or the pods are not gone in time.
    pub(crate) async fn down(&self, remains: &Remains, volumes: bool) -> Result<usize> {
        let (cluster, say) = (&self.cluster, self.say);
        let mut count = 0;
        self.sweep().await?;
        for object in &remains.objects {
            if object.kind.name() == "StatefulSet" {
                // Requests that are under way still need the stores.
                self.wait_until_gone(Some(ComponentKind::Service)).await?;
            }
            say(&format!("removing {}", object.title()));
            count += usize::from(remove(cluster, object).await?);
        }
        self.wait_until_gone(None).await?;
        for object in &remains.objects {
            wait_until_deleted(cluster, object).await?;
        }
        if volumes {
            for object in &remains.data {
                say(&format!("removing {}", object.title()));
                remove(cluster, object).await?;
            }
            if remains.ours {
                say(&format!("removing namespace/{}", cluster.namespace));
                self.remove_namespace().await?;
            }
            self.kubernetes.forget_owner(cluster).await?;
            self.kubernetes.forget_copies(cluster)?;
        }
        Ok(count)
    }

    /// Waits until no pod is left: of a component, or of the whole stack.
    pub(crate) async fn wait_until_gone(&self, component: Option<ComponentKind>) -> Result<()> {
        let (cluster, say) = (&self.cluster, self.say);
        let mut labels = format!("{STACK_LABEL}={}", self.name());
        if let Some(component) = component {
            labels.push_str(&format!(",{}={}", names::COMPONENT_LABEL, component.as_str()));
        }
        let config = watcher::Config::default().labels(&labels);
        let mut events = watcher(cluster.api::<Pod>(), config).default_backoff().boxed();
        let (mut left, mut complete, mut shown) = (BTreeSet::new(), false, 0);
        loop {
            match tokio::time::timeout_at(cluster.deadline(), events.next()).await {
                Ok(Some(Ok(event))) => {
                    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
                    match event {
                        Event::Init => left.clear(),
                        Event::InitDone => complete = true,
                        Event::InitApply(pod) | Event::Apply(pod) => drop(left.insert(name(&pod))),
                        Event::Delete(pod) => drop(left.remove(&name(&pod))),
                    }
                }
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => {
                    let names: Vec<&str> = left.iter().map(String::as_str).collect();
                    if !complete {
                        return Err(timed_out(
                            &Doing::all("watch", "pods", Some(&cluster.namespace)),
                            &cluster.place,
                        )
                        .into());
                    }
                    return Err(Failure::new(
                        ExitStatus::TimedOut,
                        format!("still ending: {}", names.join(", ")),
                    )
                    .hint("they end by themselves; `appforge down` continues from there")
                    .into());
                }
            }
            if complete {
                if left.is_empty() {
                    return Ok(());
                }
                if left.len() != shown {
                    say(&format!("waiting until {} pods are gone", left.len()));
                    shown = left.len();
                }
            }
        }
    }

    async fn remove_namespace(&self) -> Result<()> {
        let cluster = &self.cluster;
        let kind = Kind::find("v1", "Namespace").context("Namespaces are a known kind")?;
        let (api, name) = (object::api(cluster, &kind), cluster.namespace.as_str());
        let Some(found) = cluster.find(Doing::one("get", "namespaces", name, None), || api.get(name)).await?
        else {
            return Ok(());
        };
        let namespace = received(&kind, found)?;
        remove(cluster, &namespace).await?;
        wait_until_deleted(cluster, &namespace).await
    }
}
