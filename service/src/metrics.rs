//! What is measured of HTTP and of the process, in the Prometheus text format. Never labelled by client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::contract::CHECK;
use crate::logging;

/// Upper bounds of the duration histogram, in seconds.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The metrics of the public listener and of the process.
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    /// By [`Route`]: looked up once.
    durations: [Histogram; ROUTES.len()],
    in_flight: Gauge,
    total: Counter,
    memory: Gauge,
    files: Gauge,
    most_files: Gauge,
    cpu: Counter<f64, AtomicU64>,
    connections: Gauge,
    lost_lines: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// The patterns of paths that are told apart, so that labels stay few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Health,
    Openapi,
    Items,
    Item,
    Other,
    App,
    Check,
}

const ROUTES: [Route; 7] =
    [Route::Health, Route::Openapi, Route::Items, Route::Item, Route::Other, Route::App, Route::Check];

impl Route {
    fn of(path: &str) -> Self {
        match path {
            "/health" => Self::Health,
            "/openapi.json" => Self::Openapi,
            "/api/items" => Self::Items,
            _ if path.starts_with("/api/items/") => Self::Item,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Openapi => "/openapi.json",
            Self::Items => "/api/items",
            Self::Item => "/api/items/{id}",
            Self::Other => "other",
            Self::App => "app",
            Self::Check => CHECK,
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
    pub fn new(registry: &mut Registry) -> Self {
        let durations: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BOUNDS));
        let metrics = Self {
            requests: Family::default(),
            durations: ROUTES
                .map(|route| durations.get_or_create_owned(&RouteLabels { route: route.name() })),
            in_flight: Gauge::default(),
            total: Counter::default(),
            memory: Gauge::default(),
            files: Gauge::default(),
            most_files: Gauge::default(),
            cpu: Counter::default(),
            connections: Gauge::default(),
            lost_lines: Counter::default(),
        };
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "From the head of a request to that of its answer",
            Unit::Seconds,
            durations,
        );
        registry.register("http_requests_in_flight", "Requests being answered", metrics.in_flight.clone());
        registry.register_with_unit(
            "process_resident_memory",
            "Memory in use",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        registry.register("process_open_fds", "Open files and sockets", metrics.files.clone());
        registry.register("process_max_fds", "Most files and sockets", metrics.most_files.clone());
        registry.register_with_unit(
            "process_cpu",
            "Time on the processor",
            Unit::Seconds,
            metrics.cpu.clone(),
        );
        let start = ConstGauge::new(jiff::Timestamp::now().as_second());
        registry.register_with_unit(
            "process_start_time",
            "When it started, since 1970",
            Unit::Seconds,
            start,
        );
        registry.register("http_connections", "Open public connections", metrics.connections.clone());
        registry.register(
            "log_lines_lost",
            "Log lines that stderr did not take in time",
            metrics.lost_lines.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("appforge_build", "What runs", build);
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
        let Some(status) = status else { return };
        self.total.inc();
        let labels = RequestLabels { method, route: route.name(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        if let Some(durations) = self.durations.get(route as usize) {
            durations.observe(after.as_secs_f64());
        }
    }

    /// Requests answered since the start.
    pub fn total(&self) -> u64 {
        self.total.get()
    }

    /// All metrics as text, with so many open connections.
    pub fn text(&self, registry: &Registry, connections: u64) -> String {
        self.connections.set(i64::try_from(connections).unwrap_or(i64::MAX));
        self.lost_lines.inner().store(logging::lost(), Ordering::Relaxed);
        self.measure_process();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, registry);
        text
    }

    fn measure_process(&self) {
        // Without /proc the gauges stay at nought.
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        // `VmRSS:   1234 kB`, and `Max open files  1024  4096  files`: the soft limit is the one that binds.
        self.memory.set(number(&read("status"), "VmRSS:") * 1024);
        self.most_files.set(number(&read("limits"), "Max open files"));
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.files.set(i64::try_from(files).unwrap_or(i64::MAX));
        let stat = read("stat");
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: f64 = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        // 100 ticks a second on every Linux that Rust runs on.
        self.cpu.inner().store((ticks / 100.0).to_bits(), Ordering::Relaxed);
    }
}

/// The first number on the line that begins so.
fn number(text: &str, begin: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix(begin));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
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
