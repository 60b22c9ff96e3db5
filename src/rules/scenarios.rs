//! What must fire, and what must not, when something happens: each scenario names the whole set of alerts.

use super::facts::{Facts, le};
use super::series::{
    INSTANCES, MINUTES, Series, constant, growing, healthy, of_component, of_replica, request,
};

/// An alert that fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// The rule.
    pub id: &'static str,
    /// The labels by which rules of one name differ, as [`super::Rule::labels`] has them.
    pub variant: Vec<(&'static str, String)>,
    /// Labels that come from the series, without `stack`.
    pub labels: Vec<(&'static str, &'static str)>,
}

/// Something that happens to a stack.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What happens.
    pub name: &'static str,
    /// The series, a sample a minute.
    pub series: Vec<Series>,
    /// At so many minutes, the alerts that fire; besides the watchdog, which always does.
    pub checks: Vec<(u32, Vec<Firing>)>,
}

/// Every scenario. Together they fire every rule.
pub fn scenarios(facts: &Facts) -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(quiet(facts));
    all.extend(requests(facts));
    all.extend(replicas(facts));
    all.extend(limiter(facts));
    all.extend(redis(facts));
    all.extend(mongodb(facts));
    all.extend(edge(facts));
    all.extend(monitoring(facts));
    all
}

/// Changes to the series of a healthy stack.
struct Changes<'a> {
    facts: &'a Facts,
    series: Vec<Series>,
}

impl<'a> Changes<'a> {
    fn of(facts: &'a Facts) -> Self {
        Self { facts, series: healthy(facts) }
    }

    fn set(mut self, name: String, values: impl Into<String>) -> Self {
        self.series.retain(|series| series.name != name);
        self.series.push(Series { name, values: values.into() });
        self
    }

    /// One replica.
    fn replica(self, instance: &str, metric: &str, more: &str, values: impl Into<String>) -> Self {
        let name = of_replica(self.facts, metric, instance, more);
        self.set(name, values)
    }

    /// Both replicas.
    fn replicas(self, metric: &str, more: &str, values: &str) -> Self {
        INSTANCES.iter().fold(self, |changes, instance| changes.replica(instance, metric, more, values))
    }

    /// Another component.
    fn component(self, component: &str, metric: &str, more: &str, values: impl Into<String>) -> Self {
        let name = of_component(self.facts, metric, component, more);
        self.set(name, values)
    }

    fn exporter(self, metric: &str, values: impl Into<String>) -> Self {
        self.component("exporter", metric, "", values)
    }

    fn requests(self, status: &str, values: &str) -> Self {
        self.replicas("http_requests_total", &request(status), values)
    }

    /// A replica is no longer a target: after so many minutes its series end.
    fn without(mut self, instance: &str, after: u32) -> Self {
        let label = format!("instance=\"{instance}\"");
        for series in self.series.iter_mut().filter(|series| series.name.contains(&label)) {
            let ends = series.values.replace(&format!("x{MINUTES}"), &format!("x{after}"));
            series.values = format!("{ends} stale");
        }
        self
    }

    fn then(self, name: &'static str, checks: Vec<(u32, Vec<Firing>)>) -> Scenario {
        Scenario { name, series: self.series, checks }
    }
}

/// An alert whose labels are its rule's.
fn fires(id: &'static str) -> Firing {
    Firing { id, variant: Vec::new(), labels: Vec::new() }
}

/// One about a component.
fn of(id: &'static str, component: &'static str) -> Firing {
    Firing { labels: vec![("component", component)], ..fires(id) }
}

/// One about a replica.
fn at(id: &'static str, instance: &'static str) -> Firing {
    Firing { labels: vec![("component", "service"), ("instance", instance)], ..fires(id) }
}

/// The burn of one budget over these windows.
fn burns(slo: &str, windows: &[&str]) -> Vec<Firing> {
    let variant = |window: &&str| vec![("slo", slo.to_owned()), ("window", (*window).to_owned())];
    windows.iter().map(|window| Firing { variant: variant(window), ..fires("AppforgeBudgetBurn") }).collect()
}

fn quiet(facts: &Facts) -> Vec<Scenario> {
    let other = vec![Series { name: "other".into(), values: constant(1) }];
    let steps = |at: [u32; 3]| {
        let [first, second, third] = at;
        format!("0x{first} 1x{} 2x{} 3x{}", second - first - 1, third - second - 1, MINUTES - third - 1)
    };
    vec![
        Scenario {
            name: "nothing is there",
            series: other,
            checks: vec![(5, vec![of("AppforgeServiceAbsent", "service")])],
        },
        Changes::of(facts).then("a healthy stack", vec![(60, vec![]), (230, vec![])]),
        Changes::of(facts)
            .requests("200", &constant(0))
            .requests("429", &constant(0))
            .replica("a", "http_requests_total", &request("200"), steps([30, 90, 150]))
            .replica("a", "http_requests_total", &request("500"), steps([60, 100, 140]))
            .then("three failures at night", vec![(61, vec![]), (105, vec![]), (142, vec![]), (230, vec![])]),
    ]
}

fn requests(facts: &Facts) -> Vec<Scenario> {
    let duration = |part: &str| format!("http_request_duration_seconds_{part}");
    let ok = "route=\"/api/items\",outcome=\"ok\"";
    let bucket = |threshold| format!("{ok},le=\"{}\"", le(threshold));
    let all = ["1h", "6h", "1d", "3d"];
    let many = fires("AppforgeManyRefused");
    vec![
        Changes::of(facts)
            .requests("200", &growing(120))
            .requests("500", &growing(30))
            .requests("429", &growing(25_000))
            .then(
                "an attack that is refused, with failures of real requests in it",
                vec![
                    (50, [burns("error_rate", &all[..2]), vec![many.clone()]].concat()),
                    (230, [burns("error_rate", &all), vec![many]].concat()),
                ],
            ),
        Changes::of(facts)
            .replicas(&duration("bucket"), &bucket(facts.p95), &growing(60))
            .replicas(&duration("bucket"), &bucket(facts.p99), &growing(60))
            .then(
                "nine of ten requests are slow",
                vec![(230, [burns("p95", &all), burns("p99", &all)].concat())],
            ),
    ]
}

fn replicas(facts: &Facts) -> Vec<Scenario> {
    let all = |metric: &str, values: &str| Changes::of(facts).replica("a", metric, "", values);
    let missing = || fires("AppforgeReplicasMissing");
    vec![
        all("up", "1x10 0x229").then(
            "a replica freezes",
            vec![
                (11, vec![]),
                (16, vec![at("AppforgeReplicaDown", "a")]),
                (30, vec![at("AppforgeReplicaDown", "a"), missing()]),
            ],
        ),
        Changes::of(facts)
            .without("b", 10)
            .then("a replica is gone", vec![(15, vec![]), (40, vec![missing()])]),
        Changes::of(facts)
            .without("b", 10)
            .exporter("appforge_replicas_desired", "2x10 1x229")
            .then("a replica is scaled away", vec![(11, vec![]), (15, vec![]), (60, vec![])]),
        all("process_start_time_seconds", "100x10 760 820 880 940 1000x225")
            .then("a replica crashes repeatedly", vec![(16, vec![at("AppforgeReplicaRestarts", "a")])]),
        Changes::of(facts).exporter("appforge_replicas_max", constant(2)).then(
            "the stack is at its maximum",
            vec![(10, vec![]), (30, vec![fires("AppforgeAtMaxReplicas")])],
        ),
        all("process_resident_memory_bytes", &constant(260_000_000))
            .replica("a", "process_cpu_throttled_seconds_total", "", growing(12))
            .replica("a", "process_open_fds", "", constant(1000))
            .replica("a", "log_lines_lost_total", "", growing(5))
            .then(
                "a replica runs out of what it may use",
                vec![(
                    30,
                    vec![
                        // `/ on (stack, instance)` keeps these two.
                        Firing { labels: vec![("instance", "a")], ..fires("AppforgeMemoryHigh") },
                        at("AppforgeCpuThrottled", "a"),
                        at("AppforgeFilesHigh", "a"),
                        fires("AppforgeLogsLost"),
                    ],
                )],
            ),
    ]
}

fn limiter(facts: &Facts) -> Vec<Scenario> {
    let all = |metric: &str, values: &str| Changes::of(facts).replica("a", metric, "", values);
    vec![
        all("ratelimit_backend_up", "1x10 0x229").then(
            "one of two replicas counts by itself",
            vec![(11, vec![]), (14, vec![fires("AppforgeLimitNotShared")])],
        ),
        all("ratelimit_backend_transitions_total", &growing(1))
            .replica("a", "ratelimit_window_lost_total", "", growing(1))
            .then(
                "Redis flaps and loses counts",
                vec![(30, vec![fires("AppforgeLimitFlaps"), fires("AppforgeLimitLostCounts")])],
            ),
        Changes::of(facts).replicas("ratelimit_client_ip_source_total", "source=\"bad\"", &growing(20)).then(
            "a proxy sends malformed addresses",
            vec![(5, vec![]), (40, vec![fires("AppforgeClientAddressesBad")])],
        ),
    ]
}

fn redis(facts: &Facts) -> Vec<Scenario> {
    vec![
        Changes::of(facts)
            .exporter("redis_up", "1x10 0x229")
            .replicas("ratelimit_backend_up", "", "1x10 0x229")
            .then(
                "Redis stops",
                vec![
                    (11, vec![]),
                    (14, vec![of("AppforgeRedisDown", "exporter"), fires("AppforgeLimitNotShared")]),
                ],
            ),
        Changes::of(facts)
            .exporter("redis_memory_used_bytes", constant(950_000_000))
            .exporter("redis_evicted_keys_total", growing(60))
            .exporter("redis_aof_last_write_status", constant(0))
            .exporter("redis_connected_clients", constant(9_000))
            .replicas("ratelimit_redis_rtt_seconds_bucket", "le=\"0.0128\"", &growing(400))
            .then(
                "Redis is at its limits",
                vec![(
                    40,
                    vec![
                        of("AppforgeRedisMemory", "exporter"),
                        of("AppforgeRedisEvicts", "exporter"),
                        of("AppforgeRedisRefusesWrites", "exporter"),
                        of("AppforgeRedisConnections", "exporter"),
                        fires("AppforgeRedisSlow"),
                    ],
                )],
            ),
        Changes::of(facts)
            .replicas("cache_requests_total", "outcome=\"miss\"", &growing(900))
            .then("the cache misses", vec![(20, vec![]), (60, vec![fires("AppforgeCacheMisses")])]),
    ]
}

fn mongodb(facts: &Facts) -> Vec<Scenario> {
    let disk = |used: &str| Changes::of(facts).exporter("mongodb_filesystem_used_bytes", used);
    let full = || of("AppforgeMongodbDiskFull", "exporter");
    vec![
        Changes::of(facts)
            .replicas("mongodb_client_up", "", "1x10 0x229")
            .exporter("mongodb_up", "1x10 0x229")
            .then("MongoDB stops", vec![(11, vec![]), (14, vec![fires("AppforgeMongodbDown")])]),
        Changes::of(facts)
            .replica("a", "mongodb_pool_in_use_connections", "", constant(49))
            .replica("a", "mongodb_pool_wait_queue", "", constant(4))
            .replica("a", "mongodb_pool_checkout_failures_total", "reason=\"timeout\"", growing(2))
            .then(
                "a pool is too small",
                vec![(
                    30,
                    vec![
                        at("AppforgePoolSaturated", "a"),
                        at("AppforgePoolQueue", "a"),
                        fires("AppforgePoolTimeouts"),
                    ],
                )],
            ),
        Changes::of(facts)
            .component("exporter", "mongodb_connections", "state=\"available\"", constant(2))
            .component(
                "exporter",
                "mongodb_mongod_wiredtiger_cache_bytes",
                "type=\"dirty\"",
                constant(200_000_000),
            )
            .then(
                "MongoDB is at its limits",
                vec![(
                    30,
                    vec![
                        of("AppforgeMongodbConnections", "exporter"),
                        of("AppforgeMongodbCacheDirty", "exporter"),
                    ],
                )],
            ),
        disk("8700000000+1000000x240").then("a disk fills", vec![(30, vec![]), (120, vec![full()])]),
        disk("9600000000+100x240")
            .then("a disk is almost full", vec![(10, vec![of("AppforgeMongodbDiskAlmostFull", "exporter")])]),
    ]
}

fn edge(facts: &Facts) -> Vec<Scenario> {
    let certificate =
        |days: u32| Changes::of(facts).exporter("probe_ssl_earliest_cert_expiry", constant(days * 86_400));
    let expires = || of("AppforgeCertificateExpires", "exporter");
    let gateway = Firing {
        labels: vec![("component", "gateway"), ("proxy", "replicas")],
        ..fires("AppforgeGatewayNoReplica")
    };
    vec![
        Changes::of(facts).exporter("probe_success", "1x10 0x229").then(
            "clients reach nothing",
            vec![(11, vec![]), (15, vec![of("AppforgeUnreachable", "exporter")])],
        ),
        certificate(13).then("a certificate expires in 13 days", vec![(30, vec![]), (90, vec![expires()])]),
        certificate(2).then(
            "a certificate expires in 2 days",
            vec![(90, vec![expires(), of("AppforgeCertificateExpiresSoon", "exporter")])],
        ),
        Changes::of(facts)
            .component("gateway", "haproxy_backend_active_servers", "proxy=\"replicas\"", constant(0))
            .component(
                "gateway",
                "haproxy_backend_connection_errors_total",
                "proxy=\"replicas\"",
                growing(120),
            )
            .then("the gateway has no replica", vec![(30, vec![gateway, fires("AppforgeGatewayErrors")])]),
    ]
}

fn monitoring(facts: &Facts) -> Vec<Scenario> {
    let slack = "integration=\"slack\"";
    let failed = Firing {
        labels: vec![("component", "alertmanager"), ("integration", "slack")],
        ..fires("AppforgeNotificationsFail")
    };
    let down = Firing {
        labels: vec![("component", "exporter"), ("instance", "e")],
        ..fires("AppforgeMonitoringTargetDown")
    };
    vec![
        Changes::of(facts)
            .component("exporter", "up", "instance=\"e\"", constant(0))
            .component("alertmanager", "alertmanager_notifications_failed_total", slack, growing(3))
            .component("prometheus", "prometheus_notifications_alertmanagers_discovered", "", constant(0))
            .component("prometheus", "prometheus_rule_evaluation_failures_total", "", growing(2))
            .component("prometheus", "prometheus_config_last_reload_successful", "", constant(0))
            .then(
                "monitoring itself fails",
                vec![(
                    30,
                    vec![
                        down,
                        failed,
                        of("AppforgeAlertmanagerUnreachable", "prometheus"),
                        of("AppforgeRulesFail", "prometheus"),
                        of("AppforgeConfigReloadFails", "prometheus"),
                    ],
                )],
            ),
    ]
}
