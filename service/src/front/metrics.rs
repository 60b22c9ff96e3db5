//! What is measured of the app behind a front.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The series of a front.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) ready: Gauge,
    pub(super) accepting: Gauge,
    pub(super) health_status: Gauge,
    pub(super) refused: Counter,
    pub(super) broken: Counter,
    pub(super) late: Counter,
    pub(super) unavailable: Counter,
    pub(super) resent: Counter,
    pub(super) tunnels: Counter,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for (name, help, gauge) in [
            ("upstream_ready", "Whether the app answers", &metrics.ready),
            ("upstream_accepting", "Whether the app accepts connections", &metrics.accepting),
            (
                "upstream_health_status",
                "The last status of the app's health, 0 for none",
                &metrics.health_status,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("upstream_refused", "Connections that the app did not take", &metrics.refused),
            ("upstream_broken", "Requests that the app broke off: 502", &metrics.broken),
            ("upstream_late", "Requests that the app did not answer in time: 504", &metrics.late),
            ("upstream_unavailable", "Requests without an app to answer them: 503", &metrics.unavailable),
            ("upstream_resent", "Requests that were sent once more", &metrics.resent),
            ("upstream_tunnels", "Connections that switched to another protocol", &metrics.tunnels),
        ] {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}
