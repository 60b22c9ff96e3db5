//! A Redis whose master goes: the replicas follow Sentinel to the next one.

use std::time::Duration;

use appforge_service::status::LimitMode;

use crate::support::{Replica, Server, eventually, limit, passed, shared};

/// The login of servers and sentinels alike.
const LOGIN: &str = "appforge:0123456789abcdef";

/// A server that asks for a password, and sentinels too.
fn server(arguments: &[&str], more: &[&str]) -> Option<Server> {
    let users =
        ["user default on >0123456789abcdef ~* &* +@all", "user appforge on >0123456789abcdef ~* &* +@all"];
    Some(Server::absent(arguments)?.configured(&[&users, more].concat()))
}

#[tokio::test]
async fn when_the_master_goes_the_replicas_follow_sentinel_to_the_next() {
    let Some(mut master) = server(&[], &["repl-diskless-sync-delay 0"]) else { return };
    master.run().await;
    let port = master.port.to_string();
    let mut next = server(&["--replicaof", "127.0.0.1", &port], &["masterauth 0123456789abcdef"]).unwrap();
    next.run().await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let lines = [
            &format!("sentinel monitor main 127.0.0.1 {port} 2"),
            "sentinel auth-pass main 0123456789abcdef",
            "sentinel sentinel-pass 0123456789abcdef",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 2000",
        ];
        let mut sentinel = server(&["--sentinel"], &lines).unwrap();
        sentinel.run().await;
        sentinels.push(sentinel);
    }
    let hosts: Vec<String> = sentinels.iter().map(|it| format!("127.0.0.1:{}", it.port)).collect();
    let url = format!("redis+sentinel://{LOGIN}@{}/main", hosts.join(","));
    let replicas: Vec<Replica> = (0..2).map(|_| Replica::start(&url, limit(2))).collect();
    shared(&replicas).await;
    assert_eq!(passed(&replicas, "client", 60, 1).await, 60);

    // The sentinels know each other and the next master, which has what the old one counted.
    let mut told = sentinels.first().unwrap().login(LOGIN).await;
    for (question, count) in [("sentinels", 2), ("replicas", 1)] {
        loop {
            let known: Vec<redis::Value> =
                redis::cmd("SENTINEL").arg(question).arg("main").query_async(&mut told).await.unwrap();
            if known.len() == count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut copied = master.login(LOGIN).await;
    while redis::cmd("WAIT").arg(1).arg(100).query_async::<u32>(&mut copied).await.unwrap() == 0 {}
    master.kill();
    eventually(|| replicas.iter().any(|replica| replica.mode() == LimitMode::Memory)).await;
    let took = shared(&replicas).await;
    println!("shared again {took:?} after the master was missed");
    let more = passed(&replicas, "client", 150, 10).await;
    assert!((38..=42).contains(&more), "{more}");
    let mut observer = next.login(LOGIN).await;
    let role: (String, u64, Vec<redis::Value>) = redis::cmd("ROLE").query_async(&mut observer).await.unwrap();
    assert_eq!(role.0, "master");
}
