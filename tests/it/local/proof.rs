//! `verify`, `load` and `status` of an app of the user's own, and the files of proxies that it trusts.

use appforge_testing::wait::eventually;
use serde_json::Value;

use crate::local::own::{get, own, replica};
use crate::stack::Up;

const APP: &str = include_str!("../fixtures/own/app.py");
const POOL: &str = include_str!("../fixtures/own/pool.py");

/// The check of this name, and how `verify` ended.
fn check(up: &Up, name: &str) -> (Value, Option<i32>) {
    let run = up.run(&["verify", "--check", name, "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    (report["checks"][0].clone(), run.code)
}

/// An app that holds so many connections to MongoDB.
fn pooled(connections: u32, more: &str) -> Up {
    let up = own(&format!("  env: {{POOL: {connections}}}\n"), more);
    up.project.write("app.py", &format!("{POOL}{APP}"));
    up
}

#[test]
#[ignore = "needs python"]
fn verify_and_its_drill_skip_nothing_before_an_app() {
    let up = pooled(12, "");
    up.give_redis_a_port();
    up.done(&["up", "--replicas", "2"]);
    let report = up.json(&["verify", "--drill", "redis-down"]);
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 6);
    assert!(checks.iter().all(|check| check["verdict"] == "pass"), "{report:#}");
    assert_eq!(checks[1]["evidence"]["connections"]["appforge-service-2 127.0.0.1"], 12);
    assert_eq!(checks[3]["evidence"]["concurrent_passed"], 100);
}

#[test]
#[ignore = "needs python"]
fn error_of_health_is_shown_and_removes_nothing() {
    let up = own("  health: /health\n", "");
    up.done(&["up"]);
    assert_eq!(check(&up, "service-health").0["observed"], "1 of 1 answer 200");
    up.done(&["load", "--duration", "1s", "--vus", "2"]);
    up.project.write("sick", "");
    eventually("status shows the error", || {
        replica(&up, 1)["detail"]
            .as_str()
            .unwrap()
            .ends_with("the health of the app answers 503 Service Unavailable")
    });
    assert_eq!((replica(&up, 1)["state"].as_str(), get(&up, "/").0), (Some("ready"), 200));
    let (failed, code) = check(&up, "service-health");
    assert_eq!((failed["verdict"].as_str(), code), (Some("fail"), Some(6)), "{failed:#}");
    assert_eq!(failed["evidence"]["statuses"]["service-1"], 503);
    assert_eq!(up.run(&["load", "--duration", "1s", "--vus", "2"]).code, Some(7), "503 is a failure");
    std::fs::remove_file(up.project.path().join("sick")).unwrap();
    assert_eq!(check(&up, "service-health").1, Some(0), "the check waits for the next look of the front");
}

#[test]
#[ignore = "needs python"]
fn load_and_verify_ask_the_root_of_an_app_without_health() {
    let up = own("", "");
    up.done(&["up"]);
    let report = up.json(&["load", "--duration", "1s", "--vus", "2"]);
    let text = report.to_string();
    assert!(text.contains("root: status is 2xx or 3xx") && !text.contains("items"), "{report:#}");
    assert_eq!(check(&up, "service-health").0["observed"], "1 of 1 accept connections");
    let (skipped, code) = check(&up, "mongodb-connections");
    assert_eq!((skipped["verdict"].as_str(), code), (Some("skip"), Some(0)), "{skipped:#}");
    assert!(
        skipped["observed"]
            .as_str()
            .unwrap()
            .starts_with("no connection with the appName `appforge-service-1`")
    );
}

#[test]
#[ignore = "needs python"]
fn connections_beyond_the_pools_of_an_app_fail() {
    let up = pooled(12, "mongodb: {pool: {max: 7, min: 1}}\n");
    up.done(&["up"]);
    let (failed, code) = check(&up, "mongodb-connections");
    assert_eq!((failed["verdict"].as_str(), code), (Some("fail"), Some(6)), "{failed:#}");
    assert_eq!(failed["expected"], "pools of max 7 min 1, 1 to 9 connections");
}

#[test]
fn proxies_of_a_file_are_trusted() {
    let up = Up::new("rate_limit: {requests: 2, trusted_proxies: ['file:cdn.txt']}\n");
    up.project.write("cdn.txt", "# this machine\n127.0.0.0/8\n::1/128\n");
    up.done(&["up"]);
    let from = |client: &str| {
        let (status, _, _) = up.whole("GET /health", &format!("x-forwarded-for: {client}\r\n"), "");
        status
    };
    let seen = ["198.51.100.1", "198.51.100.1", "198.51.100.1", "198.51.100.2"].map(from);
    assert_eq!(seen, [200, 200, 429, 200]);
    up.project.write("cdn.txt", "127.0.0.0/8\nnonsense\n");
    let refused = up.run(&["up"]);
    assert_eq!(refused.code, Some(3));
    assert_eq!(
        refused.stderr,
        "error: rate_limit.trusted_proxies: `cdn.txt:2` is not a network such as `10.0.0.0/8`\n"
    );
    assert_eq!(up.run(&["status"]).code, Some(0), "what runs is shown all the same");
}

/// Two replicas that count half of the limit each pass as many as the limit.
#[test]
fn rate_limit_is_not_proved_while_replicas_count_by_themselves() {
    let closed = appforge_testing::port::closed();
    let up = Up::new(&format!("redis: {{mode: external, url: 'redis://{closed}/'}}\n"));
    up.done(&["up", "--replicas", "2"]);
    let run = up.run(&["verify", "--check", "rate-limit"]);
    assert_eq!(run.code, Some(6), "{run:#?}");
    assert!(run.stdout.contains("counts by itself: Redis cannot be used (Connection refused"), "{run:#?}");
}
