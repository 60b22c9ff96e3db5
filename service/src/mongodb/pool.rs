//! The connection pool as the driver's CMAP events tell it.

use std::sync::atomic::AtomicI64;

use mongodb::event::cmap::CmapEvent;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::status::PoolStatus;

/// Counts connections.
pub(super) struct Pool {
    max: u32,
    min: u32,
    open: Gauge<i64, AtomicI64>,
    in_use: Gauge<i64, AtomicI64>,
    failures: Counter,
}

impl Pool {
    pub(super) fn new(max: u32, min: u32, registry: &mut Registry) -> Self {
        let (open, in_use, most) = (Gauge::default(), Gauge::default(), Gauge::<i64>::default());
        let failures = Counter::default();
        most.set(i64::from(max));
        registry.register("mongodb_pool_open_connections", "Open connections", open.clone());
        registry.register(
            "mongodb_pool_in_use_connections",
            "Connections that carry an operation",
            in_use.clone(),
        );
        registry.register("mongodb_pool_max_connections", "Most connections, as configured", most);
        registry.register(
            "mongodb_pool_checkout_failures",
            "Operations that got no connection",
            failures.clone(),
        );
        Self { max, min, open, in_use, failures }
    }

    pub(super) fn saw(&self, event: &CmapEvent) {
        match event {
            CmapEvent::ConnectionCreated(_) => {
                self.open.inc();
            }
            CmapEvent::ConnectionClosed(_) => {
                self.open.dec();
            }
            CmapEvent::ConnectionCheckedOut(_) => {
                self.in_use.inc();
            }
            CmapEvent::ConnectionCheckedIn(_) => {
                self.in_use.dec();
            }
            CmapEvent::ConnectionCheckoutFailed(_) => {
                self.failures.inc();
            }
            _ => {}
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        let count = |gauge: &Gauge<i64, AtomicI64>| u32::try_from(gauge.get().max(0)).unwrap_or(u32::MAX);
        PoolStatus { max: self.max, min: self.min, open: count(&self.open), in_use: count(&self.in_use) }
    }
}
