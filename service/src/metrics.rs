//! What is measured of HTTP, and all metrics as text. Never labelled by client.

mod cgroup;
mod exposition;
pub(crate) mod lag;
mod process;

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use exposition::Exposition;

pub(crate) use self::process::Process;
use crate::contract::{CHECK, LATENCY_BOUNDS_MS};
use crate::logging;

/// Statuses whose series exist before the first such response: a rate needs a first sample, so the first burst would be missed.
const AWAITED: [StatusCode; 3] =
    [StatusCode::TOO_MANY_REQUESTS, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
/// The same for a front, which itself answers 502 and 504 for its app.
const AWAITED_OF_FRONT: [StatusCode; 2] = [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT];

/// The metrics of the public listener.
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// By [`Route`]: looked up once.
    routes: [Option<RouteMetrics>; ROUTES.len()],
    in_flight: Gauge,
    total: Counter,
    connections: Gauge,
    accepted: Counter,
    draining: Gauge,
    lost_lines: Counter,
}

/// What is counted of a route, besides its requests.
struct RouteMetrics {
    /// By [`Outcome`].
    durations: [Histogram; OUTCOMES.len()],
    aborted: Counter,
}

/// What a replica serves, for the series that exist from its start.
pub struct Served<'a> {
    /// The replica's name.
    pub replica: &'a str,
    /// Whether it is the front of an app.
    pub front: bool,
    /// Whether other proxies may ask it.
    pub check: bool,
    /// Further upper bounds of the duration histogram, in milliseconds.
    pub bounds: &'a [u32],
}

/// What the text is about besides what was counted.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Open public connections.
    pub connections: u64,
    /// Public connections accepted since the start.
    pub accepted: u64,
    /// Whether the replica shuts down.
    pub draining: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: Status,
}

/// A status as a label: `404`, and `4xx` for one that has no name, so that an app cannot make a series of each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Status(u16);

impl From<StatusCode> for Status {
    fn from(status: StatusCode) -> Self {
        Self(if status.canonical_reason().is_some() { status.as_u16() } else { status.as_u16() / 100 })
    }
}

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        match self.0 {
            class @ 0..10 => format!("{class}xx").encode(encoder),
            status => status.encode(encoder),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    route: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// How a request ended. A refusal is one of the fastest responses, so it is kept apart from those that count for latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Limited,
    Failed,
}

const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::Limited, Outcome::Failed];

impl Outcome {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Limited,
            _ if status.is_server_error() => Self::Failed,
            _ => Self::Ok,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Failed => "failed",
        }
    }
}

/// The patterns of paths that are distinguished, so that labels stay few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Health,
    Items,
    Item,
    Other,
    App,
    Check,
}

const ROUTES: [Route; 6] = [Route::Health, Route::Items, Route::Item, Route::Other, Route::App, Route::Check];

impl Route {
    fn of(path: &str) -> Self {
        match path {
            "/health" => Self::Health,
            "/api/items" => Self::Items,
            _ if path.starts_with("/api/items/") => Self::Item,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Items => "/api/items",
            Self::Item => "/api/items/{id}",
            Self::Other => "other",
            Self::App => "app",
            Self::Check => CHECK,
        }
    }

    /// The methods that it answers.
    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Health | Self::Other | Self::Check => &["GET"],
            Self::Items => &["GET", "POST"],
            Self::Item => &["GET", "PUT", "PATCH", "DELETE"],
            Self::App => &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        }
    }

    /// Whether a replica answers at it.
    fn is_of(self, served: &Served<'_>) -> bool {
        match self {
            Self::Health | Self::Items | Self::Item | Self::Other => !served.front,
            Self::App => served.front,
            Self::Check => served.check,
        }
    }
}

/// What a request is counted as.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    method: &'static str,
    route: Route,
}

impl Metrics {
    /// Begins to measure.
    pub fn new(served: &Served<'_>, registry: &mut Registry) -> Self {
        let bounds = bounds(served.bounds);
        let durations: Family<DurationLabels, Histogram, _> =
            Family::new_with_constructor(move || Histogram::new(bounds.iter().copied()));
        let aborted: Family<RouteLabels, Counter> = Family::default();
        let requests: Family<RequestLabels, Counter> = Family::default();
        let of_front: &[StatusCode] = if served.front { &AWAITED_OF_FRONT } else { &[] };
        for route in ROUTES.into_iter().filter(|route| route.is_of(served)) {
            for method in route.methods() {
                for status in AWAITED.iter().chain(of_front) {
                    let status = Status::from(*status);
                    drop(requests.get_or_create(&RequestLabels { method, route: route.name(), status }));
                }
            }
        }
        let routes = ROUTES.map(|route| {
            let label = |outcome: Outcome| DurationLabels { route: route.name(), outcome: outcome.name() };
            route.is_of(served).then(|| RouteMetrics {
                durations: OUTCOMES.map(|outcome| durations.get_or_create_owned(&label(outcome))),
                aborted: aborted.get_or_create_owned(&RouteLabels { route: route.name() }),
            })
        });
        let metrics = Self {
            requests,
            routes,
            in_flight: Gauge::default(),
            total: Counter::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            draining: Gauge::default(),
            lost_lines: Counter::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to that of its answer",
            Unit::Seconds,
            durations,
        );
        registry.register(
            "http_requests_aborted",
            "Requests that their client gave up before the answer",
            aborted,
        );
        registry.register("http_requests_in_flight", "Requests being answered", metrics.in_flight.clone());
        registry.register("http_connections", "Open public connections", metrics.connections.clone());
        registry.register(
            "http_connections_accepted",
            "Public connections since the start",
            metrics.accepted.clone(),
        );
        registry.register("service_draining", "Whether the replica shuts down", metrics.draining.clone());
        registry.register(
            "log_lines_lost",
            "Log lines that stderr did not take in time",
            metrics.lost_lines.clone(),
        );
        registry.register_collector(Box::new(Process::starts()));
        registry.register("appforge_build", "What runs", build(served.replica));
        metrics
    }

    /// What a request of the bundled service is counted as.
    pub fn routed(&self, method: &Method, path: &str) -> Series {
        Series { method: known_method(method), route: Route::of(path) }
    }

    /// What a request of a front is counted as: the paths are the app's.
    pub fn forwarded(&self, method: &Method) -> Series {
        Series { method: known_method(method), route: Route::App }
    }

    /// What a question of another proxy is counted as.
    pub fn checked(&self, method: &Method) -> Series {
        Series { method: known_method(method), route: Route::Check }
    }

    /// A request has come.
    pub fn began(&self) {
        self.in_flight.inc();
    }

    /// It was answered, or given up (`None`).
    pub fn ended(&self, Series { method, route }: Series, status: Option<StatusCode>, after: Duration) {
        self.in_flight.dec();
        let measured = self.routes.get(route as usize).and_then(Option::as_ref);
        let Some(status) = status else {
            if let Some(measured) = measured {
                measured.aborted.inc();
            }
            return;
        };
        self.total.inc();
        let labels = RequestLabels { method, route: route.name(), status: status.into() };
        self.requests.get_or_create(&labels).inc();
        if let Some(durations) = measured.and_then(|it| it.durations.get(Outcome::of(status) as usize)) {
            durations.observe(after.as_secs_f64());
        }
    }

    /// Requests answered since the start.
    pub fn total(&self) -> u64 {
        self.total.get()
    }

    /// All metrics as text in this format.
    pub fn text(&self, registry: &Registry, format: Exposition, now: Moment) -> String {
        self.connections.set(i64::try_from(now.connections).unwrap_or(i64::MAX));
        self.accepted.inner().store(now.accepted, Ordering::Relaxed);
        self.draining.set(now.draining.into());
        self.lost_lines.inner().store(logging::lost(), Ordering::Relaxed);
        format.encode(registry)
    }
}

/// Which version runs, and which replica an address is.
pub(crate) fn build(replica: &str) -> impl prometheus_client::registry::Metric {
    Info::new([("version", env!("CARGO_PKG_VERSION").to_owned()), ("replica", replica.to_owned())])
}

/// The upper bounds of the duration histogram, in seconds, with these milliseconds among them.
fn bounds(more: &[u32]) -> Vec<f64> {
    let mut millis: Vec<u32> = LATENCY_BOUNDS_MS.iter().chain(more).copied().collect();
    millis.sort_unstable();
    millis.dedup();
    millis.into_iter().map(|millis| f64::from(millis) / 1000.0).collect()
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_without_a_name_is_counted_by_its_class() {
        let mut registry = Registry::default();
        let served = Served { replica: "r", front: true, check: false, bounds: &[] };
        let metrics = Metrics::new(&served, &mut registry);
        for status in 500..600 {
            metrics.began();
            let status = StatusCode::from_u16(status).unwrap();
            metrics.ended(metrics.forwarded(&Method::GET), Some(status), Duration::ZERO);
        }
        let text = Exposition::Prometheus.encode(&registry);
        let of_app = |status: &str| {
            format!("http_requests_total{{method=\"GET\",route=\"app\",status=\"{status}\"}} ")
        };
        assert!(text.contains(&(of_app("503") + "1\n")), "{text}");
        assert!(text.contains(&of_app("5xx")) && !text.contains(&of_app("520")), "{text}");
    }

    #[test]
    fn thresholds_are_bounds_of_the_histogram() {
        assert_eq!(bounds(&[]), LATENCY_BOUNDS_MS.map(|millis| f64::from(millis) / 1000.0));
        let bounds = bounds(&[300, 500, 300, 20_000]);
        assert!(bounds.is_sorted() && bounds.contains(&0.3) && bounds.last() == Some(&20.0), "{bounds:?}");
        assert_eq!(bounds.len(), LATENCY_BOUNDS_MS.len() + 2);
    }
}
