//! The one connection to Redis, shared by the rate limiter and the cache. A task of its own connects, reconnects and
//! looks after it, so that no request ever waits for Redis to come back. What the connection is used for is not known here.

mod connection;
mod failure;
mod forward;
mod keeper;
mod reach;
mod roster;
mod source;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use connection::Connection;
pub use failure::{FailureKind, KindLabel};
pub use forward::{Forward, forward};
pub(crate) use keeper::random;
pub use reach::{connect, reach};
pub use roster::Count;

use crate::redis::source::Source;
use crate::status::StoreState;

/// How long a request may wait for Redis. Calls over [`Redis::connection`] end by themselves after it.
pub const BUDGET: Duration = Duration::from_millis(50);
/// How long the task that looks after the connection may take to end.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Where Redis is, and how its keys begin.
#[derive(Clone)]
pub struct Settings {
    /// A URL of one of [`crate::contract::REDIS_SCHEMES`], or `unix://`; a secret, for it may carry a password.
    pub url: String,
    /// What all keys of this stack begin with, such as `appforge:`. In a cluster it becomes their hash tag.
    pub key_prefix: String,
}

/// The connection to Redis, whether it stands or not.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

/// What the handles and the keeper share.
struct Shared {
    link: watch::Sender<Link>,
    replicas: watch::Sender<Count>,
    /// The keeper is to look at the connection now.
    look: Notify,
    key_prefix: String,
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: Metrics,
}

/// How the connection stands.
#[derive(Clone, Debug)]
pub enum Link {
    /// The first attempt to connect has not ended yet.
    Starting,
    /// Redis answers and takes writes.
    Up(Session),
    /// It does not; with the reason, never with credentials.
    Down(String),
}

/// One connection, from its start to its end.
#[derive(Clone, Debug)]
pub struct Session {
    /// Counts the connections of this process.
    pub id: u64,
    /// Names the data that Redis holds: it differs once Redis has lost its keys (restart without data, `FLUSHALL`).
    pub epoch: Arc<[u8]>,
    /// Its calls fail after [`BUDGET`].
    pub connection: Connection,
    since: Instant,
}

impl Link {
    fn is_session(&self, id: u64) -> bool {
        matches!(self, Self::Up(session) if session.id == id)
    }
}

impl Redis {
    /// Starts to connect, in the background and for ever. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the URL is malformed; the error does not repeat it.
    pub fn start(settings: Settings, registry: &mut Registry) -> anyhow::Result<Self> {
        let Settings { url, key_prefix } = settings;
        let source = Source::parse(&url, &key_prefix)?;
        let key_prefix = source.key_prefix(key_prefix);
        let shared = Arc::new(Shared {
            link: watch::Sender::new(Link::Starting),
            replicas: watch::Sender::default(),
            look: Notify::new(),
            key_prefix,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            metrics: Metrics::new(registry),
        });
        shared.tasks.spawn(keeper::keep(shared.clone(), source));
        Ok(Self { shared })
    }

    /// The connection, or `None` while Redis is away. Its calls fail after [`BUDGET`]; tell [`Redis::failed`] then.
    pub fn connection(&self) -> Option<Connection> {
        match &*self.shared.link.borrow() {
            Link::Up(session) => Some(session.connection.clone()),
            Link::Starting | Link::Down(_) => None,
        }
    }

    /// A call over [`Redis::connection`] failed: nobody uses the connection any longer, and the keeper makes a new one.
    pub fn failed(&self, kind: FailureKind) {
        let current = match &*self.shared.link.borrow() {
            // A call that ran out of time began before a connection as young as this.
            Link::Up(session) if kind == FailureKind::Timeout && session.since.elapsed() < BUDGET => None,
            Link::Up(session) => Some(session.id),
            Link::Starting | Link::Down(_) => None,
        };
        if let Some(id) = current {
            self.session_failed(id, kind);
        }
    }

    /// As [`Redis::failed`], for a caller that knows over which connection it called.
    pub fn session_failed(&self, id: u64, kind: FailureKind) {
        self.shared.lost(id, kind, kind.to_string());
    }

    /// A key was gone: the keeper looks at once whether all are.
    pub(crate) fn look(&self) {
        self.shared.look.notify_one();
    }

    /// How the connection stands, to be watched.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    /// How many replicas keep a place in Redis, to be watched. While Redis is away it is the last count.
    pub fn replicas(&self) -> watch::Receiver<Count> {
        self.shared.replicas.subscribe()
    }

    /// What all keys of this stack begin with.
    pub fn key_prefix(&self) -> &str {
        &self.shared.key_prefix
    }

    /// Whether Redis answers, and why it does not; never with credentials.
    pub fn state(&self) -> (StoreState, Option<String>) {
        match &*self.shared.link.borrow() {
            Link::Up(_) => (StoreState::Up, None),
            Link::Starting => (StoreState::Down, Some("not connected yet".into())),
            Link::Down(why) => (StoreState::Down, Some(why.clone())),
        }
    }

    /// Ends the connection and the task that looks after it.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if timeout(CLOSE_LIMIT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("the connection to Redis did not end in time");
        }
    }
}

impl Shared {
    /// Ends session `id`, if it is still the one in use.
    fn lost(&self, id: u64, kind: FailureKind, why: String) {
        self.metrics.failures.get_or_create(&kind.label()).inc();
        self.link.send_if_modified(|link| {
            let current = link.is_session(id);
            if current {
                self.metrics.up.set(0);
                *link = Link::Down(why);
            }
            current
        });
    }
}

/// What is measured of the connection.
struct Metrics {
    up: Gauge,
    connects: Counter,
    failures: Family<KindLabel, Counter>,
}

impl Metrics {
    fn new(registry: &mut Registry) -> Self {
        let metrics =
            Self { up: Gauge::default(), connects: Counter::default(), failures: Family::default() };
        registry.register("redis_client_up", "Whether Redis answers and takes writes", metrics.up.clone());
        registry.register(
            "redis_client_connects",
            "Connections to Redis that were made",
            metrics.connects.clone(),
        );
        registry.register(
            "redis_client_failures",
            "Failures that ended a connection to Redis",
            metrics.failures.clone(),
        );
        metrics
    }
}
