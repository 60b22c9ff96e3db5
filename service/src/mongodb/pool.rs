//! The connection pool, from the driver's CMAP events, and the wait for a connection.
//!
//! The driver reports nothing of a wait that is given up, by a deadline of ours or because the client left. So each operation runs
//! in a scope that counts what it waits for, and takes it back at its end.

use std::cell::Cell;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use mongodb::event::cmap::{CmapEvent, ConnectionCheckoutFailedReason};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::status::PoolStatus;

/// Upper bounds of the wait for a connection, in seconds.
const BOUNDS: [f64; 8] = [0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0];

/// Counts connections.
pub(super) struct Pool {
    max: u32,
    min: u32,
    open: Gauge<i64, AtomicI64>,
    in_use: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
    checkouts: Histogram,
    failures: Failures,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

tokio::task_local! {
    /// Of the operation under way; the driver calls back within it.
    static CHECKOUT: Checkout;
}

/// Whether an operation waits for its connection.
struct Checkout {
    waits: Cell<bool>,
    queue: Gauge<i64, AtomicI64>,
}

impl Checkout {
    fn set(&self, waits: bool) {
        if self.waits.replace(waits) != waits {
            self.queue.inc_by(if waits { 1 } else { -1 });
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Operations that got no connection, by reason.
struct Failures {
    timeout: Counter,
    connection: Counter,
    other: Counter,
}

impl Pool {
    pub(super) fn new(max: u32, min: u32, registry: &mut Registry) -> Self {
        let failures: Family<ReasonLabels, Counter> = Family::default();
        let failed = |reason| failures.get_or_create_owned(&ReasonLabels { reason });
        let most = Gauge::<i64>::default();
        let pool = Self {
            max,
            min,
            open: Gauge::default(),
            in_use: Gauge::default(),
            waiting: Gauge::default(),
            checkouts: Histogram::new(BOUNDS),
            failures: Failures {
                timeout: failed("timeout"),
                connection: failed("connection"),
                other: failed("other"),
            },
        };
        most.set(i64::from(max));
        registry.register("mongodb_pool_open_connections", "Open connections", pool.open.clone());
        registry.register(
            "mongodb_pool_in_use_connections",
            "Connections that carry an operation",
            pool.in_use.clone(),
        );
        registry.register("mongodb_pool_max_connections", "Most connections, as configured", most);
        registry.register(
            "mongodb_pool_wait_queue",
            "Operations that wait for a connection",
            pool.waiting.clone(),
        );
        let help = "How long operations waited for their connection";
        registry.register_with_unit("mongodb_pool_checkout", help, Unit::Seconds, pool.checkouts.clone());
        registry.register("mongodb_pool_checkout_failures", "Operations that got no connection", failures);
        pool
    }

    /// Runs an operation for at most `limit`. One that still waits for its connection then has got none.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        operation: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        let checkout = Checkout { waits: Cell::new(false), queue: self.waiting.clone() };
        let bounded = async {
            let outcome = timeout(limit, operation).await;
            if outcome.is_err() && CHECKOUT.with(|checkout| checkout.waits.get()) {
                self.failures.timeout.inc();
            }
            outcome
        };
        CHECKOUT.scope(checkout, bounded).await
    }

    /// Whoever runs in no scope (the task that looks after the connection) waits uncounted.
    fn waits(waits: bool) {
        let _ = CHECKOUT.try_with(|checkout| checkout.set(waits));
    }

    pub(super) fn saw(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => {
                self.open.inc();
            }
            CmapEvent::ConnectionClosed(_) => {
                self.open.dec();
            }
            CmapEvent::ConnectionCheckoutStarted(_) => {
                Self::waits(true);
            }
            CmapEvent::ConnectionCheckedOut(checkout) => {
                Self::waits(false);
                self.in_use.inc();
                self.checkouts.observe(checkout.duration.as_secs_f64());
            }
            CmapEvent::ConnectionCheckedIn(_) => {
                self.in_use.dec();
            }
            CmapEvent::ConnectionCheckoutFailed(failure) => {
                Self::waits(false);
                self.failures.of(&failure.reason).inc();
            }
            _ => {}
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        let count = |gauge: &Gauge<i64, AtomicI64>| u32::try_from(gauge.get().max(0)).unwrap_or(u32::MAX);
        PoolStatus { max: self.max, min: self.min, open: count(&self.open), in_use: count(&self.in_use) }
    }
}

impl Failures {
    fn of(&self, reason: &ConnectionCheckoutFailedReason) -> &Counter {
        match reason {
            ConnectionCheckoutFailedReason::Timeout => &self.timeout,
            ConnectionCheckoutFailedReason::ConnectionError => &self.connection,
            _ => &self.other,
        }
    }
}
