//! `alerts`: the list, and the documents made of it.

use std::collections::BTreeSet;

use appforge::rules;
use appforge::stack::{Stack, TargetKind, monitoring};
use appforge_service::listen::Listeners;
use appforge_service::run::serve_on;
use appforge_service::settings::Settings;
use appforge_testing::http::Client;
use appforge_testing::port;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::help::snapshot;
use crate::support::Project;

#[test]
fn alerts_are_listed_with_the_next_command() {
    let project = Project::with("name: shop\nload: {thresholds: {p95: 300ms}}\n");
    let list = project.done(&["alerts"]);
    assert_eq!(list.stderr, "");
    snapshot("alerts", &list.stdout);
    let data: Value = serde_json::from_str(&project.done(&["alerts", "-o", "json"]).stdout).unwrap();
    let rules = data["rules"].as_array().unwrap();
    let down = rules.iter().find(|rule| rule["id"] == "AppforgeRedisDown").unwrap();
    assert_eq!(down["severity"], "critical");
    assert_eq!(down["for_seconds"], 60);
    assert_eq!(down["next"], "appforge logs redis --since 10m");
    assert_eq!(down["expression"], "redis_up{stack=\"shop\"} == 0");
    assert_eq!(down["runbook"], "runbooks.md#appforgeredisdown");
}

#[test]
fn alerts_follow_the_target() {
    let project = Project::with("name: shop\n");
    let has = |target: &str, id: &str| project.done(&["alerts", "--target", target]).stdout.contains(id);
    assert!(has("compose", "AppforgeGatewayNoReplica") && !has("kubernetes", "AppforgeGatewayNoReplica"));
    assert!(has("kubernetes", "AppforgeAtMaxReplicas") && !has("local", "AppforgeAtMaxReplicas"));
}

#[test]
fn documents_are_made_of_the_alerts() {
    let project = Project::with("name: shop\n");
    let print = |part: &str| project.done(&["alerts", "--target", "compose", "--print", part]).stdout;
    snapshot("alerts-rules", &print("rules"));
    snapshot("alerts-runbooks", &print("runbooks"));
    assert!(print("tests").starts_with("rule_files:\n- rules.yml\n"));
    let dashboard: Value = serde_json::from_str(&print("dashboard")).unwrap();
    assert_eq!((&dashboard["uid"], &dashboard["schemaVersion"]), (&"appforge-shop".into(), &42.into()));
    let unknown = project.run(&["alerts", "--print", "rule"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""), "{}", unknown.stderr);
}

/// What this machine may not limit, and so not show.
const OF_LIMITS: [&str; 2] = ["process_memory_limit_bytes", "process_cpu_throttled_seconds_total"];
/// Whose metrics come from elsewhere: the exporter, the gateway, Prometheus, recordings.
const ELSEWHERE: [&str; 10] = [
    "redis_",
    "mongodb_up",
    "mongodb_connections",
    "mongodb_op_",
    "mongodb_mongod_",
    "mongodb_filesystem_",
    "haproxy_",
    "probe_",
    "appforge_replicas_",
    "appforge:",
];

#[tokio::test]
async fn replica_has_every_series_that_rules_and_panels_read() {
    let closed = port::closed();
    let variables =
        [("MONGODB_URI", format!("mongodb://{closed}/")), ("REDIS_URL", format!("redis://{closed}/"))];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let settings = Settings::from_env(variables, |path| std::fs::read_to_string(path)).ok().unwrap();
    let (public, admin) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = admin.local_addr().unwrap();
    let listeners = Listeners { public: vec![public], admin, shared: false };
    let service = tokio::spawn(serve_on(listeners, settings, std::future::pending()));
    let metrics = Client::connect(address).await.get("/metrics").await;
    service.abort();
    let series: BTreeSet<&str> = metrics.lines().filter_map(|line| line.split([' ', '{']).next()).collect();
    let stack = Stack { target: TargetKind::Compose, ..Stack::default() };
    let facts = monitoring::facts(&stack);
    let panels =
        rules::panels(&facts).into_iter().flat_map(|panel| panel.queries).map(|query| query.expression);
    let recordings = rules::recordings(&facts).into_iter().map(|recording| recording.expression);
    let alerts = rules::rules(&facts).into_iter().map(|rule| rule.expression);
    let expressions: Vec<String> = panels.chain(recordings).chain(alerts).collect();
    let read: BTreeSet<&str> = expressions.iter().flat_map(|expression| rules::metrics(expression)).collect();
    let own = read.iter().filter(|name| !ELSEWHERE.iter().any(|prefix| name.starts_with(prefix)));
    let own: Vec<&str> = own
        .copied()
        // Prometheus itself makes `up` and `ALERTS`.
        .filter(|name| !["up", "ALERTS"].contains(name) && !OF_LIMITS.contains(name))
        .filter(|name| !name.starts_with("prometheus_") && !name.starts_with("alertmanager_"))
        .collect();
    assert!(own.len() > 30, "{own:?}");
    for name in own {
        assert!(series.contains(name), "{name}: {metrics}");
    }
}
