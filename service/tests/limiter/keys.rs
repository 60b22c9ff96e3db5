//! Keys that another program, a flush or a clock has spoiled.

use std::time::Duration;

use appforge_service::limiter::Settings;
use appforge_service::status::LimitMode;
use appforge_testing::wait::until;

use crate::support::{Replica, connection, limit, passed, replicas, run, server, shared, ttls, url};

fn key(client: &str) -> String {
    format!("appforge:rl:100:900000:sim:{client}")
}

/// How often the replicas left the shared count or came back to it.
fn transitions(replicas: &[Replica]) -> f64 {
    replicas.iter().map(|it| it.metric("ratelimit_backend_transitions_total")).sum()
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn one_client_is_affected_when_its_key_holds_no_count() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    let spoilers: [(&str, &[&str]); 6] = [
        ("hash", &["HSET", "", "a", "b"]),
        ("list", &["RPUSH", "", "a"]),
        ("text", &["SET", "", "many"]),
        ("fraction", &["SET", "", "3.5"]),
        ("negative", &["SET", "", "-1000"]),
        ("full", &["SET", "", "9223372036854775807"]),
    ];
    let (before, counter) = (transitions(&replicas), connection(&server).await);
    for (client, spoiler) in spoilers {
        for known in [0, 60] {
            let client = format!("{client}-{known}");
            let key = key(&client);
            assert_eq!(passed(&replicas, &client, known, 1).await, known);
            run(&mut observer, &["DEL", &key]).await;
            let command: Vec<_> =
                spoiler.iter().map(|word| if word.is_empty() { key.as_str() } else { word }).collect();
            run(&mut observer, &command).await;
            let rest = passed(&replicas, &client, 150, 10).await;
            // Until all have met the broken key, each replica decides its share of what it knows to be left.
            assert!((98 - known..=104 - known).contains(&rest), "{client}: {rest}");
            let restored = async || {
                let total = redis::cmd("GET").arg(&key).query_async::<i64>(&mut counter.clone()).await;
                total.is_ok_and(|total| (90..500).contains(&total))
            };
            until(&format!("the count of {client} is restored"), restored).await;
            assert_eq!(passed(&replicas, "another", 1, 1).await, 1);
        }
    }
    assert!(replicas.iter().all(|replica| replica.mode() == LimitMode::Shared));
    assert_eq!(transitions(&replicas).to_bits(), before.to_bits(), "no other client notices");
    assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replicas_count_in_redis_when_their_own_keys_hold_other_types() {
    let server = server();
    let mut observer = connection(&server).await;
    run(&mut observer, &["HSET", "appforge:epoch", "a", "b"]).await;
    run(&mut observer, &["RPUSH", "appforge:replica:0", "a"]).await;
    run(&mut observer, &["SET", "appforge:replica:1", "\u{e4}"]).await;
    let raw: [&[u8]; 3] = [b"SET", b"appforge:replica:2", b"\xff\xfe"];
    let mut command = redis::cmd("SET");
    let () = command.arg(raw[1]).arg(raw[2]).query_async(&mut observer).await.unwrap();
    let replicas = replicas(&url(&server), 2).await;
    assert_eq!(passed(&replicas, "client", 150, 10).await, 100);
    run(&mut observer, &["DEL", "appforge:epoch"]).await;
    run(&mut observer, &["SADD", "appforge:epoch", "a"]).await;
    let kind = async |observer: &mut _| -> String {
        redis::cmd("TYPE").arg("appforge:epoch").query_async(observer).await.unwrap()
    };
    let mut second = connection(&server).await;
    until("the key is replaced", async || kind(&mut second).await == "string").await;
    shared(&replicas).await;
    assert_eq!(passed(&replicas, "client", 150, 10).await, 0);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn window_keeps_its_length_when_its_key_lasts_longer() {
    let server = server();
    let window = Duration::from_millis(900);
    let settings = || Settings { window, ..limit(2) };
    let replicas: Vec<_> = (0..2).map(|_| Replica::start(&url(&server), &settings())).collect();
    shared(&replicas).await;
    let mut observer = connection(&server).await;
    // A step of the server's clock leaves a key that lasts too long, and one without an end.
    for (client, spoiler) in [("hour", ["PEXPIRE", "3600000"]), ("ever", ["PERSIST", ""])] {
        let key = format!("appforge:rl:100:900:sim:{client}");
        run(&mut observer, &["SET", &key, "100"]).await;
        let command: Vec<_> =
            [spoiler[0], &key, spoiler[1]].into_iter().filter(|word| !word.is_empty()).collect();
        run(&mut observer, &command).await;
        let refused =
            replicas[0].limiter.check(&appforge_service::identity::Identity::simulated(client)).await;
        assert!(refused.reset <= window, "{client}: {:?}", refused.reset);
        let ends = ttls(&mut observer).await.into_iter().find(|(name, _)| *name == key).unwrap().1;
        assert!((1..=900).contains(&ends), "{client}: {ends}");
        until("the window ends", async || passed(&replicas, client, 1, 1).await == 1).await;
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn flush_gives_no_second_budget_when_traffic_goes_on() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    for round in 0..2 {
        // All replicas have heard of the client a moment ago: at most one too many each.
        let even = format!("even-{round}");
        let mut passes = passed(&replicas, &even, 60, 1).await;
        // Each replica heard of the client when it had passed a third more.
        let spread = format!("spread-{round}");
        let mut spread_passes = 0;
        for replica in &replicas {
            spread_passes += passed(std::slice::from_ref(replica), &spread, 30, 1).await;
        }
        assert_eq!((passes, spread_passes), (60, 90));
        run(&mut observer, &["FLUSHALL"]).await;
        passes += passed(&replicas, &even, 150, 50).await;
        spread_passes += passed(&replicas, &spread, 150, 50).await;
        passes += passed(&replicas, &even, 150, 50).await;
        // Longer than a share holds.
        tokio::time::sleep(Duration::from_millis(2600)).await;
        passes += passed(&replicas, &even, 150, 50).await;
        spread_passes += passed(&replicas, &spread, 150, 50).await;
        println!("flushed: {passes} passed of 100, {spread_passes} where replicas knew of 30, 60 and 90");
        assert!(passes <= 102, "{passes}");
        // Their shares of 70, 40 and 10, and at most one too many each.
        assert!(spread_passes <= 90 + 24 + 14 + 4 + 3, "{spread_passes}");
        assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn client_gets_no_second_budget_when_its_key_is_evicted() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    let before = transitions(&replicas);
    let mut passes = passed(&replicas, "client", 60, 1).await;
    run(&mut observer, &["DEL", &key("client")]).await;
    passes += passed(&replicas, "client", 300, 50).await;
    assert!((90..=102).contains(&passes), "{passes}");
    assert_eq!(transitions(&replicas).to_bits(), before.to_bits(), "one client's affair");
    assert_eq!(passed(&replicas, "another", 150, 50).await, 100);
}
