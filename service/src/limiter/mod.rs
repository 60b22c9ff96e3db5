//! The rate limiter: a fixed window per client, opened by its first request, and exact over all replicas.
//!
//! Redis counts. A replica joins concurrent requests into pipelined batches, and once Redis has said that a client is
//! over its limit it refuses by itself until the window ends, which is exact too and costs Redis nothing. While Redis is
//! away the replica counts its share by itself, and tells Redis when it is back. No request waits longer than
//! [`BUDGET`](crate::redis::BUDGET) for Redis.

mod batch;
mod decision;
mod ledger;
#[cfg(test)]
mod ledger_tests;
#[cfg(test)]
mod loss_tests;
mod metrics;
mod settle;
mod table;
mod verdict;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::identity::Identity;
use crate::redis::{BUDGET, Redis};
use crate::status::{LimitMode, RateLimitStatus};
use decision::Policy;
use ledger::{Asked, Ledger, Mode};
use metrics::Metrics;
use table::MOST_CLIENTS;
use verdict::Verdict;

pub use crate::contract::OnRedisFailure;
pub use decision::{Decision, Outcome};

/// How long the writer may take to end.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The limit.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests that pass per window and client.
    pub requests: u32,
    /// The window.
    pub window: Duration,
    /// What to do while Redis is away.
    pub on_redis_failure: OnRedisFailure,
    /// Over how many replicas a client's requests are spread, for the share of each while Redis is away. Holds until they are
    /// counted in Redis.
    pub replicas: u32,
}

/// The rate limiter of this replica.
#[derive(Clone)]
pub struct Limiter {
    shared: Arc<Shared>,
}

/// What the handles and the writer share.
struct Shared {
    ledger: Mutex<Ledger>,
    /// There is something to send.
    wake: Notify,
    /// Whether Redis has been tried.
    settled: watch::Sender<bool>,
    started: Instant,
    key_prefix: String,
    limit: u32,
    window: Duration,
    fallback: OnRedisFailure,
    policy: Arc<Policy>,
    metrics: Metrics,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Limiter {
    /// Starts to count. Must be called on a tokio runtime.
    pub fn start(settings: &Settings, redis: Redis, registry: &mut Registry) -> Self {
        let (limit, window) = (settings.requests, settings.window);
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::new(settings, MOST_CLIENTS)),
            wake: Notify::new(),
            settled: watch::Sender::new(false),
            started: Instant::now(),
            // Another limit or window starts clean.
            key_prefix: format!("{}rl:{limit}:{}:", redis.key_prefix(), window.as_millis()),
            limit,
            window,
            fallback: settings.on_redis_failure,
            policy: Arc::new(Policy::new(limit, window)),
            metrics: Metrics::new(registry),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let limiter = Self { shared: shared.clone() };
        limiter.set_replicas(settings.replicas);
        shared.tasks.spawn(writer::run(shared.clone(), redis));
        limiter
    }

    /// Counts a request of `client` and says whether it may go on, after [`BUDGET`] at the latest.
    ///
    /// A request that is given up meanwhile (this future is dropped) costs its client one of its limit.
    pub async fn check(&self, client: &Identity) -> Decision {
        let started = Instant::now();
        let verdict = self.verdict(client).await;
        self.shared.metrics.decided(verdict.source);
        self.shared.metrics.check.observe(started.elapsed().as_secs_f64());
        Decision {
            outcome: verdict.outcome(),
            limit: self.shared.limit,
            remaining: verdict.remaining,
            reset: Duration::from_millis(verdict.left),
            window: self.shared.window,
            policy: self.shared.policy.clone(),
        }
    }

    async fn verdict(&self, client: &Identity) -> Verdict {
        let mut asked = self.shared.ask(client);
        if matches!(asked, Asked::NotYet) {
            let mut settled = self.shared.settled.subscribe();
            // Whether it was tried in time shows in the answer to the second question.
            let _ = timeout(BUDGET, settled.wait_for(|settled| *settled)).await;
            asked = self.shared.ask(client);
        }
        let verdict = match asked {
            Asked::Known(verdict) => return verdict,
            Asked::Sent { verdict, .. } => verdict.await.ok(),
            Asked::NotYet => None,
        };
        verdict.unwrap_or_else(|| self.shared.locally(client))
    }

    /// Sets over how many replicas the limit is shared while Redis is away, until their count in Redis changes.
    pub fn set_replicas(&self, replicas: u32) {
        self.shared.set_replicas(replicas);
    }

    /// How requests are counted now.
    pub fn status(&self) -> RateLimitStatus {
        let ledger = self.shared.ledger();
        RateLimitStatus {
            requests: self.shared.limit,
            window_ms: ledger.window,
            mode: match (ledger.mode, self.shared.fallback) {
                (Mode::Shared, _) => LimitMode::Shared,
                (_, OnRedisFailure::Memory) => LimitMode::Memory,
                (_, OnRedisFailure::Open) => LimitMode::Open,
                (_, OnRedisFailure::Closed) => LimitMode::Closed,
            },
            tracked_clients: ledger.table.len() as u64,
            replicas: ledger.replicas,
        }
    }

    /// Ends the writer. Requests are counted in this replica from then on.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if timeout(CLOSE_LIMIT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("the rate limiter did not end in time");
        }
    }
}

impl Shared {
    /// A panic in a decision leaves counts as they were: no reason to stop deciding.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start, one more so that no window ends at nought.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn ask(&self, client: &Identity) -> Asked {
        let mut ledger = self.ledger();
        let asked = ledger.ask(client, self.now());
        self.wake_for(&ledger, matches!(asked, Asked::Sent { wake: true, .. }));
        asked
    }

    fn locally(&self, client: &Identity) -> Verdict {
        let mut ledger = self.ledger();
        let verdict = ledger.locally(client, self.now());
        self.wake_for(&ledger, false);
        verdict
    }

    /// Wakes the writer for a request that waits, or that Redis is to be told of.
    fn wake_for(&self, ledger: &Ledger, waits: bool) {
        if waits || ledger.is_due(self.now()) {
            self.wake.notify_one();
        }
    }

    fn set_replicas(&self, replicas: u32) {
        let replicas = replicas.max(1);
        self.ledger().replicas = replicas;
        self.metrics.replicas.set(replicas.into());
    }

    fn sweep(&self) {
        let mut ledger = self.ledger();
        ledger.sweep(self.now());
        self.measure(&mut ledger);
    }

    fn measure(&self, ledger: &mut Ledger) {
        self.metrics.tracked.set(i64::try_from(ledger.table.len()).unwrap_or(i64::MAX));
        self.metrics.evicted.inc_by(ledger.table.take_evicted());
    }

    fn fallback_in_words(&self) -> &'static str {
        match self.fallback {
            OnRedisFailure::Memory => "each replica counts its share of the limit",
            OnRedisFailure::Open => "all requests pass",
            OnRedisFailure::Closed => "no request passes",
        }
    }
}
