//! What the cluster has of a stack before anything is changed: its namespace and its own objects, one list a kind.

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::{Duration, Instant};

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names::is_of_cluster;
use crate::targets::kubernetes::client::{
    AT_ONCE, Cluster, Doing, Kind, Object, STACK_LABEL, api, is_forbidden, list_kind, received,
};
use crate::targets::progress::Say;

/// How long after a look at a namespace that is being deleted the next one follows.
const PAUSE: Duration = Duration::from_secs(1);

/// What the cluster has of a stack.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The namespace.
    pub(crate) namespace: NamespaceState,
    /// The stack's own objects, by label.
    pub(crate) objects: Vec<Object>,
    /// Kinds that we may not list, with the server's refusal.
    hidden: Vec<(Kind, anyhow::Error)>,
}

/// The state of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamespaceState {
    /// Not there.
    Missing,
    /// Made by us.
    Ours,
    /// Made by another user; it is used and left as it is.
    Foreign,
    /// There may be one, but we may not look; taken to be another user's.
    Hidden,
}

impl Inventory {
    /// Looks, once a namespace that is being deleted is gone. Kinds that we may not list are taken to have no objects: see [`Inventory::require`].
    pub(crate) async fn look(cluster: &Cluster, stack: &str, say: Say<'_>) -> Result<Self> {
        let (namespace, own) = namespace_state(cluster, stack, say).await?;
        if namespace == NamespaceState::Missing {
            return Ok(Self { namespace, objects: Vec::new(), hidden: Vec::new() });
        }
        let lists =
            Kind::all().into_iter().filter(|kind| kind.name() != "Namespace").map(|kind| async move {
                match list_kind(cluster, &kind, stack).await {
                    Err(error) if is_forbidden(&error) => Ok(Err((kind, error))),
                    other => other.map(Ok),
                }
            });
        let lists: Vec<Result<Vec<Object>, (Kind, anyhow::Error)>> =
            futures_util::stream::iter(lists).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
        let (mut objects, mut hidden) = (Vec::from_iter(own), Vec::new());
        for list in lists {
            match list {
                Ok(list) => objects.extend(list),
                Err(refusal) => hidden.push(refusal),
            }
        }
        Ok(Self { namespace, objects, hidden })
    }

    /// Makes sure that these kinds could be listed.
    ///
    /// # Errors
    /// The server's refusal to list one of them.
    pub(crate) fn require<'a>(&mut self, kinds: impl Iterator<Item = &'a Kind>) -> Result<()> {
        for kind in kinds {
            if let Some(at) = self.hidden.iter().position(|(hidden, _)| hidden == kind) {
                return Err(self.hidden.swap_remove(at).1);
            }
        }
        Ok(())
    }

    /// One object.
    pub(crate) fn find(&self, kind: &Kind, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind == *kind && object.name == name)
    }

    /// One object, by the name of its kind.
    pub(crate) fn named(&self, kind: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind.name() == kind && object.name == name)
    }
}

/// The state of the namespace once it is not being deleted, and the namespace itself when it is ours.
///
/// # Errors
/// Exit 9 when it is still being deleted at the deadline.
pub(crate) async fn namespace_state(
    cluster: &Cluster,
    stack: &str,
    say: Say<'_>,
) -> Result<(NamespaceState, Option<Object>)> {
    let name = cluster.namespace.as_str();
    let kind = Kind::find("v1", "Namespace").context("Namespaces are a known kind")?;
    let api = api(cluster, &kind);
    let found = cluster.find(Doing::one("get", "namespaces", name, None), || api.get(name)).await;
    let found = match found {
        // A user of one namespace need not see the cluster's list of them.
        Err(error) if is_forbidden(&error) => return Ok((NamespaceState::Hidden, None)),
        other => other?,
    };
    let Some(mut found) = found else { return Ok((NamespaceState::Missing, None)) };
    let mut namespace = received(&kind, found)?;
    if namespace.is_leaving() {
        say(&format!("waiting for the deletion of the namespace `{name}`"));
    }
    while namespace.is_leaving() {
        let context = &cluster.place.context;
        if Instant::now() + PAUSE >= cluster.deadline() {
            let message = format!("the namespace `{name}` is still being deleted");
            return Err(Failure::new(ExitStatus::TimedOut, message)
                .hint(format!(
                    "kubectl --context {context} wait --for=delete namespace/{name} --timeout=120s"
                ))
                .hint("then run the same command again, or set another `kubernetes.namespace`")
                .into());
        }
        // Permission to get a namespace does not imply permission to watch it.
        tokio::time::sleep(PAUSE).await;
        let Some(again) = cluster.find(Doing::one("get", "namespaces", name, None), || api.get(name)).await?
        else {
            return Ok((NamespaceState::Missing, None));
        };
        found = again;
        namespace = received(&kind, found)?;
    }
    Ok(if namespace.label(STACK_LABEL) == Some(stack) && !is_of_cluster(name) {
        (NamespaceState::Ours, Some(namespace))
    } else {
        (NamespaceState::Foreign, None)
    })
}
