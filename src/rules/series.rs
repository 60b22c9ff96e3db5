//! The series of a healthy stack of two replicas, as promtool's tests write them: the ground that scenarios change.

use super::facts::{Facts, le};

/// One series and its values, a sample a minute: `0+600x240` begins at 0 and grows by 600, 240 times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Name and labels, as in PromQL.
    pub name: String,
    /// The samples.
    pub values: String,
}

/// Minutes that scenarios last: the slowest alert waits for three hours.
pub(super) const MINUTES: u32 = 240;

/// A constant value.
pub(super) fn constant(value: impl std::fmt::Display) -> String {
    format!("{value}x{MINUTES}")
}

/// A counter that grows by so much each minute.
pub(super) fn growing(by: u32) -> String {
    format!("0+{by}x{MINUTES}")
}

/// The two replicas.
pub(super) const INSTANCES: [&str; 2] = ["a", "b"];

/// The name of a series of one replica, with further labels.
pub(super) fn of_replica(facts: &Facts, metric: &str, instance: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!("{metric}{{{},instance=\"{instance}\"{comma}{more}}}", facts.of_service())
}

/// The name of a series of another component.
pub(super) fn of_component(facts: &Facts, metric: &str, component: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!("{metric}{{{},component=\"{component}\"{comma}{more}}}", facts.of_stack())
}

/// The labels of requests that were answered with this status.
pub(super) fn request(status: &str) -> String {
    format!("method=\"GET\",route=\"/api/items\",status=\"{status}\"")
}

/// Every series that a rule reads.
pub(super) fn healthy(facts: &Facts) -> Vec<Series> {
    let mut series = Vec::new();
    for instance in INSTANCES {
        series.extend(replica(facts, instance));
    }
    for (metric, component, more, values) in components() {
        series.push(Series { name: of_component(facts, metric, component, more), values });
    }
    series
}

/// The series of one replica: 10 requests a second, all of them fast.
fn replica(facts: &Facts, instance: &str) -> Vec<Series> {
    let mut all = vec![
        ("up", String::new(), constant(1)),
        ("process_start_time_seconds", String::new(), constant(100)),
        ("process_resident_memory_bytes", String::new(), constant(50_000_000)),
        ("process_memory_limit_bytes", String::new(), constant(268_435_456)),
        ("process_cpu_throttled_seconds_total", String::new(), constant(0)),
        ("process_open_fds", String::new(), constant(60)),
        ("process_max_fds", String::new(), constant(1024)),
        ("log_lines_lost_total", String::new(), constant(0)),
        ("http_requests_total", request("200"), growing(600)),
        ("http_requests_total", request("429"), growing(6)),
        ("http_requests_total", request("500"), constant(0)),
        ("ratelimit_backend_up", String::new(), constant(1)),
        ("ratelimit_backend_transitions_total", String::new(), constant(1)),
        ("ratelimit_window_lost_total", String::new(), constant(0)),
        ("ratelimit_counts_regressed_total", String::new(), constant(0)),
        ("ratelimit_client_ip_source_total", "source=\"xff\"".into(), growing(600)),
        ("ratelimit_client_ip_source_total", "source=\"bad\"".into(), constant(0)),
        ("ratelimit_client_ip_source_total", "source=\"short\"".into(), constant(0)),
        ("ratelimit_redis_rtt_seconds_bucket", "le=\"0.0128\"".into(), growing(500)),
        ("ratelimit_redis_rtt_seconds_bucket", "le=\"0.0512\"".into(), growing(500)),
        ("ratelimit_redis_rtt_seconds_bucket", "le=\"+Inf\"".into(), growing(500)),
        ("cache_requests_total", "outcome=\"hit\"".into(), growing(500)),
        ("cache_requests_total", "outcome=\"miss\"".into(), growing(100)),
        ("mongodb_client_up", String::new(), constant(1)),
        ("mongodb_pool_in_use_connections", String::new(), constant(5)),
        ("mongodb_pool_max_connections", String::new(), constant(50)),
        ("mongodb_pool_wait_queue", String::new(), constant(0)),
        ("mongodb_pool_checkout_failures_total", "reason=\"timeout\"".into(), constant(0)),
        ("mongodb_pool_checkout_failures_total", "reason=\"connection\"".into(), constant(0)),
    ];
    for (part, more) in [
        ("http_request_duration_seconds_bucket", format!(",le=\"{}\"", le(facts.p95))),
        ("http_request_duration_seconds_bucket", format!(",le=\"{}\"", le(facts.p99))),
        ("http_request_duration_seconds_count", String::new()),
    ] {
        all.push((part, format!("route=\"/api/items\",outcome=\"ok\"{more}"), growing(600)));
        all.push((part, format!("route=\"/api/items\",outcome=\"limited\"{more}"), growing(6)));
    }
    // The two thresholds may be one.
    all.dedup();
    let named = |(metric, more, values): (&str, String, String)| Series {
        name: of_replica(facts, metric, instance, &more),
        values,
    };
    all.into_iter().map(named).collect()
}

/// Metric, component, further labels and values of all else.
fn components() -> Vec<(&'static str, &'static str, &'static str, String)> {
    vec![
        ("up", "exporter", "instance=\"e\"", constant(1)),
        ("up", "gateway", "instance=\"g\"", constant(1)),
        ("up", "alertmanager", "instance=\"m\"", constant(1)),
        ("appforge_replicas_desired", "exporter", "", constant(2)),
        ("appforge_replicas_max", "exporter", "", constant(4)),
        ("redis_up", "exporter", "", constant(1)),
        ("redis_memory_used_bytes", "exporter", "", constant(500_000_000)),
        ("redis_memory_max_bytes", "exporter", "", constant(1_000_000_000)),
        ("redis_evicted_keys_total", "exporter", "", constant(0)),
        ("redis_aof_last_write_status", "exporter", "", constant(1)),
        ("redis_aof_last_bgrewrite_status", "exporter", "", constant(1)),
        ("redis_rdb_last_bgsave_status", "exporter", "", constant(1)),
        ("redis_connected_clients", "exporter", "", constant(20)),
        ("redis_max_clients", "exporter", "", constant(10_000)),
        ("redis_rejected_connections_total", "exporter", "", constant(0)),
        ("mongodb_up", "exporter", "", constant(1)),
        ("mongodb_connections", "exporter", "state=\"current\"", constant(20)),
        ("mongodb_connections", "exporter", "state=\"available\"", constant(800)),
        ("mongodb_mongod_wiredtiger_cache_bytes", "exporter", "type=\"dirty\"", constant(1_000_000)),
        ("mongodb_mongod_wiredtiger_cache_max_bytes", "exporter", "", constant(500_000_000)),
        ("mongodb_filesystem_used_bytes", "exporter", "", constant(3_000_000_000_u64)),
        ("mongodb_filesystem_size_bytes", "exporter", "", constant(10_000_000_000_u64)),
        ("probe_success", "exporter", "", constant(1)),
        ("probe_ssl_earliest_cert_expiry", "exporter", "", constant(90 * 86_400)),
        ("haproxy_backend_active_servers", "gateway", "proxy=\"replicas\"", constant(2)),
        ("haproxy_backend_connection_errors_total", "gateway", "proxy=\"replicas\"", constant(0)),
        ("haproxy_backend_response_errors_total", "gateway", "proxy=\"replicas\"", constant(0)),
        ("alertmanager_notifications_failed_total", "alertmanager", "integration=\"slack\"", constant(0)),
        ("alertmanager_config_last_reload_successful", "alertmanager", "", constant(1)),
        ("prometheus_notifications_alertmanagers_discovered", "prometheus", "", constant(1)),
        ("prometheus_rule_evaluation_failures_total", "prometheus", "", constant(0)),
        ("prometheus_config_last_reload_successful", "prometheus", "", constant(1)),
    ]
}
