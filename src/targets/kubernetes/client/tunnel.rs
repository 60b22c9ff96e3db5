//! Ports of this machine that lead to pods, through the API server: all that `verify` and `load` need is a kubeconfig.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::render::context::kubernetes::names;
use crate::stack::ComponentKind;
use crate::targets::kubernetes::client::cluster::Cluster;
use crate::targets::kubernetes::client::list::list;
use crate::targets::kubernetes::observe::is_ready;

/// How long the API server may take to open a way to a pod.
const OPENING: Duration = Duration::from_secs(10);

/// A port of this machine that leads to pods; it closes, with its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Accepts, and owns every connection.
    pub(crate) task: AbortOnDropHandle<()>,
}

/// Where connections end.
struct Exit {
    api: Api<Pod>,
    cluster: Cluster,
    stack: String,
    component: Option<ComponentKind>,
    port: u16,
    pods: Mutex<Vec<String>>,
    next: AtomicUsize,
}

/// A connection to a port of a pod.
///
/// # Errors
/// When the API server opens none in time.
pub(crate) async fn connect(
    api: Api<Pod>,
    pod: String,
    port: u16,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>> {
    let ports = [port];
    let opening = tokio::time::timeout(OPENING, api.portforward(&pod, &ports));
    let mut forward = opening.await.context("the API server refused a connection to the pod")??;
    forward.take_stream(port).context("the API server opened no connection to the pod")
}

/// Where a tunnel leads.
pub(crate) struct Destination {
    /// With a component, pods that are gone are looked up again.
    pub(crate) component: Option<ComponentKind>,
    /// Taken in turns.
    pub(crate) pods: Vec<String>,
    pub(crate) port: u16,
}

/// Opens a port that leads to pods.
///
/// # Errors
/// When this machine gives no port.
pub(crate) async fn open(cluster: &Cluster, stack: &str, destination: Destination) -> Result<Tunnel> {
    let Destination { component, pods, port } = destination;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on a local port")?;
    let address = listener.local_addr()?;
    let exit = Arc::new(Exit {
        api: cluster.api(),
        cluster: cluster.clone(),
        stack: stack.to_owned(),
        component,
        port,
        pods: Mutex::new(pods),
        next: AtomicUsize::new(0),
    });
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => { connections.spawn(carry(exit.clone(), stream)); }
                    // Out of descriptors, for example: those that end free some.
                    Err(_) => { connections.join_next().await; }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(Tunnel { address, task: AbortOnDropHandle::new(task) })
}

/// Carries one connection; when no pod takes it, it is closed, which the caller sees as a connection that ended.
async fn carry(exit: Arc<Exit>, mut near: TcpStream) {
    // A request is written whole; waiting for more would only slow it down.
    let _ = near.set_nodelay(true);
    if let Some(mut far) = exit.open().await {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

impl Exit {
    async fn open(&self) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        for refreshed in [false, true] {
            if refreshed && !self.refresh().await {
                return None;
            }
            let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for _ in 0..pods.len() {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                let Some(pod) = pods.get(turn % pods.len()) else { continue };
                if let Ok(link) = connect(self.api.clone(), pod.clone(), self.port).await {
                    return Some(link);
                }
            }
        }
        None
    }

    /// Looks for the pods that are ready now; whether there are any.
    async fn refresh(&self) -> bool {
        let Some(component) = self.component else { return false };
        let Ok(found) = list::<Pod>(&self.cluster, &self.stack, "pods").await else { return false };
        let names: Vec<String> = found
            .iter()
            .filter(|pod| {
                is_ready(pod)
                    && crate::targets::kubernetes::observe::pods::label(pod, names::COMPONENT_LABEL)
                        == Some(component.as_str())
            })
            .filter_map(|pod| pod.metadata.name.clone())
            .collect();
        let some = !names.is_empty();
        *self.pods.lock().unwrap_or_else(PoisonError::into_inner) = names;
        some
    }
}
