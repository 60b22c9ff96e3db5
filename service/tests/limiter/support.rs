//! A Redis of the test's own, and replicas that count in it.

use std::time::Duration;

use appforge_service::identity::Identity;
use appforge_service::limiter::{Decision, Limiter, OnRedisFailure, Outcome, Settings};
use appforge_service::redis::{self as service_redis, Redis};
use appforge_service::status::LimitMode;
use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::wait::until;
use futures_util::{StreamExt, stream};
use prometheus_client::registry::Registry;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use tokio::time::Instant;

/// A running server without data on disk.
pub(crate) fn server() -> Server {
    Server::valkey(IN_MEMORY).started()
}

pub(crate) fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// A connection for the test itself.
pub(crate) async fn connection(server: &Server) -> MultiplexedConnection {
    redis::Client::open(url(server)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Calls of a command since the last `CONFIG RESETSTAT`.
pub(crate) async fn calls(connection: &mut MultiplexedConnection, command: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

pub(crate) async fn run(connection: &mut impl ConnectionLike, command: &[&str]) {
    let mut command_line = redis::cmd(command.first().unwrap());
    for argument in command.iter().skip(1) {
        command_line.arg(argument);
    }
    let () = command_line.query_async(connection).await.unwrap();
}

/// All keys with their time to live in milliseconds.
pub(crate) async fn ttls(connection: &mut MultiplexedConnection) -> Vec<(String, i64)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(connection).await.unwrap();
    let mut ttls = Vec::new();
    for key in keys {
        let ttl = redis::cmd("PTTL").arg(&key).query_async(connection).await.unwrap();
        ttls.push((key, ttl));
    }
    ttls
}

/// 100 requests in 15 minutes, shared by `replicas` while Redis is away.
pub(crate) fn limit(replicas: usize) -> Settings {
    Settings {
        requests: 100,
        window: Duration::from_secs(900),
        on_redis_failure: OnRedisFailure::Memory,
        replicas: u32::try_from(replicas).unwrap(),
    }
}

/// What a replica has of the limiter.
pub(crate) struct Replica {
    pub redis: Redis,
    pub limiter: Limiter,
    registry: Registry,
}

impl Replica {
    pub(crate) fn start(url: &str, settings: &Settings) -> Self {
        let mut registry = Registry::default();
        let to = service_redis::Settings { url: url.to_owned(), key_prefix: "appforge:".into() };
        let redis = Redis::start(to, &mut registry).unwrap();
        let limiter = Limiter::start(settings, redis.clone(), &mut registry);
        Self { redis, limiter, registry }
    }

    pub(crate) fn mode(&self) -> LimitMode {
        self.limiter.status().mode
    }

    /// The value of a series, 0 when there is none.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// So many replicas, all of them counting in Redis.
pub(crate) async fn replicas(url: &str, count: usize) -> Vec<Replica> {
    let replicas: Vec<_> = (0..count).map(|_| Replica::start(url, &limit(count))).collect();
    shared(&replicas).await;
    replicas
}

/// Waits until all count in Redis, and says how long that took.
pub(crate) async fn shared(replicas: &[Replica]) -> Duration {
    let all = async || replicas.iter().all(|replica| replica.mode() == LimitMode::Shared);
    until("all replicas count in Redis", all).await
}

/// Requests of one client, spread evenly over the replicas.
pub(crate) struct Traffic {
    pub passed: usize,
    pub slowest: Duration,
    pub decisions: Vec<Decision>,
    pub took: Vec<Duration>,
}

/// Sends `count` requests, `at_once` of them under way at any time.
pub(crate) async fn traffic(replicas: &[Replica], client: &str, count: usize, at_once: usize) -> Traffic {
    let client = &Identity::simulated(client);
    let requests = (0..count).map(|number| {
        let limiter = &replicas.get(number % replicas.len()).unwrap().limiter;
        async move {
            let start = Instant::now();
            (limiter.check(client).await, start.elapsed())
        }
    });
    let (decisions, mut took): (Vec<_>, Vec<_>) =
        stream::iter(requests).buffer_unordered(at_once).unzip().await;
    took.sort();
    let passed = decisions.iter().filter(|decision| decision.outcome == Outcome::Passed).count();
    Traffic { passed, slowest: took.last().copied().unwrap_or_default(), decisions, took }
}

/// How many of them pass.
pub(crate) async fn passed(replicas: &[Replica], client: &str, count: usize, at_once: usize) -> usize {
    traffic(replicas, client, count, at_once).await.passed
}
