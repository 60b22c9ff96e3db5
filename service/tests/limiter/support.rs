//! A Redis of the test's own, and replicas that count in it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use appforge_service::identity::Identity;
use appforge_service::limiter::{Decision, Limiter, OnRedisFailure, Outcome, Settings};
use appforge_service::redis::{self as service_redis, Redis};
use appforge_service::status::LimitMode;
use futures_util::{StreamExt, stream};
use prometheus_client::registry::Registry;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server to test against: the peer of the test suite, else one that is installed.
fn binary() -> Option<PathBuf> {
    if let Some(peer) = std::env::var_os("APPFORGE_PEER_VALKEY") {
        return Some(peer.into());
    }
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).collect::<Vec<_>>();
    let names = ["valkey-server", "redis-server"];
    names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|file| file.is_file())
}

/// A server without data on disk, on a port of its own, that ends with this value.
pub struct Server {
    binary: PathBuf,
    pub port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    file: Option<PathBuf>,
    child: Option<Child>,
}

impl Server {
    /// A running server, or `None` with a word on stderr where none is installed. On CI that is a failure.
    pub async fn start() -> Option<Self> {
        let mut server = Self::absent(&[])?;
        server.run().await;
        Some(server)
    }

    /// One that is not running yet.
    pub fn absent(arguments: &[&str]) -> Option<Self> {
        let Some(binary) = binary() else {
            assert!(std::env::var_os("CI").is_none(), "no redis-server and no valkey-server");
            eprintln!(
                "SKIPPED: no redis-server and no valkey-server on PATH, and APPFORGE_PEER_VALKEY is not set"
            );
            return None;
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Some(Self { binary, port, folder, arguments, file: None, child: None })
    }

    /// With these lines of configuration in a file of its own.
    pub fn configured(mut self, lines: &[&str]) -> Self {
        let file = self.folder.path().join("server.conf");
        std::fs::write(&file, lines.join("\n")).unwrap();
        self.file = Some(file);
        self
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the server, and waits until it answers.
    pub async fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.binary);
        command.args(&self.file);
        if !self.arguments.contains(&"--sentinel".to_owned()) {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        let child = command
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(&self.arguments)
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually(|| std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()).await;
    }

    /// A connection for the test itself.
    pub async fn connection(&self) -> MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// A connection for the test itself, as the user `login`.
    pub async fn login(&self, login: &str) -> MultiplexedConnection {
        let url = format!("redis://{login}@127.0.0.1:{}", self.port);
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Calls of a command since the last `CONFIG RESETSTAT`.
pub async fn calls(connection: &mut MultiplexedConnection, command: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
}

pub async fn run(connection: &mut impl ConnectionLike, command: &[&str]) {
    let mut command_line = redis::cmd(command.first().unwrap());
    for argument in command.iter().skip(1) {
        command_line.arg(argument);
    }
    let () = command_line.query_async(connection).await.unwrap();
}

/// All keys with their time to live in milliseconds.
pub async fn ttls(connection: &mut MultiplexedConnection) -> Vec<(String, i64)> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(connection).await.unwrap();
    let mut ttls = Vec::new();
    for key in keys {
        let ttl = redis::cmd("PTTL").arg(&key).query_async(connection).await.unwrap();
        ttls.push((key, ttl));
    }
    ttls
}

/// 100 requests in 15 minutes, shared by `replicas` while Redis is away.
pub fn limit(replicas: usize) -> Settings {
    Settings {
        requests: 100,
        window: Duration::from_secs(900),
        on_redis_failure: OnRedisFailure::Memory,
        replicas: u32::try_from(replicas).unwrap(),
    }
}

/// What a replica has of the limiter.
pub struct Replica {
    pub redis: Redis,
    pub limiter: Limiter,
    registry: Registry,
}

impl Replica {
    pub fn start(url: &str, settings: Settings) -> Self {
        let mut registry = Registry::default();
        let to = service_redis::Settings { url: url.to_owned(), key_prefix: "appforge:".into() };
        let redis = Redis::start(to, &mut registry).unwrap();
        let limiter = Limiter::start(settings, redis.clone(), &mut registry);
        Self { redis, limiter, registry }
    }

    pub fn mode(&self) -> LimitMode {
        self.limiter.status().mode
    }

    /// The value of a series, 0 when there is none.
    pub fn metric(&self, series: &str) -> f64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// So many replicas, all of them counting in Redis.
pub async fn replicas(url: &str, count: usize) -> Vec<Replica> {
    let replicas: Vec<_> = (0..count).map(|_| Replica::start(url, limit(count))).collect();
    shared(&replicas).await;
    replicas
}

/// Waits until all count in Redis, and says how long that took.
pub async fn shared(replicas: &[Replica]) -> Duration {
    eventually(|| replicas.iter().all(|replica| replica.mode() == LimitMode::Shared)).await
}

/// Waits until the condition holds, and says how long that took.
pub async fn eventually(mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "still not so after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    start.elapsed()
}

/// Requests of one client, spread evenly over the replicas.
pub struct Traffic {
    pub passed: usize,
    pub slowest: Duration,
    pub decisions: Vec<Decision>,
    pub took: Vec<Duration>,
}

/// Sends `count` requests, `at_once` of them under way at any time.
pub async fn traffic(replicas: &[Replica], client: &str, count: usize, at_once: usize) -> Traffic {
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
pub async fn passed(replicas: &[Replica], client: &str, count: usize, at_once: usize) -> usize {
    traffic(replicas, client, count, at_once).await.passed
}
