//! What users meet while a store is away: real servers that are killed, frozen and started again under a running stack.

use appforge_testing::peer::Server;
use appforge_testing::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::peers;
use crate::stack::Up;

/// A stack on real servers.
fn stack(more: &str) -> (Up, Server, Server) {
    let (mongodb, valkey, lines) = peers::external();
    (Up::new(&format!("{lines}{more}")), mongodb, valkey)
}

fn health(up: &Up) -> Value {
    serde_json::from_str(&up.request("GET /health", "").1).unwrap_or_default()
}

const MANY: &str = "rate_limit: {requests: 100000}\n";

#[test]
#[ignore = "needs mongodb and valkey"]
fn items_answer_503_when_mongodb_is_killed_and_recover() {
    let (up, mut mongodb, valkey) = stack(MANY);
    up.done(&["up"]);
    up.connected();
    eventually("the page is cached", || {
        up.request("GET /api/items", "").0 == 200
            && valkey_keys(valkey.port).iter().any(|key| key.contains("list:"))
    });
    mongodb.kill();
    eventually("health says degraded", || health(&up)["mongodb"]["status"] == "down");
    assert_eq!(health(&up)["status"], "degraded");
    let (status, head, body) = up.whole("GET /api/items", "", "");
    assert_eq!(status, 503, "{body}");
    assert!(
        head.contains("content-type: application/problem+json") && head.contains("retry-after: "),
        "{head}"
    );
    assert!(head.contains("ratelimit-remaining: "), "the limiter goes on: {head}");
    mongodb.start();
    eventually("it recovers", || up.request("GET /api/items", "").0 == 200);
    assert_eq!(health(&up)["status"], "ok");
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn service_connects_when_both_stores_start_after_it() {
    let (up, mut mongodb, mut valkey) = stack("");
    mongodb.kill();
    valkey.kill();
    up.done(&["up"]);
    let first = health(&up);
    assert_eq!(
        (&first["status"], &first["redis"]["mode"]),
        (&"degraded".into(), &"memory".into()),
        "{first}"
    );
    mongodb.start();
    valkey.start();
    eventually("both are back", || {
        let replica = up.json(&["status"])["components"].as_array().unwrap().last().unwrap().clone();
        let admin = replica["endpoint"].as_str().unwrap().trim_start_matches("http://").to_owned();
        // Asked where nothing is limited.
        let state = up.at(&admin, "GET /statusz").1;
        state.contains(r#""mode":"shared""#) && !state.contains(r#""status":"down""#)
    });
    let report = up.json(&["verify", "--check", "rate-limit"]);
    assert_eq!(report["passed"], true, "{report:#}");
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn no_stale_item_is_served_when_redis_was_away() {
    let (up, _mongodb, mut valkey) = stack(MANY);
    keep_entries(&up);
    up.done(&["up"]);
    up.connected();
    let (_, created) = up.request("POST /api/items", r#"{"name": "before"}"#);
    let created: Value = serde_json::from_str(&created).unwrap();
    let path = format!("/api/items/{}", created["id"].as_str().unwrap());
    let get = || up.request(&format!("GET {path}"), "").1;
    let keys = || valkey_keys(valkey.port);
    eventually("the answer is cached", || {
        get().contains("before") && keys().iter().any(|key| key.contains("item:"))
    });
    valkey.kill();
    assert_eq!(up.request(&format!("PATCH {path}"), r#"{"name": "after"}"#).0, 200);
    valkey.start();
    eventually("Redis is back", || health(&up)["redis"]["status"] == "up");
    eventually("the change is told", || get().contains("after"));
}

/// Cached entries outlive the test, so that only an invalidation can end them.
fn keep_entries(up: &Up) {
    let (port, stack) = (format!("port: {}", up.port), up.project.read("appforge.yaml"));
    let long = stack.replace(&port, &format!("{port}, env: {{CACHE_TTL_MS: \"3600000\"}}"));
    up.project.write("appforge.yaml", &long);
}

/// The embedded Redis writes once a second, so that a kill takes back what the cache was told last.
#[test]
fn no_stale_item_is_served_when_redis_lost_its_last_state() {
    let up = Up::new(MANY);
    keep_entries(&up);
    up.done(&["up"]);
    up.connected();
    let redis = || {
        let components = up.json(&["status"])["components"].as_array().unwrap().clone();
        components.into_iter().find(|component| component["kind"] == "redis").unwrap()
    };
    let port = redis()["endpoint"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
    let (_, created) = up.request("POST /api/items", r#"{"name": "before"}"#);
    let created: Value = serde_json::from_str(&created).unwrap();
    let path = format!("/api/items/{}", created["id"].as_str().unwrap());
    let get = || up.request(&format!("GET {path}"), "").1;
    eventually("the answer is cached", || {
        get().contains("before") && valkey_keys(port).iter().any(|key| key.contains("item:"))
    });
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    eventually("it is on the disk", || {
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("persistence").query(&mut client.get_connection().unwrap()).unwrap();
        info.contains("rdb_changes_since_last_save:0\r\n")
    });
    assert_eq!(up.request(&format!("PATCH {path}"), r#"{"name": "after"}"#).0, 200);
    let pid = Pid::from_raw(redis()["pid"].as_i64().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    eventually("Redis was started again", || redis()["restarts"] == 1 && redis()["state"] == "ready");
    eventually("it is connected", || health(&up)["redis"]["status"] == "up");
    eventually("the change is told", || get().contains("after"));
    assert!((0..20).all(|_| get().contains("after")), "it stays so");
}

/// The keys that a server holds.
fn valkey_keys(port: u16) -> Vec<String> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    redis::cmd("KEYS").arg("*").query(&mut client.get_connection().unwrap()).unwrap()
}

/// The whole stack may write no file above 1 MiB, as if the disk were full there.
#[test]
fn only_writes_are_refused_when_the_disk_is_full() {
    let up = Up::new(MANY);
    let program = env!("CARGO_BIN_EXE_appforge");
    let command = up.project.command(&[]);
    let shell = format!("trap '' XFSZ; ulimit -f 2048; exec '{program}' up -q");
    let mut limited = std::process::Command::new("/bin/sh");
    limited.args(["-c", &shell]).current_dir(up.project.path()).env_clear();
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.env("PATH", "/nonexistent");
    let run = limited.output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    up.connected();
    let item = format!(r#"{{"name": "x", "description": "{}"}}"#, "d".repeat(2000));
    eventually("a write is refused", || up.request("POST /api/items", &item).0 == 503);
    let count = || up.request("GET /api/items?limit=100", "").1.matches("\"name\"").count();
    let page = count();
    assert!(page > 0, "what was written is still read");
    for _ in 0..3 {
        let (status, _, body) = up.whole("POST /api/items", "", &item);
        assert_eq!(status, 503, "{body}");
    }
    assert_eq!(count(), page);
    let report = up.json(&["verify", "--check", "service-health", "--check", "mongodb-connections"]);
    assert_eq!(report["passed"], true, "{report:#}");
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn no_request_fails_when_redis_is_killed_and_frozen() {
    let (up, _mongodb, mut valkey) = stack("rate_limit: {requests: 200, window: 1h}\n");
    up.done(&["up", "--replicas", "3"]);
    let mode = |mode: &str| {
        let status = up.json(&["status"]);
        let replicas = status["components"].as_array().unwrap().iter().filter(|c| c["kind"] == "service");
        replicas.map(|c| c["endpoint"].as_str().unwrap().trim_start_matches("http://").to_owned()).all(
            |admin| {
                up.at(&admin, "GET /statusz").1.contains(&format!(
                    r#""rate_limit":{{"requests":200,"window_ms":3600000,"mode":"{mode}""#
                ))
            },
        )
    };
    eventually("Redis counts", || mode("shared"));
    up.no_client_notices(|| {
        valkey.kill();
        eventually("each replica counts by itself", || mode("memory"));
        valkey.start();
        eventually("Redis counts again", || mode("shared"));
        valkey.signal(Signal::STOP);
        eventually("each replica counts by itself", || mode("memory"));
        valkey.signal(Signal::CONT);
        eventually("Redis counts again", || mode("shared"));
    });
    // The budget was used up long ago, and no outage renewed it.
    assert_eq!(up.request("GET /health", "").0, 429);
}
