//! Which apps there are: the front's own, and those of other fronts on the machine, which step in while it is away.
//!
//! The gate is open while the own app accepts connections. A request that fails to connect closes it, and a task opens it again.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::health::Health;
use super::metrics::Metrics;
use super::pool::{Lease, Peer};
use crate::contract::Endpoint;
use crate::listening::beyond_loopback;
use crate::status::UpstreamStatus;

/// How long a request waits for an app to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to reach an app that is away: soon enough that a restart is hardly noticed.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// The same between two attempts of a waiting request to reach another app.
const SIBLINGS_EVERY: Duration = Duration::from_millis(200);

/// The apps of a front.
pub struct Upstreams {
    /// The own app first.
    peers: watch::Sender<Arc<[Arc<Peer>]>>,
    gate: watch::Sender<bool>,
    turn: AtomicUsize,
    health: Mutex<Health>,
    pub(super) metrics: Metrics,
}

/// The port of an app that shares the network of its front.
fn loopback_port(own: &Endpoint) -> Option<u16> {
    let address = own.host.parse::<IpAddr>();
    let is_here = own.host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    is_here.then_some(own.port)
}

/// Whether a connection that carried a request before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    Refused,
}

impl Upstreams {
    /// Only the own app, which has not been reached yet.
    pub(super) fn new(own: Endpoint, registry: &mut Registry) -> Self {
        Self {
            peers: watch::Sender::new([Arc::new(Peer::new(own))].into()),
            gate: watch::Sender::new(false),
            turn: AtomicUsize::new(0),
            health: Mutex::default(),
            metrics: Metrics::new(registry),
        }
    }

    /// Replaces the list: the own app first, which is away when there is none.
    pub fn replace(&self, endpoints: Vec<Endpoint>) {
        let old = self.peers();
        let known = |endpoint: &Endpoint| old.iter().find(|peer| peer.endpoint == *endpoint).cloned();
        let peers = endpoints.into_iter().map(|it| known(&it).unwrap_or_else(|| Arc::new(Peer::new(it))));
        let peers: Arc<[Arc<Peer>]> = peers.collect();
        let same = peers.first().map(|own| &own.endpoint) == old.first().map(|own| &own.endpoint);
        if !same {
            self.close_gate();
            self.update_health(|health| *health = Health::default());
        }
        self.peers.send_replace(peers);
    }

    /// Whether the own app accepts connections, to be watched.
    pub fn gate(&self) -> watch::Receiver<bool> {
        self.gate.subscribe()
    }

    /// Whether the front is ready for requests.
    pub fn is_ready(&self) -> bool {
        self.health().is_ready()
    }

    /// What `/statusz` says.
    pub fn status(&self) -> UpstreamStatus {
        let peers = self.peers();
        let health = self.health();
        UpstreamStatus {
            url: peers.first().map(|own| format!("http://{}", own.endpoint)),
            ready: health.is_ready(),
            accepting: *self.gate.borrow(),
            last_status: health.last_status,
            error: health.error.clone(),
            siblings: peers.len().saturating_sub(1) as u64,
            beyond_loopback: peers
                .first()
                .and_then(|own| loopback_port(&own.endpoint))
                .and_then(beyond_loopback),
        }
    }

    /// A connection to the own app, to another while it is away, or to whichever comes back in time.
    pub(super) async fn lease(&self, reuse: Reuse) -> Option<Lease> {
        if let Some(lease) = self.try_lease(reuse).await {
            return Some(lease);
        }
        let until = Instant::now() + PATIENCE;
        let (mut gate, mut peers) = (self.gate.subscribe(), self.peers.subscribe());
        loop {
            // What changes during the attempt counts as a change.
            peers.mark_unchanged();
            if let Some(lease) = self.try_lease(reuse).await {
                return Some(lease);
            }
            if Instant::now() >= until {
                return None;
            }
            let back = async {
                tokio::select! {
                    // Both senders are in `self`.
                    _ = gate.wait_for(|open| *open) => {}
                    _ = peers.changed() => {}
                    // Only the own app has a gate.
                    () = sleep(SIBLINGS_EVERY) => {}
                }
            };
            // The last attempt follows the end of the time.
            let _ = timeout_at(until, back).await;
        }
    }

    async fn try_lease(&self, reuse: Reuse) -> Option<Lease> {
        let peers = self.peers();
        let (own, others) = peers.split_first()?;
        if *self.gate.borrow() {
            match leased(own, reuse).await {
                Ok(lease) => return Some(lease),
                Err(error) => self.refused(own, &error),
            }
        }
        let turn = self.turn.fetch_add(1, Relaxed).checked_rem(others.len()).unwrap_or(0);
        for peer in others.iter().cycle().skip(turn).take(others.len()) {
            match leased(peer, reuse).await {
                Ok(lease) => return Some(lease),
                Err(error) => tracing::debug!(%error, "no connection to another app"),
            }
        }
        None
    }

    /// The own app did not take a connection.
    pub(super) fn refused(&self, own: &Peer, error: &std::io::Error) {
        self.metrics.refused.inc();
        if self.close_gate() {
            tracing::warn!(%error, "no connection to the app at {}", own.endpoint);
        }
    }

    /// Opens the gate whenever the own app accepts connections again; runs until it is dropped.
    pub(super) async fn keep_gate(&self) {
        let (mut peers, mut gate) = (self.peers.subscribe(), self.gate.subscribe());
        loop {
            let own = peers.borrow_and_update().first().cloned();
            match own {
                Some(own) if !*gate.borrow_and_update() => {
                    if own.connect().await.is_ok() && self.own().is_some_and(|now| Arc::ptr_eq(&now, &own)) {
                        self.metrics.accepting.set(1);
                        self.gate.send_replace(true);
                    } else {
                        sleep(RETRY_EVERY).await;
                    }
                }
                _ => {
                    // Both senders are in `self`.
                    tokio::select! { _ = peers.changed() => {}, _ = gate.changed() => {} }
                }
            }
        }
    }

    /// The front's own app.
    pub(super) fn own(&self) -> Option<Arc<Peer>> {
        self.peers.borrow().first().cloned()
    }

    /// To learn of another list.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<[Arc<Peer>]>> {
        self.peers.subscribe()
    }

    /// Closes idle connections that are too old.
    pub(super) fn sweep(&self) {
        for peer in self.peers().iter() {
            peer.sweep();
        }
    }

    pub(super) fn update_health(&self, update: impl FnOnce(&mut Health)) {
        let mut health = self.health();
        update(&mut health);
        self.metrics.ready.set(health.is_ready().into());
        self.metrics.health_status.set(health.last_status.unwrap_or(0).into());
    }

    fn peers(&self) -> Arc<[Arc<Peer>]> {
        self.peers.borrow().clone()
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was open.
    fn close_gate(&self) -> bool {
        self.metrics.accepting.set(0);
        self.gate.send_if_modified(|open| std::mem::replace(open, false))
    }
}

async fn leased(peer: &Arc<Peer>, reuse: Reuse) -> std::io::Result<Lease> {
    match reuse {
        Reuse::Allowed => peer.lease().await,
        Reuse::Refused => peer.fresh().await,
    }
}
