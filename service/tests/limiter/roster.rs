//! Replicas count themselves in Redis, so that each knows its share when Redis goes.

use appforge_testing::wait::until;

use crate::support::{Replica, connection, limit, passed, replicas, run, server, ttls, url};

fn counted(replica: &Replica) -> u32 {
    replica.limiter.status().replicas
}

async fn all_count(replicas: &[Replica], count: u32) {
    let all = async || replicas.iter().all(|replica| counted(replica) == count);
    until(&format!("each counts {count} replicas"), all).await;
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replica_keeps_to_its_share_when_it_counts_the_others() {
    let mut server = server();
    let mut all = replicas(&url(&server), 2).await;
    // As one that the engine started again: its settings know of itself only.
    all.push(Replica::start(&url(&server), &limit(1)));
    all_count(&all, 3).await;
    server.kill();
    let alone = all.split_off(2);
    assert_eq!(passed(&alone, "new", 100, 10).await, 34, "a third of 100, rounded up");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replica_is_counted_no_longer_when_it_is_gone() {
    let server = server();
    let mut observer = connection(&server).await;
    // One that was killed: its place ends by itself.
    run(&mut observer, &["SET", "appforge:replica:0", "killed", "PX", "1500"]).await;
    let all = replicas(&url(&server), 3).await;
    all_count(&all, 4).await;
    all_count(&all, 3).await;
    let (first, rest) = all.split_first().unwrap();
    first.redis.close().await;
    all_count(rest, 2).await;

    // Redis lost its keys: nobody believes to be alone meanwhile.
    run(&mut observer, &["FLUSHALL"]).await;
    let places = async |observer: &mut _| {
        let keys = ttls(observer).await;
        keys.iter().filter(|(key, ttl)| key.starts_with("appforge:replica:") && *ttl > 0).count()
    };
    until("both have a place again", async || {
        assert!(rest.iter().all(|replica| counted(replica) >= 2));
        places(&mut observer).await == 2
    })
    .await;
    assert!(rest.iter().all(|replica| counted(replica) == 2));
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn hundred_replicas_find_places_when_they_start_at_once() {
    let server = server();
    let all = replicas(&url(&server), 100).await;
    all_count(&all, 100).await;
}
