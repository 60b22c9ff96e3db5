//! Waits until the workloads of a stack are what their objects say, by watches, and says why when they will not be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::client::{Cluster, Doing, STACK_LABEL, explain, is_transient};
use crate::targets::kubernetes::observe::observed::{Observed, Seen, Standing, Waiting, owner};
use crate::targets::kubernetes::observe::pods::{self, trouble};
use crate::targets::kubernetes::observe::workload::Progress;
use crate::targets::kubernetes::session::Session;

/// A refusal to make pods has to last this long before it counts: a quota may be about to be freed.
const REFUSAL: Duration = Duration::from_secs(10);
/// So long a pod of an older revision may take to get ready before it gives way to the newer one.
const STUCK: Duration = Duration::from_secs(10);
/// Looks again at least this often, for what changes without an event.
const LOOK: Duration = Duration::from_secs(5);
/// How long the search for the cause of a failure may take.
const DIAGNOSIS: Duration = Duration::from_secs(15);
/// So many pods are shown with their last words.
const SHOWN: usize = 3;

/// The annotation that numbers the revisions of a Deployment.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";

impl Session<'_> {
    /// Waits until each workload that is meant runs its newest revision with all its replicas.
    ///
    /// # Errors
    /// Exit 1 when a pod cannot start or the rollout's own deadline has passed, exit 9 at the deadline of the command;
    /// either names each pod that is not ready, with its events and last log lines.
    pub(crate) async fn wait_for_rollout(&self, meant: Waiting<'_>) -> Result<()> {
        let (cluster, say) = (&self.cluster, self.say);
        let mut observed = Observed::default();
        let mut events = watches(cluster, self.name());
        let (mut shown, mut refused_since) = (String::new(), None);
        loop {
            if observed.is_complete() {
                if let Some(title) = observed.vanished(meant, &names::service(self.stack)) {
                    return Err(Failure::new(
                        ExitStatus::Failed,
                        format!("{title} is gone: it was deleted while this command was running"),
                    )
                    .hint("appforge up")
                    .into());
                }
                let progress = observed.progress(meant, &names::service(self.stack));
                let waiting: Vec<&Progress> = progress.iter().filter(|progress| !progress.done).collect();
                if waiting.is_empty() {
                    return Ok(());
                }
                let line = format!("waiting for {}", list(&waiting));
                if line != shown {
                    say(&line);
                    shown = line;
                }
                refused_since = if waiting.iter().any(|progress| progress.refused) {
                    refused_since.or(Some(Instant::now()))
                } else {
                    None
                };
                let refused = refused_since.is_some_and(|since: Instant| since.elapsed() >= REFUSAL);
                let expired = waiting.iter().any(|progress| progress.expired);
                if refused || expired || self.has_failed(&mut observed, meant).await? {
                    return Err(diagnosis(cluster, &observed, &waiting, ExitStatus::Failed).await.into());
                }
                if Instant::now() >= cluster.deadline() {
                    return Err(diagnosis(cluster, &observed, &waiting, ExitStatus::TimedOut).await.into());
                }
            }
            let until = cluster.deadline().min(Instant::now() + LOOK);
            match tokio::time::timeout_at(until, events.next()).await {
                Ok(Some(Ok(seen))) => observed.take(seen),
                Ok(Some(Err(error))) => fatal(cluster, error)?,
                Ok(None) => tokio::time::sleep_until(until).await,
                Err(_) if !observed.is_complete() && Instant::now() >= cluster.deadline() => {
                    let doing = Doing::all("watch", "pods", Some(&cluster.namespace));
                    return Err(
                        crate::targets::kubernetes::client::fault::timed_out(&doing, &cluster.place).into()
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Whether a pod of the newest revision cannot start. A pod of an older revision of a StatefulSet that does not get
    /// ready would hold up the newer one for ever; it is deleted, and its data stays.
    async fn has_failed(&self, observed: &mut Observed, meant: Waiting<'_>) -> Result<bool> {
        let (cluster, say) = (&self.cluster, self.say);
        let now = Instant::now();
        let troubled: BTreeMap<String, bool> = observed
            .pods
            .iter()
            .filter(|(_, pod)| observed.is_meant(pod, meant))
            .filter_map(|(name, pod)| Some((name.clone(), trouble(pod)?.permanent)))
            .collect();
        observed.troubled_since.retain(|name, _| troubled.contains_key(name));
        let mut permanent = Vec::new();
        for (name, has_failed) in troubled {
            let since = *observed.troubled_since.entry(name.clone()).or_insert(now);
            let Some(pod) = observed.pods.get(&name) else { continue };
            match observed.standing(pod) {
                Standing::Older if has_failed || now - since >= STUCK => {
                    say(&format!("replacing {name}, which blocks its newer revision"));
                    let doing = Doing::one("delete", "pods", &name, Some(&cluster.namespace));
                    let (api, parameters) = (cluster.api::<Pod>(), DeleteParams::default());
                    cluster.find(doing, || api.delete(&name, &parameters)).await?;
                    observed.troubled_since.remove(&name);
                }
                Standing::Newest if has_failed => return Ok(true),
                Standing::Replica if has_failed => permanent.push(owner(pod)),
                _ => {}
            }
        }
        if permanent.is_empty() {
            return Ok(false);
        }
        let newest = newest_replica_sets(cluster, self.name(), observed).await?;
        Ok(permanent.iter().any(|set| newest.contains(set)))
    }
}

/// The ReplicaSets that Deployments are rolling out.
async fn newest_replica_sets(cluster: &Cluster, stack: &str, observed: &Observed) -> Result<Vec<String>> {
    let api = cluster.api::<ReplicaSet>();
    let doing = Doing::all("list", "replicasets.apps", Some(&cluster.namespace));
    let parameters = ListParams::default().labels(&format!("{STACK_LABEL}={stack}"));
    let sets = cluster.call(doing, || api.list(&parameters)).await?;
    let revision =
        |annotations: &Option<BTreeMap<String, String>>| annotations.as_ref()?.get(REVISION).cloned();
    let newest = |set: &&ReplicaSet| {
        let owner = set.metadata.owner_references.iter().flatten().next();
        let deployment = owner.and_then(|owner| observed.deployments.get(&owner.name));
        deployment.is_some_and(|deployment| {
            let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
            if seen < deployment.metadata.generation {
                // Its revision is still the one before.
                return false;
            }
            let number = revision(&deployment.metadata.annotations);
            number.is_some() && number == revision(&set.metadata.annotations)
        })
    };
    Ok(sets.items.iter().filter(newest).filter_map(|set| set.metadata.name.clone()).collect())
}

fn watches(cluster: &Cluster, stack: &str) -> SelectAll<BoxStream<'static, watcher::Result<Seen>>> {
    let mut all = SelectAll::new();
    all.push(watch::<Deployment>(cluster, stack).map(|event| event.map(Seen::Deployment)).boxed());
    all.push(watch::<StatefulSet>(cluster, stack).map(|event| event.map(Seen::Set)).boxed());
    all.push(watch::<Pod>(cluster, stack).map(|event| event.map(Seen::Pod)).boxed());
    all
}

fn watch<K>(cluster: &Cluster, stack: &str) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let config = watcher::Config::default().labels(&format!("{STACK_LABEL}={stack}"));
    watcher(cluster.api::<K>(), config).default_backoff()
}

/// A watch that breaks is begun again; one that is refused is not.
pub(crate) fn fatal(cluster: &Cluster, error: watcher::Error) -> Result<()> {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        // Too old a version, for example: the watcher lists again.
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => return Ok(()),
    };
    let refused = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403));
    if refused || !is_transient(&error, true) && !matches!(error, kube::Error::Api(_)) {
        let doing = Doing::all("watch", "pods", Some(&cluster.namespace));
        return Err(explain(error, &doing, &cluster.place));
    }
    Ok(())
}

fn list(waiting: &[&Progress]) -> String {
    let parts: Vec<String> = waiting
        .iter()
        .map(|progress| format!("{} ({} of {})", progress.name, progress.ready, progress.wanted))
        .collect();
    parts.join(", ")
}

/// Why a rollout does not end: what the workloads say, and the pods that are not ready.
async fn diagnosis(
    cluster: &Cluster,
    observed: &Observed,
    waiting: &[&Progress],
    status: ExitStatus,
) -> Failure {
    let cluster = cluster.until(Instant::now() + DIAGNOSIS);
    let mut message = format!("not ready: {}", list(waiting));
    for progress in waiting {
        for complaint in &progress.complaints {
            message.push_str(&format!("\n  {}: {complaint}", progress.name));
        }
        if progress.complaints.is_empty() && progress.ready == 0 {
            for line in pods::warnings(&cluster, progress.kind, &progress.name).await {
                message.push_str(&format!("\n  {}: event {line}", progress.name));
            }
        }
    }
    let mut worst: Vec<&Pod> = observed.pods.values().filter(|pod| trouble(pod).is_some()).collect();
    worst.sort_by_key(|pod| trouble(pod).is_none_or(|trouble| !trouble.permanent));
    let all = worst.len();
    // Replicas have their troubles in common; one of each speaks for all.
    let mut heard = BTreeSet::new();
    worst.retain(|pod| {
        let component = pods::label(pod, names::COMPONENT_LABEL).unwrap_or_default().to_owned();
        heard.insert((component, trouble(pod).map(|trouble| trouble.reason)))
    });
    worst.truncate(SHOWN);
    let left = all - worst.len();
    for pod in &worst {
        message.push_str(&pods::last_lines(&cluster, pod).await);
    }
    if left > 0 {
        message.push_str(&format!("\n  and {left} more pods that are not ready"));
    }
    let kubectl = format!("kubectl --context {} -n {}", cluster.place.context, cluster.namespace);
    let mut failure = Failure::new(status, message);
    if waiting.iter().any(|progress| progress.refused) {
        failure = failure.hint(format!("{kubectl} describe quota"));
    }
    let pull = worst.iter().filter_map(|pod| trouble(pod)).any(|trouble| {
        matches!(
            trouble.reason.as_str(),
            "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull"
        )
    });
    if pull {
        failure = failure.hint(
            "check the name of the image and the cluster's right to pull it; `service.image` sets another",
        );
    }
    if let Some(pod) = worst.first() {
        failure = failure.hint(format!("{kubectl} describe pod {}", pods::name(pod)));
    }
    failure.hint("the replicas of the last revision keep serving; `appforge up` continues from here, `appforge rollback` returns to it")
}
