//! The limit before an app: exact over fronts, unharmed by a sick Redis, by address, by key, and for other proxies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use appforge_service::probe;
use appforge_testing::http::Client;
use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::wait::until;
use futures_util::{StreamExt, stream};
use rustix::process::Signal;

use crate::support::{App, Front, OFF, starts};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Three fronts that count in this Redis.
async fn fronts(app: &App, redis: &Server) -> Vec<Front> {
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let mut fronts = Vec::new();
    for _ in 0..3 {
        let variables =
            [("REDIS_URL", url.as_str()), ("PROBE_SECRET", SECRET), ("REDIS_KEY_PREFIX", "shop:")];
        fronts.push(Front::start(app.address, &variables).await);
    }
    for front in &fronts {
        let settled = async || {
            let status = front.statusz().await;
            status.contains(r#""mode":"shared""#) && status.contains(r#""replicas":3"#)
        };
        until("it counts in Redis, with the others", settled).await;
    }
    fronts
}

fn header(client: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("x-appforge-probe: {}\r\n", probe::sign(SECRET.as_bytes(), client, now + 60))
}

/// The statuses and times of requests of one client, spread over the fronts, each over its own connection.
async fn traffic(fronts: &[Front], client: &str, count: usize, at_once: usize) -> Vec<(u16, Duration)> {
    let header = &header(client);
    let requests = (0..count).map(|number| async move {
        let address = fronts[number % fronts.len()].public;
        let mut connection = Client::connect(address).await;
        let began = Instant::now();
        let answer = connection.ask("GET /", header, "").await;
        (answer[9..12].parse().unwrap(), began.elapsed())
    });
    stream::iter(requests).buffer_unordered(at_once).collect().await
}

fn count(outcomes: &[(u16, Duration)], status: u16) -> usize {
    outcomes.iter().filter(|(it, _)| *it == status).count()
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn hundred_of_a_client_pass_over_three_fronts() {
    let redis = Server::valkey(IN_MEMORY).started();
    let app = App::echo().await;
    let fronts = fronts(&app, &redis).await;
    for (client, at_once) in [("serial", 1), ("concurrent", 50)] {
        let outcomes = traffic(&fronts, client, 150, at_once).await;
        assert_eq!((count(&outcomes, 200), count(&outcomes, 429)), (100, 50), "{client}");
    }
    let heads = app.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 200, "the app has seen what passed");
    assert!(heads.iter().all(|head| !head.contains("x-appforge-probe")), "{:?}", heads.first());
    let mut keys = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("shop:rl:*").query(&mut keys).unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn no_request_fails_when_redis_is_frozen_or_killed() {
    let mut redis = Server::valkey(IN_MEMORY).started();
    let app = App::echo().await;
    let fronts = fronts(&app, &redis).await;
    for kind in ["frozen", "killed"] {
        match kind {
            "frozen" => redis.signal(Signal::STOP),
            _ => redis.kill(),
        }
        let outcomes = traffic(&fronts, kind, 150, 10).await;
        let (passed, limited) = (count(&outcomes, 200), count(&outcomes, 429));
        assert_eq!(passed + limited, 150, "{outcomes:?}");
        assert!((99..=102).contains(&passed), "{kind}: {passed} passed");
        // A request may wait for 60 ms. Here clients, app and fronts share a thread, so it may take ten times as long;
        // the limiter's own tests measure the wait itself.
        let slowest = outcomes.iter().map(|(_, took)| *took).max().unwrap();
        assert!(slowest < Duration::from_millis(600), "{kind}: {slowest:?}");
        if kind == "frozen" {
            redis.signal(Signal::CONT);
        }
    }
}

#[tokio::test]
async fn hostile_key_gives_no_fresh_budget() {
    let app = App::echo().await;
    let by_key = [("RATE_LIMIT_KEY", "header:x-api-key"), ("RATE_LIMIT_REQUESTS", "5")];
    let front = Front::start(app.address, &by_key).await;
    let client = &mut Client::connect(front.public).await;
    let mut passed = 0;
    for number in 0..50 {
        let answer = client.ask("GET /", &format!("x-api-key: {number}\r\n"), "").await;
        passed += usize::from(answer.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(passed, 5);
    front.end().await;
}

#[tokio::test]
async fn key_that_a_relay_forwards_gives_no_fresh_budget() {
    let app = App::echo().await;
    let by_key = [
        ("RATE_LIMIT_KEY", "header:x-api-key"),
        ("RATE_LIMIT_REQUESTS", "5"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
        ("RATE_LIMIT_KEY_PROXIES", "192.0.2.0/24"),
    ];
    let front = Front::start(app.address, &by_key).await;
    let client = &mut Client::connect(front.public).await;
    let mut passed = 0;
    for number in 0..50 {
        let headers = format!("x-forwarded-for: 203.0.113.9\r\nx-api-key: {number}\r\n");
        passed += usize::from(client.ask("GET /", &headers, "").await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(passed, 5);
    front.end().await;
}

#[tokio::test]
async fn key_that_a_proxy_sets_has_its_own_budget() {
    let app = App::echo().await;
    let by_key = [
        ("RATE_LIMIT_KEY", "header:x-api-key"),
        ("RATE_LIMIT_REQUESTS", "5"),
        ("RATE_LIMIT_KEY_PROXIES", "127.0.0.0/8"),
    ];
    let front = Front::start(app.address, &by_key).await;
    let client = &mut Client::connect(front.public).await;
    for key in ["a", "b"] {
        for _ in 0..5 {
            starts(&client.ask("GET /", &format!("x-api-key: {key}\r\n"), "").await, 200);
        }
        starts(&client.ask("GET /", &format!("x-api-key: {key}\r\n"), "").await, 429);
    }
    starts(&client.get("/").await, 200);
    front.end().await;
}

#[tokio::test]
async fn key_that_is_used_up_refuses_other_addresses_too() {
    let app = App::echo().await;
    let by_key = [
        ("RATE_LIMIT_KEY", "header:x-api-key"),
        ("RATE_LIMIT_REQUESTS", "3"),
        // Not the peer itself: its clients count by address and key.
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ];
    let front = Front::start(app.address, &by_key).await;
    let client = &mut Client::connect(front.public).await;
    for left in (0..3).rev() {
        let answer = client.ask("GET /", "x-api-key: shared\r\n", "").await;
        starts(&answer, 200);
        assert!(answer.contains(&format!("ratelimit-remaining: {left}\r\n")), "{answer}");
    }
    starts(&client.ask("GET /", "x-api-key: shared\r\n", "").await, 429);
    starts(&client.get("/").await, 429);
    front.end().await;
}

async fn check(address: SocketAddr, path: &str, headers: &str) -> String {
    Client::connect(address).await.ask(&format!("GET {path}"), headers, "").await
}

#[tokio::test]
async fn other_proxies_ask_whether_a_client_may_pass() {
    let app = App::echo().await;
    let port = port::reserve();
    let variables = [
        ("CHECK_PORT", &*port.to_string()),
        ("BIND", "127.0.0.1"),
        ("RATE_LIMIT_REQUESTS", "2"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let front = Front::start(app.address, &variables).await;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for left in [1, 0] {
        let answer = check(address, "/check", "x-forwarded-for: 203.0.113.9\r\n").await;
        starts(&answer, 200);
        assert!(answer.contains(&format!("ratelimit-remaining: {left}\r\n")), "{answer}");
    }
    let answer = check(address, "/check", "x-forwarded-for: 6.6.6.6, 203.0.113.9\r\n").await;
    starts(&answer, 429);
    assert!(answer.contains("retry-after: "), "{answer}");
    let denied = check(address, "/check?deny=403", "x-real-ip: 203.0.113.9\r\n").await;
    starts(&denied, 403);
    assert!(denied.contains("ratelimit-remaining: 0\r\n") && denied.contains("retry-after: "), "{denied}");
    assert!(denied.contains(r#""title":"Forbidden","status":403"#), "{denied}");
    starts(&check(address, "/check?deny=403", "x-real-ip: 203.0.113.10\r\n").await, 200);
    starts(&check(address, "/health", "").await, 404);
    let metrics = front.metrics().await;
    assert!(
        metrics.contains(r#"route="/check",status="404""#) && !metrics.contains(r#"route="/health",status"#),
        "{metrics}"
    );
    // The budget is that of the front.
    starts(
        &Client::connect(front.public).await.ask("GET /", "x-forwarded-for: 203.0.113.9\r\n", "").await,
        429,
    );
    assert!(app.heads.lock().unwrap().is_empty());
    front.end().await;
}

#[tokio::test]
async fn stranger_may_not_ask() {
    let app = App::echo().await;
    let port = port::reserve();
    let variables = [("CHECK_PORT", &*port.to_string()), ("BIND", "127.0.0.1"), ("RATE_LIMIT_REQUESTS", "2")];
    let front = Front::start(app.address, &variables).await;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..5 {
        let answer = check(address, "/check", "x-forwarded-for: 203.0.113.9\r\n").await;
        starts(&answer, 403);
        assert!(!answer.contains("ratelimit"), "{answer}");
    }
    front.end().await;
}

#[tokio::test]
async fn every_client_may_pass_when_the_limit_is_off() {
    let app = App::echo().await;
    let port = port::reserve();
    let variables =
        [OFF, ("CHECK_PORT", &*port.to_string()), ("BIND", "127.0.0.1"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let front = Front::start(app.address, &variables).await;
    let client = &mut Client::connect(front.public).await;
    for _ in 0..10 {
        let answer = client.get("/").await;
        starts(&answer, 200);
        assert!(!answer.contains("ratelimit"), "{answer}");
    }
    starts(&check(SocketAddr::from(([127, 0, 0, 1], port)), "/check", "").await, 200);
    front.end().await;
}
