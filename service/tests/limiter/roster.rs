//! Replicas count themselves in Redis, so that each knows its share when Redis goes.

use crate::support::{Replica, Server, eventually, limit, passed, replicas, run, ttls};

fn counted(replica: &Replica) -> u32 {
    replica.limiter.status().replicas
}

#[tokio::test]
async fn a_replica_that_nobody_told_how_many_there_are_keeps_to_its_share() {
    let Some(mut server) = Server::start().await else { return };
    let mut all = replicas(&server.url(), 2).await;
    // As one that the engine started again: its settings know of itself only.
    all.push(Replica::start(&server.url(), limit(1)));
    eventually(|| all.iter().all(|replica| counted(replica) == 3)).await;
    server.kill();
    let alone = all.split_off(2);
    assert_eq!(passed(&alone, "new", 100, 10).await, 34, "a third of 100, rounded up");
}

#[tokio::test]
async fn replicas_that_go_are_counted_no_longer() {
    let Some(server) = Server::start().await else { return };
    let mut observer = server.connection().await;
    // One that was killed: its place ends by itself.
    run(&mut observer, &["SET", "appforge:replica:0", "killed", "PX", "1500"]).await;
    let all = replicas(&server.url(), 3).await;
    eventually(|| all.iter().all(|replica| counted(replica) == 4)).await;
    eventually(|| all.iter().all(|replica| counted(replica) == 3)).await;
    let (first, rest) = all.split_first().unwrap();
    first.redis.close().await;
    eventually(|| rest.iter().all(|replica| counted(replica) == 2)).await;

    // Redis lost its keys: nobody believes to be alone meanwhile.
    run(&mut observer, &["FLUSHALL"]).await;
    let places = async |observer: &mut _| {
        let keys = ttls(observer).await;
        keys.iter().filter(|(key, ttl)| key.starts_with("appforge:replica:") && *ttl > 0).count()
    };
    while places(&mut observer).await < 2 {
        assert!(rest.iter().all(|replica| counted(replica) >= 2));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(rest.iter().all(|replica| counted(replica) == 2));
}

#[tokio::test]
async fn a_hundred_replicas_that_start_at_once_find_a_place_each() {
    let Some(server) = Server::start().await else { return };
    let all = replicas(&server.url(), 100).await;
    eventually(|| all.iter().all(|replica| counted(replica) == 100)).await;
}
