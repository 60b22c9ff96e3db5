//! The pods that a tunnel leads to: those that are ready, in turns. A watch keeps them true, so that a pod which leaves gets
//! nothing more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::render::context::kubernetes::names;
use crate::stack::ComponentKind;
use crate::targets::kubernetes::client::link::Link;
use crate::targets::kubernetes::client::{Cluster, Once, STACK_LABEL};
use crate::targets::kubernetes::observe::pods::{self, is_leaving, is_ready};
use crate::targets::kubernetes::observe::rollout::fatal;

/// How long after a pod has cut a connection the news that it leaves may arrive.
const NEWS: Duration = Duration::from_millis(500);

/// Where a tunnel leads.
pub(crate) struct Destination {
    /// With a component, its pods are watched.
    pub(crate) component: Option<ComponentKind>,
    /// Taken in turns, until the watch has reported.
    pub(crate) pods: Vec<String>,
    pub(crate) port: u16,
}

/// A connection, and the pod that it leads to.
pub(crate) struct Way {
    pub(crate) pod: String,
    pub(crate) link: Link,
}

/// Whether a pod takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    Unready,
    Leaving,
}

type Pods = BTreeMap<String, Standing>;

/// Where the connections of a tunnel end.
pub(crate) struct Exits {
    cluster: Cluster,
    stack: String,
    component: Option<ComponentKind>,
    port: u16,
    pods: watch::Sender<Pods>,
    next: AtomicUsize,
    failed: Once,
}

impl Exits {
    pub(crate) fn new(cluster: Cluster, stack: &str, destination: Destination) -> Self {
        let Destination { component, pods, port } = destination;
        let pods: Pods = pods.into_iter().map(|pod| (pod, Standing::Ready)).collect();
        Self {
            failed: cluster.another_line(),
            cluster,
            stack: stack.to_owned(),
            component,
            port,
            pods: watch::Sender::new(pods),
            next: AtomicUsize::new(0),
        }
    }

    /// Keeps the pods true as long as it runs; without the right to watch, those stay that were found at first.
    pub(crate) async fn follow(&self) {
        let Some(component) = self.component else { return };
        let labels =
            format!("{STACK_LABEL}={},{}={}", self.stack, names::COMPONENT_LABEL, component.as_str());
        let config = watcher::Config::default().labels(&labels);
        let mut events = watcher(self.cluster.api::<Pod>(), config).default_backoff().boxed();
        let mut listed = Pods::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(pod)) => {
                    listed.insert(pods::name(&pod).to_owned(), standing(&pod));
                }
                Ok(Event::InitDone) => {
                    self.pods.send_replace(std::mem::take(&mut listed));
                }
                Ok(Event::Apply(pod)) => {
                    self.pods.send_modify(|all| {
                        all.insert(pods::name(&pod).to_owned(), standing(&pod));
                    });
                }
                Ok(Event::Delete(pod)) => self.pods.send_modify(|all| {
                    all.remove(pods::name(&pod));
                }),
                Err(error) => {
                    if fatal(&self.cluster, error).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// A connection to a pod that takes one; `None` when there is none, with the reason printed once.
    pub(crate) async fn open(&self) -> Option<Way> {
        let pods = candidates(&self.pods.borrow());
        let mut refusal = None;
        for _ in 0..pods.len() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let pod = pods.get(turn % pods.len())?.clone();
            match Link::open(&self.cluster, &pod, self.port).await {
                Ok(link) => return Some(Way { pod, link }),
                Err(error) => refusal = Some((pod, error)),
            }
        }
        if let Some((pod, error)) = refusal {
            self.failed.print(&format!("no connection to port {} of {pod}: {error:#}", self.port));
        }
        None
    }

    /// Whether a pod takes further requests.
    pub(crate) fn takes(&self, pod: &str) -> bool {
        let pods = self.pods.borrow();
        pods.get(pod) == Some(&Standing::Ready) || candidates(&pods).iter().any(|other| other == pod)
    }

    /// Whether a pod is known to be leaving, or gone.
    pub(crate) fn is_leaving(&self, pod: &str) -> bool {
        leaves(&self.pods.borrow(), pod)
    }

    /// Whether a pod that has cut a connection is leaving, or gone; waits a moment for that news.
    pub(crate) async fn leaves(&self, pod: &str) -> bool {
        if self.component.is_none() {
            return false;
        }
        let mut pods = self.pods.subscribe();
        let gone = pods.wait_for(|pods| leaves(pods, pod));
        timeout(NEWS, gone).await.is_ok_and(|found| found.is_ok())
    }

    /// Prints once why a connection that ended without a byte could not be used, if the API server says so.
    pub(crate) async fn blame(&self, way: Way) {
        if let Some(reason) = way.link.fault().await {
            self.failed.print(&format!("no connection to port {} of {}: {reason}", self.port, way.pod));
        }
    }
}

fn standing(pod: &Pod) -> Standing {
    match pod {
        pod if is_leaving(pod) || pods::is_trial(pod) => Standing::Leaving,
        pod if is_ready(pod) => Standing::Ready,
        _ => Standing::Unready,
    }
}

fn leaves(pods: &Pods, pod: &str) -> bool {
    pods.get(pod).is_none_or(|standing| *standing == Standing::Leaving)
}

/// The pods that are ready; when none is, those that stay: what a request meets there is the service's answer.
fn candidates(pods: &Pods) -> Vec<String> {
    let of = |expected: Standing| -> Vec<String> {
        pods.iter().filter(|(_, standing)| **standing == expected).map(|(name, _)| name.clone()).collect()
    };
    let ready = of(Standing::Ready);
    if ready.is_empty() { of(Standing::Unready) } else { ready }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_pods_come_first_and_leaving_ones_never() {
        let pods = |all: &[(&str, Standing)]| -> Pods {
            all.iter().map(|(name, standing)| ((*name).to_owned(), *standing)).collect()
        };
        let (ready, unready, leaving) = (Standing::Ready, Standing::Unready, Standing::Leaving);
        let mixed = pods(&[("a", ready), ("b", unready), ("c", leaving), ("d", ready)]);
        assert_eq!(candidates(&mixed), ["a", "d"]);
        assert_eq!(candidates(&pods(&[("b", unready), ("c", leaving)])), ["b"]);
        assert_eq!(candidates(&pods(&[("c", leaving)])), Vec::<String>::new());
        assert!(leaves(&mixed, "c") && leaves(&mixed, "gone") && !leaves(&mixed, "b"));
    }
}
