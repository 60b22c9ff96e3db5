//! What the lists depend on.

use std::time::Duration;

/// What a stack has that metrics exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// The bundled service, with its cache and its pool of connections to MongoDB.
    Bundled,
    /// The rate limit is on.
    RateLimit,
    /// The exporter reads Redis.
    Redis,
    /// The exporter reads MongoDB.
    Mongodb,
    /// The exporter requests the public URL.
    Probe,
    /// The public URL is HTTPS.
    Certificate,
    /// A gateway with an exporter of its metrics.
    Gateway,
    /// The number of replicas may grow by itself.
    Autoscaling,
    /// Prometheus and its Alertmanager are scraped too.
    Monitoring,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bundled,
        Self::RateLimit,
        Self::Redis,
        Self::Mongodb,
        Self::Probe,
        Self::Certificate,
        Self::Gateway,
        Self::Autoscaling,
        Self::Monitoring,
    ];
}

/// A stack, as far as alerts depend on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its name, a DNS label: the label `stack` of every series.
    pub stack: String,
    /// 95 of 100 requests are faster.
    pub p95: Duration,
    /// 99 of 100 requests are faster.
    pub p99: Duration,
    /// The share of requests that may fail, between 0 and 1.
    pub error_rate: f64,
    /// What the stack has.
    pub features: Vec<Feature>,
    /// Where the runbooks are: a URL or a path; each alert adds its anchor.
    pub runbooks: String,
    /// Names of alerts that are left out.
    pub disabled: Vec<String>,
}

impl Facts {
    /// Whether the stack has it.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// The matcher of every series of the stack: one Prometheus may scrape several.
    pub(super) fn of_stack(&self) -> String {
        format!("stack=\"{}\"", self.stack)
    }

    /// The matchers of the series of replicas.
    pub(super) fn of_service(&self) -> String {
        format!("{},component=\"service\"", self.of_stack())
    }
}

/// The upper bound of a histogram that a threshold is measured at, in seconds: bounds are whole milliseconds.
fn bound(threshold: Duration) -> f64 {
    let millis = u32::try_from(threshold.as_millis()).unwrap_or(u32::MAX).max(1);
    f64::from(millis) / 1000.0
}

/// The label `le` of that bound, as OpenMetrics writes it: `0.5`, `1.0`.
pub(super) fn le(threshold: Duration) -> String {
    format!("{:?}", bound(threshold))
}

/// A threshold as text: `500 ms`, `2 s`.
pub(super) fn shown(threshold: Duration) -> String {
    match threshold.as_millis() {
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}

/// A duration as Prometheus writes it: `30s`, `2m`, `3h`.
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds >= 3600 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds >= 60 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// So many minutes.
pub(super) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_prometheus_reads_them() {
        assert_eq!(["30s", "1m", "90s", "1h"], [30, 60, 90, 3600].map(|it| span(Duration::from_secs(it))));
        assert_eq!(["0.3", "1.0", "0.001"], [300, 1000, 0].map(|it| le(Duration::from_millis(it))));
        assert_eq!(["300 ms", "2 s"], [300, 2000].map(|it| shown(Duration::from_millis(it))));
    }
}
