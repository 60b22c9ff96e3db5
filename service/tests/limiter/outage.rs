//! While Redis is away, and when it is back.

use std::time::{Duration, Instant};

use appforge_service::identity::Identity;
use appforge_service::limiter::{OnRedisFailure, Outcome, Settings};
use appforge_service::status::{LimitMode, StoreState};
use appforge_testing::peer::{DURABLE, IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::wait::until;
use rustix::process::Signal;

use crate::support::{
    Replica, calls, connection, limit, passed, replicas, run, server, shared, traffic, ttls, url,
};

/// The budget of 50 ms, and what a busy machine may add: the promise is 60 ms.
const IN_TIME: Duration = Duration::from_millis(120);
/// From Redis's return to the shared count.
const SOON: Duration = Duration::from_secs(2);
/// With three replicas, what an outage may let pass beyond the limit of 100.
const BOUND: usize = 102;

#[tokio::test]
#[ignore = "needs valkey"]
async fn client_gets_no_second_budget_when_redis_is_killed() {
    let mut server = server();
    let replicas = replicas(&url(&server), 3).await;
    assert_eq!(passed(&replicas, "client", 60, 1).await, 60);
    server.kill();
    let outage = traffic(&replicas, "client", 300, 30).await;
    println!("killed: {} passed, slowest {:?}", outage.passed, outage.slowest);
    assert!(outage.slowest < IN_TIME, "{:?}", outage.slowest);
    assert!(outage.passed >= 38 && outage.passed + 60 <= BOUND, "{}", outage.passed);
    let alone = async || replicas.iter().all(|replica| replica.mode() == LimitMode::Memory);
    until("each replica counts by itself", alone).await;
    let (state, why) = replicas.first().unwrap().redis.state();
    assert_eq!(state, StoreState::Down);
    assert!(why.is_some());

    // It comes back without data, and is told.
    server.start();
    let back = shared(&replicas).await;
    println!("killed: shared {back:?} after the return");
    assert!(back < SOON, "{back:?}");
    // It learns of 60, 59 or 58 that passed before.
    let after = passed(&replicas, "client", 150, 30).await;
    assert!(outage.passed + after + 60 <= BOUND, "{after}");
    let mut observer = connection(&server).await;
    let key = "appforge:rl:100:900000:sim:client";
    let total: usize = redis::cmd("GET").arg(key).query_async(&mut observer).await.unwrap();
    assert!(total >= 100, "{total}");
    assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));
    let reported: f64 = replicas.iter().map(|it| it.metric("ratelimit_reconciled_hits_total")).sum();
    assert_eq!(reported.to_string(), outage.passed.to_string());
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn request_of_an_outage_counts_when_redis_is_back() {
    for (arguments, lost) in [(DURABLE, 0), (IN_MEMORY, 2)] {
        let mut outage = through_an_outage(arguments).await;
        for _ in 0..4 {
            if outage.disturbed {
                outage = through_an_outage(arguments).await;
            }
        }
        assert!(!outage.disturbed, "Redis was held up each time");
        assert_eq!(outage.during, [21, 21]);
        // Without its data, Redis learns of 30, 29 or 28: of what the replica that was back first had heard last.
        let [known, new, other] = outage.after;
        assert!((49..=49 + lost).contains(&known), "{known}");
        assert_eq!([new, other], [79, 100]);
    }
}

/// What passed of a client's 21 requests in an outage, and of 150 after it.
#[derive(Clone, Copy)]
struct Outage {
    during: [usize; 2],
    after: [usize; 3],
    /// Whether Redis was away more than once.
    disturbed: bool,
}

async fn through_an_outage(arguments: &[&str]) -> Outage {
    let mut server = Server::valkey(arguments).started();
    let replicas = replicas(&url(&server), 3).await;
    assert_eq!(passed(&replicas, "client", 30, 1).await, 30);
    server.kill();
    // Below what is left: 21 of 70.
    let during = [passed(&replicas, "client", 21, 1).await, passed(&replicas, "new", 21, 1).await];
    server.start();
    shared(&replicas).await;
    let mut after = [0; 3];
    for (passes, client) in after.iter_mut().zip(["client", "new", "other"]) {
        *passes = passed(&replicas, client, 150, 30).await;
    }
    // Up, down and up.
    let transitions = |replica: &Replica| replica.metric("ratelimit_backend_transitions_total");
    Outage { during, after, disturbed: replicas.iter().any(|replica| transitions(replica) > 3.0) }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn requests_are_all_counted_when_redis_returns_meanwhile() {
    let mut server = server();
    let replicas = replicas(&url(&server), 3).await;
    let names: Vec<_> = (0..40).map(|number| format!("10.9.0.{number}")).collect();
    let mut passes = vec![0; names.len()];
    let round = async |passes: &mut Vec<usize>| {
        for (name, passes) in names.iter().zip(passes) {
            *passes += passed(&replicas, name, 3, 3).await;
        }
    };
    for _ in 0..10 {
        round(&mut passes).await;
    }
    server.kill();
    round(&mut passes).await;
    server.start();
    let start = Instant::now();
    while replicas.iter().any(|replica| replica.mode() != LimitMode::Shared) {
        round(&mut passes).await;
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..60 {
        round(&mut passes).await;
    }
    for (name, passes) in names.iter().zip(passes) {
        assert!((95..=BOUND).contains(&passes), "{name}: {passes}");
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn request_waits_for_its_budget_when_redis_is_frozen() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    assert_eq!(passed(&replicas, "client", 60, 1).await, 60);
    server.signal(Signal::STOP);
    let first = traffic(&replicas, "client", 30, 30).await;
    println!("frozen: first requests, slowest {:?}", first.slowest);
    assert!(first.slowest < IN_TIME, "{:?}", first.slowest);
    let rest = traffic(&replicas, "client", 300, 30).await;
    println!("frozen: later requests, slowest {:?}", rest.slowest);
    assert!(rest.slowest < Duration::from_millis(40), "{:?}", rest.slowest);
    let passes = first.passed + rest.passed;
    assert!(passes >= 38 && passes + 60 <= BOUND, "{passes}");

    server.signal(Signal::CONT);
    let back = shared(&replicas).await;
    println!("frozen: shared {back:?} after the return");
    assert!(back < SOON, "{back:?}");
    assert_eq!(passed(&replicas, "client", 150, 30).await, 0);
    let mut observer = connection(&server).await;
    assert!(ttls(&mut observer).await.iter().all(|(_, ttl)| *ttl > 0));
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn key_expires_when_its_count_arrives_late() {
    let server = server();
    let settings = || Settings { window: Duration::from_millis(900), ..limit(1) };
    let replica = [Replica::start(&url(&server), &settings())];
    shared(&replica).await;
    assert_eq!(passed(&replica, "client", 2, 1).await, 2);
    server.signal(Signal::STOP);
    let start = Instant::now();
    assert_eq!(passed(&replica, "client", 1, 1).await, 1);
    while start.elapsed() < Duration::from_millis(1000) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.signal(Signal::CONT);
    shared(&replica).await;
    let mut observer = connection(&server).await;
    let ttls = ttls(&mut observer).await;
    assert!(ttls.iter().any(|(key, _)| key.ends_with(":client")), "it did arrive");
    assert!(ttls.iter().all(|(_, ttl)| *ttl > 0), "{ttls:?}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn idle_replica_notices_when_redis_is_frozen() {
    let server = server();
    let replicas = replicas(&url(&server), 1).await;
    server.signal(Signal::STOP);
    let replica = replicas.first().unwrap();
    let noticed = until("the replica counts by itself", async || replica.mode() == LimitMode::Memory).await;
    assert!(noticed < Duration::from_secs(3), "{noticed:?}");
    server.signal(Signal::CONT);
    shared(&replicas).await;
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replica_is_exact_when_redis_starts_after_it() {
    let mut server = Server::valkey(IN_MEMORY);
    let replicas: Vec<_> = (0..3).map(|_| Replica::start(&url(&server), &limit(3))).collect();
    let first = traffic(&replicas, "early", 30, 30).await;
    assert!(first.slowest < Duration::from_millis(100), "{:?}", first.slowest);
    assert_eq!(first.passed, 30);
    assert!(replicas.iter().all(|replica| replica.mode() == LimitMode::Memory));
    server.start();
    let back = shared(&replicas).await;
    println!("absent: shared {back:?} after Redis appeared");
    assert!(back < SOON, "{back:?}");
    assert_eq!(passed(&replicas, "early", 150, 50).await, 70);
    assert_eq!(passed(&replicas, "late", 150, 50).await, 100);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn redis_counts_as_away_when_it_refuses_writes() {
    let server = server();
    let replicas = replicas(&url(&server), 3).await;
    let mut observer = connection(&server).await;
    let ways: [(&[&str], &[&str], &str); 3] = [
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "READONLY"),
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], "OOM"),
        (
            &["CONFIG", "SET", "min-replicas-to-write", "1"],
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
            "NOREPLICAS",
        ),
    ];
    for (fails, heals, name) in ways {
        assert_eq!(passed(&replicas, name, 60, 1).await, 60);
        run(&mut observer, fails).await;
        let outage = traffic(&replicas, name, 300, 30).await;
        assert!(outage.slowest < IN_TIME, "{:?}", outage.slowest);
        assert!(outage.passed + 60 <= BOUND, "{}", outage.passed);
        until(name, async || {
            let states = replicas.iter().map(|replica| replica.redis.state().1.unwrap_or_default());
            states.into_iter().all(|why| why.contains(name))
        })
        .await;
        run(&mut observer, heals).await;
        assert!(shared(&replicas).await < SOON);
        assert_eq!(passed(&replicas, name, 150, 30).await, 0);
    }
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn state_names_no_password_when_credentials_are_refused() {
    let server = Server::valkey(&["--save", "", "--requirepass", "right-password"]).started();
    for url in [url(&server), format!("redis://:wrong-password@127.0.0.1:{}", server.port)] {
        let replica = Replica::start(&url, &limit(1));
        let refused = async || replica.redis.state().1.is_some_and(|why| why.contains("credentials"));
        until("the credentials are refused", refused).await;
        let why = replica.redis.state().1.unwrap();
        assert!(!why.contains("password"), "{why}");
        assert_eq!(replica.limiter.check(&Identity::simulated("client")).await.outcome, Outcome::Passed);
    }
    let replica = [Replica::start(&format!("redis://:right-password@127.0.0.1:{}", server.port), &limit(1))];
    shared(&replica).await;
}

#[tokio::test(start_paused = true)]
async fn request_passes_as_configured_when_redis_is_away() {
    let url = format!("redis://{}", port::closed());
    let start = |on_redis_failure| Replica::start(&url, &Settings { on_redis_failure, ..limit(1) });
    let closed = [start(OnRedisFailure::Closed)];
    let refused = traffic(&closed, "client", 10, 1).await.decisions;
    assert!(refused.iter().all(|decision| decision.outcome == Outcome::Unavailable));
    assert_eq!(closed.first().unwrap().mode(), LimitMode::Closed);
    let open = [start(OnRedisFailure::Open)];
    assert_eq!(passed(&open, "client", 150, 10).await, 150);
    assert_eq!(open.first().unwrap().mode(), LimitMode::Open);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn counts_of_many_clients_reach_redis_when_it_returns() {
    let mut server = server();
    let replicas = replicas(&url(&server), 1).await;
    server.kill();
    for number in 0..5000 {
        let client = format!("10.{}.{}.1", number / 256, number % 256);
        assert_eq!(passed(&replicas, &client, 1, 1).await, 1);
    }
    server.start();
    let back = shared(&replicas).await;
    println!("5000 clients told: shared {back:?} after the return");
    assert!(back < SOON, "{back:?}");
    let mut observer = connection(&server).await;
    let replica = replicas.first().unwrap();
    let reported = async || replica.metric("ratelimit_reconciled_hits_total") == 5000.0;
    until("Redis has the counts of all clients", reported).await;
    assert!(calls(&mut observer, "set").await >= 5000);
}

#[test]
fn error_repeats_no_secret_when_the_url_is_malformed() {
    let mut registry = prometheus_client::registry::Registry::default();
    let url = "http://:secret@nowhere".to_owned();
    let settings = appforge_service::redis::Settings { url, key_prefix: "appforge:".into() };
    let error = appforge_service::redis::Redis::start(settings, &mut registry).err().unwrap();
    assert!(!format!("{error:#}").contains("secret"), "{error:#}");
}
