//! A Redis of the user's own in each form of its URL: the same commands work on it.

use std::net::{Ipv4Addr, SocketAddr};

use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::tcp;
use appforge_testing::wait::until;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::local::own::{get, own};
use crate::net::{runtime, tls, with_tls};
use crate::support::{Project, Run};

/// What `verify` finds of the rate limit and of Redis, over two replicas that count at `url`.
fn verified(url: &str) {
    let project = Project::with(&format!(
        "target: local\nservice: {{port: {}, replicas: 2}}\nredis: {{mode: external, url: '{url}'}}\n",
        port::reserve()
    ));
    // The authority of the servers that speak TLS here.
    let run = |args: &[&str]| Run::of(project.command(args).env("SSL_CERT_FILE", tls("local-authority.pem")));
    let done = |args: &[&str]| {
        let run = run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
    };
    done(&["doctor"]);
    done(&["up", "--strict"]);
    let run = run(&["verify", "--check", "rate-limit", "--check", "redis-ping", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.code, Some(0), "{report:#}");
    assert!(!run.stdout.contains("hunter22") && !run.stderr.contains("hunter22"), "{run:#?}");
    project.done(&["down"]);
}

/// A cluster of one node, which has all slots.
async fn cluster() -> (Server, MultiplexedConnection) {
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
    (node, connection)
}

/// A port in front of `server` that takes TLS, and plain connections too: those of Sentinel to its master.
async fn with_either(server: &Server) -> u16 {
    let plain = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port));
    let secure = with_tls(plain, "local").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0];
                // A record of a TLS handshake begins with 22 (RFC 8446, 5.1).
                let begun = near.peek(&mut first).await.unwrap_or_default() > 0;
                let Ok(mut far) =
                    TcpStream::connect(if begun && first == [22] { secure } else { plain }).await
                else {
                    return;
                };
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn verify_finds_the_limit_exact_in_a_cluster() {
    let (node, mut connection) = cluster().await;
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
#[ignore = "needs valkey"]
fn verify_finds_the_limit_exact_in_a_cluster_over_tls() {
    let runtime = runtime();
    let (_node, port) = runtime.block_on(async {
        let (node, mut connection) = cluster().await;
        let port = with_either(&node).await;
        // The node names the port that speaks TLS, as a cluster with `tls-cluster` does.
        for (name, value) in
            [("cluster-announce-ip", "127.0.0.1"), ("cluster-announce-port", &port.to_string())]
        {
            let set = redis::cmd("CONFIG").arg("SET").arg(name).arg(value).to_owned();
            set.exec_async(&mut connection).await.unwrap();
        }
        (node, port)
    });
    verified(&format!("rediss+cluster://:hunter22@127.0.0.1:{port}"));
}

#[test]
#[ignore = "needs valkey"]
fn verify_finds_the_limit_exact_behind_sentinel_over_tls() {
    let runtime = runtime();
    let master = Server::valkey(&[IN_MEMORY, &["--requirepass", "hunter22"]].concat()).started();
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", runtime.block_on(with_either(&master)));
    let lines = [&monitor, "sentinel auth-pass main hunter22"];
    let sentinel = Server::valkey(&["--sentinel"]).configured(&lines).started();
    let port = runtime.block_on(with_either(&sentinel));
    verified(&format!("rediss+sentinel://:hunter22@127.0.0.1:{port}/main/1"));
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
