//! The service's rate limiter counts in the embedded Redis as in any other.

use std::time::{Duration, Instant};

use appforge_service::identity::Identity;
use appforge_service::limiter::{Limiter, OnRedisFailure, Outcome, Settings};
use appforge_service::redis::{Redis, Settings as To};
use appforge_service::status::LimitMode;
use prometheus_client::registry::Registry;

use super::{DEADLINE, Server, number};

fn replica(server: &Server) -> Limiter {
    let mut registry = Registry::default();
    let to = To { url: format!("redis://{}", server.address), key_prefix: "appforge:".into() };
    let redis = Redis::start(to, &mut registry).unwrap();
    let window = Duration::from_secs(900);
    let settings = Settings { requests: 100, window, on_redis_failure: OnRedisFailure::Memory, replicas: 3 };
    Limiter::start(&settings, redis, &mut registry)
}

async fn passed(replicas: &[Limiter], client: &str) -> usize {
    let client = &Identity::simulated(client);
    let requests = (0..150).map(|number| replicas.get(number % replicas.len()).unwrap().check(client));
    let decisions = futures_util::future::join_all(requests).await;
    decisions.iter().filter(|decision| decision.outcome == Outcome::Passed).count()
}

#[tokio::test]
async fn the_limit_is_exact_over_replicas_and_survives_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let replicas = [replica(&server), replica(&server), replica(&server)];
    let start = Instant::now();
    while replicas.iter().any(|replica| replica.status().mode != LimitMode::Shared) {
        assert!(start.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for client in ["one", "other"] {
        assert_eq!(passed(&replicas, client).await, 100);
        assert_eq!(passed(&replicas, client).await, 0);
    }
    let mut connection = server.connect("").await;
    for client in ["one", "other"] {
        let ttl = number(&mut connection, &format!("PTTL appforge:rl:100:900000:sim:{client}")).await;
        assert!(ttl > 0 && ttl <= 900_000, "{ttl}");
    }
    let _: () = super::run(&mut connection, "FLUSHALL").await.unwrap();
    assert_eq!(passed(&replicas, "one").await, 0);
    server.stop().await;
}
