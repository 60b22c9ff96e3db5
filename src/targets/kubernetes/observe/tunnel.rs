//! Ports of this machine that lead to pods, through the API server: all that `verify` and `load` need is a kubeconfig.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::targets::kubernetes::client::Cluster;
use crate::targets::kubernetes::observe::exits::{Destination, Exits};
use crate::targets::kubernetes::observe::requests;

/// A port of this machine that leads to pods; it closes, with its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Accepts, and owns every connection.
    pub(crate) task: AbortOnDropHandle<()>,
}

/// What connections carry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// HTTP/1.1: each request may go to another pod.
    Requests,
    /// Anything: a connection stays with its pod.
    Bytes,
}

/// Opens a port that leads to pods. The watch of the pods ends with it.
///
/// # Errors
/// When this machine gives no port.
pub(crate) async fn open(
    cluster: &Cluster,
    stack: &str,
    content: Content,
    destination: Destination,
) -> Result<Tunnel> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on a local port")?;
    let address = listener.local_addr()?;
    let exits = Arc::new(Exits::new(cluster.clone(), stack, destination));
    let task = tokio::spawn(async move {
        let watched = exits.clone();
        let _watch = AbortOnDropHandle::new(tokio::spawn(async move { watched.follow().await }));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => { connections.spawn(carry(exits.clone(), content, stream)); }
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
async fn carry(exits: Arc<Exits>, content: Content, mut near: TcpStream) {
    // A request is written whole; waiting for more would only slow it down.
    let _ = near.set_nodelay(true);
    let Some(mut way) = exits.open().await else { return };
    match content {
        Content::Requests => requests::carry(&exits, way, near).await,
        Content::Bytes => {
            let copied = copy_bidirectional(&mut near, &mut way.link.stream).await;
            if !matches!(copied, Ok((_, received)) if received > 0) {
                exits.blame(way).await;
            }
        }
    }
}
