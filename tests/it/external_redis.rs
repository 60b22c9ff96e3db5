//! A Redis of the user's own in each form of its URL: the same commands work on it.

use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::tcp;
use appforge_testing::wait::until;
use serde_json::Value;

use crate::local::own::{get, own};
use crate::support::Project;

/// What `verify` finds of the rate limit and of Redis, over two replicas that count at `url`.
fn verified(url: &str) {
    let project = Project::with(&format!(
        "target: local\nservice: {{port: {}, replicas: 2}}\nredis: {{mode: external, url: '{url}'}}\n",
        port::reserve()
    ));
    project.done(&["doctor"]);
    project.done(&["up", "--strict"]);
    let run = project.run(&["verify", "--check", "rate-limit", "--check", "redis-ping", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.code, Some(0), "{report:#}");
    assert!(!run.stdout.contains("hunter22") && !run.stderr.contains("hunter22"), "{run:#?}");
    project.done(&["down"]);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn verify_finds_the_limit_exact_in_a_cluster() {
    let bus = port::reserve().to_string();
    let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--requirepass", "hunter22"];
    let node = Server::valkey(&[IN_MEMORY, &arguments].concat()).started();
    let client = redis::Client::open(format!("redis://:hunter22@127.0.0.1:{}", node.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let slots = redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).to_owned();
    slots.exec_async(&mut connection).await.unwrap();
    // Before, replicas would count by themselves, which passes the check too.
    until("the cluster is whole", async || {
        let info = redis::cmd("CLUSTER").arg("INFO").to_owned();
        let info: String = info.query_async(&mut connection).await.unwrap();
        info.contains("cluster_state:ok")
    })
    .await;
    verified(&format!("redis+cluster://:hunter22@127.0.0.1:{}", node.port));
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("{appforge}:")), "{keys:?}");
}

#[test]
#[ignore = "needs valkey"]
fn verify_finds_the_limit_exact_behind_sentinel() {
    let master = Server::valkey(&[IN_MEMORY, &["--requirepass", "hunter22"]].concat()).started();
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", master.port);
    let lines = [&monitor, "sentinel auth-pass main hunter22"];
    let sentinel = Server::valkey(&["--sentinel"]).configured(&lines).started();
    verified(&format!("redis+sentinel://:hunter22@127.0.0.1:{}/main/1", sentinel.port));
}

#[test]
#[ignore = "needs python and valkey"]
fn app_reaches_the_master_that_sentinels_name() {
    let master = Server::valkey(&[IN_MEMORY, &["--requirepass", "hunter22"]].concat()).started();
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", master.port);
    let lines = [&monitor, "sentinel auth-pass main hunter22"];
    let sentinel = Server::valkey(&["--sentinel"]).configured(&lines).started();
    let url = format!("redis+sentinel://:hunter22@127.0.0.1:{}/main/1", sentinel.port);
    let up = own("", &format!("redis: {{mode: external, url: '{url}'}}\n"));
    up.done(&["up"]);
    let environment: Value = serde_json::from_str(&get(&up, "/env").1).unwrap();
    let url = environment["REDIS_URL"].as_str().unwrap();
    let address = url.strip_prefix("redis://:hunter22@").and_then(|rest| rest.strip_suffix("/1")).unwrap();
    assert_ne!(address, format!("127.0.0.1:{}", master.port));
    let asked = tcp::exchange(address, b"AUTH hunter22\r\nSELECT 1\r\nSET seen 1\r\nQUIT\r\n").unwrap();
    assert_eq!(asked, "+OK\r\n".repeat(4));
    let file = environment["REDIS_URL_FILE"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), url);
    assert_eq!(up.run(&["diff"]).code, Some(0));
    up.done(&["down"]);
}
