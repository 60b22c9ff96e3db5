//! While Redis answers: exact, and cheap.

use std::time::{Duration, Instant};

use appforge_service::identity::Identity;
use appforge_service::limiter::{OnRedisFailure, Outcome, Settings};
use appforge_testing::wait::until;
use futures_util::future::join_all;

use crate::relay::relay;
use crate::support::{
    Replica, calls, connection, limit, passed, replicas, run, server, shared, traffic, ttls, url,
};

#[tokio::test]
#[ignore = "needs valkey"]
async fn exactly_100_of_150_requests_pass_over_several_replicas() {
    let server = server();
    for count in [1, 3, 5] {
        let replicas = replicas(&url(&server), count).await;
        for round in 0..20 {
            assert_eq!(undisturbed(&replicas, &format!("serial-{count}-{round}"), 1).await, 100);
            assert_eq!(undisturbed(&replicas, &format!("at-once-{count}-{round}"), 50).await, 100);
        }
        let two = (format!("one-{count}"), format!("other-{count}"));
        let (one, other) = (passed(&replicas, &two.0, 150, 50), passed(&replicas, &two.1, 150, 50));
        assert_eq!(futures_util::join!(one, other), (100, 100), "clients are counted apart");
    }
}

/// How many of 150 requests pass, tried again with another client should Redis itself have been held up meanwhile.
async fn undisturbed(replicas: &[Replica], client: &str, at_once: usize) -> usize {
    let outages =
        || replicas.iter().map(|it| it.metric("ratelimit_backend_transitions_total")).sum::<f64>().to_bits();
    for attempt in 0..5 {
        shared(replicas).await;
        let before = outages();
        let passed = passed(replicas, &format!("{client}-{attempt}"), 150, at_once).await;
        if outages() == before {
            return passed;
        }
    }
    panic!("Redis was away each time");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn first_request_waits_for_the_first_connection() {
    let server = server();
    let replicas: Vec<_> = (0..3).map(|_| Replica::start(&url(&server), &limit(3))).collect();
    assert_eq!(passed(&replicas, "early", 150, 50).await, 100);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn decision_contains_what_remains_and_the_reset() {
    let server = server();
    let replicas = replicas(&url(&server), 2).await;
    let got = traffic(&replicas, "client", 102, 1).await.decisions;
    for (number, decision) in (1..).zip(&got) {
        assert_eq!(decision.remaining, 100_u32.saturating_sub(number));
        assert_eq!(decision.outcome, if number <= 100 { Outcome::Passed } else { Outcome::Limited });
        assert!(decision.reset <= Duration::from_secs(900) && decision.reset > Duration::from_secs(880));
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn client_passes_again_when_its_window_ends() {
    let server = server();
    let settings = || Settings { window: Duration::from_millis(800), ..limit(2) };
    let replicas: Vec<_> = (0..2).map(|_| Replica::start(&url(&server), &settings())).collect();
    shared(&replicas).await;
    let start = Instant::now();
    assert_eq!(passed(&replicas, "client", 150, 50).await, 100);
    while passed(&replicas, "client", 1, 1).await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(795) && waited < Duration::from_millis(1200), "{waited:?}");
    assert_eq!(passed(&replicas, "client", 150, 50).await, 99);
    assert!(replicas.iter().all(|replica| replica.metric("ratelimit_window_lost_total") == 0.0));
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn redis_gets_no_command_when_a_client_is_blocked() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    passed(&replicas, "blocked", 150, 50).await;
    let mut observer = connection(&server).await;
    run(&mut observer, &["CONFIG", "RESETSTAT"]).await;
    assert_eq!(passed(&replicas, "blocked", 3000, 50).await, 0);
    assert_eq!(calls(&mut observer, "incrby").await, 0);
    assert_eq!(calls(&mut observer, "multi").await, 0);
    let local: f64 =
        replicas.iter().map(|it| it.metric("ratelimit_decisions_total{outcome=\"denied_local\"}")).sum();
    assert!(local >= 3000.0, "{local}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn hot_client_costs_less_than_one_command_a_request() {
    let server = server();
    let settings = || Settings { requests: 100_000, ..limit(1) };
    let replica = [Replica::start(&url(&server), &settings())];
    shared(&replica).await;
    let clients: Vec<_> = (0..100).map(|number| format!("10.0.0.{number}")).collect();
    let visit = || join_all(clients.iter().map(|client| passed(&replica, client, 1, 1)));
    visit().await;
    let mut observer = connection(&server).await;
    run(&mut observer, &["CONFIG", "RESETSTAT"]).await;
    for _ in 0..20 {
        visit().await;
    }
    assert_eq!(calls(&mut observer, "incrby").await, 2000);
    assert_eq!(calls(&mut observer, "multi").await + calls(&mut observer, "pttl").await, 0);

    run(&mut observer, &["CONFIG", "RESETSTAT"]).await;
    assert_eq!(passed(&replica, "hot", 3500, 350).await, 3500);
    let hot = calls(&mut observer, "incrby").await;
    println!("a hot client, 350 at once: {hot} INCRBY for 3500 requests");
    assert!(hot <= 350, "{hot}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn attacker_on_three_replicas_costs_few_commands() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    run(&mut observer, &["CONFIG", "RESETSTAT"]).await;
    assert_eq!(passed(&replicas, "attacker", 3000, 60).await, 100);
    let commands = calls(&mut observer, "incrby").await;
    println!("3000 requests of one client over 3 replicas, limit 100: {commands} INCRBY");
    assert!(commands <= 150, "{commands}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn request_counts_once_when_its_client_leaves() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    for round in 0..10 {
        let client = format!("leaver-{round}");
        let leaver = Identity::simulated(&client);
        for number in 0..30 {
            let limiter = &replicas.get(number % 3).unwrap().limiter;
            let mut request = Box::pin(limiter.check(&leaver));
            assert!(futures_util::poll!(&mut request).is_pending());
            if number % 2 == 0 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(passed(&replicas, &client, 150, 50).await, 70);
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn client_gets_no_second_budget_when_redis_is_flushed() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    assert_eq!(passed(&replicas, "half", 60, 1).await, 60);
    assert_eq!(passed(&replicas, "done", 150, 50).await, 100);
    run(&mut observer, &["FLUSHALL"]).await;
    // Who heard of the client last knows of 60, the others of 59 and 58: whichever is asked first puts that back.
    let after = passed(&replicas, "half", 150, 1).await;
    assert!((38..=42).contains(&after), "{after}");
    assert_eq!(passed(&replicas, "done", 150, 50).await, 0);
    let lost: f64 = replicas.iter().map(|it| it.metric("ratelimit_window_lost_total")).sum();
    assert!(lost >= 1.0, "{lost}");
    assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));

    for round in 0..10 {
        let client = format!("at-once-{round}");
        let before = passed(&replicas, &client, 60, 1).await;
        run(&mut observer, &["FLUSHALL"]).await;
        let after = passed(&replicas, &client, 150, 50).await;
        // No replica knows yet what the others lost, so each passes its share.
        assert!(before + after <= 102, "{before} + {after}");
        assert_eq!(passed(&replicas, &client, 150, 50).await, 0);
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn highest_count_is_restored_when_redis_is_flushed() {
    let server = server();
    let replicas = replicas(&url(&server), 2).await;
    let (first, second) = replicas.split_at(1);
    assert_eq!(passed(&replicas, "client", 60, 1).await, 60);
    assert_eq!(passed(first, "client", 60, 1).await, 40);
    let mut observer = connection(&server).await;
    run(&mut observer, &["FLUSHALL"]).await;
    // Nobody asks for the client; each replica finds out by itself that the data is gone.
    let key = "appforge:rl:100:900000:sim:client";
    let start = Instant::now();
    let back = async |observer: &mut _| -> Option<i64> {
        redis::cmd("GET").arg(key).query_async(observer).await.unwrap()
    };
    while back(&mut observer).await.is_none_or(|total| total < 100) {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(passed(second, "client", 50, 1).await, 0);
    assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn key_always_has_a_time_to_live() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    join_all((0..200).map(|number| {
        let client = format!("192.0.2.{number}");
        let replicas = &replicas;
        async move { passed(replicas, &client, 5, 3).await }
    }))
    .await;
    let mut observer = connection(&server).await;
    let ttls = ttls(&mut observer).await;
    assert!(ttls.len() >= 200);
    for (key, ttl) in ttls {
        assert!(key.starts_with("appforge:"), "{key}");
        assert!(ttl > 0, "{key}");
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn check_takes_one_round_trip_when_redis_is_far() {
    let server = server();
    let far = relay(server.port, Duration::from_millis(2)).await;
    let settings = Settings { requests: 100_000, on_redis_failure: OnRedisFailure::Closed, ..limit(1) };
    let replica = [Replica::start(&format!("redis://{far}"), &settings)];
    shared(&replica).await;
    let mut observer = replica.first().unwrap().redis.connection().unwrap();
    let mut round_trips = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        run(&mut observer, &["PING"]).await;
        round_trips.push(start.elapsed());
    }
    // Five clients that send all the time, out of step with each other.
    let took = join_all((0..5).map(|number| {
        let replica = &replica;
        async move { traffic(replica, &format!("far-{number}"), 100, 1).await.took }
    }))
    .await;
    let (round_trip, took) = (median(round_trips), median(took.into_iter().flatten().collect()));
    println!("Redis {round_trip:?} away: a check takes {took:?}");
    // A second round trip would make it twice as long.
    assert!(took < round_trip.mul_f64(1.5), "{took:?}, {round_trip:?} away");
    assert_eq!(passed(&replica, "burst", 1000, 500).await, 1000);
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    *took.get(took.len() / 2).unwrap()
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn closed_limiter_still_decides() {
    let server = server();
    let replicas = replicas(&url(&server), 1).await;
    let replica = replicas.first().unwrap();
    replica.limiter.check(&Identity::simulated("client")).await;
    replica.limiter.close().await;
    replica.redis.close().await;
    assert!(replica.redis.connection().is_none());
    assert_eq!(passed(&replicas, "client", 150, 10).await, 99, "by itself, after what Redis said");
    until("Redis is away", async || replica.metric("ratelimit_backend_up") == 0.0).await;
}
