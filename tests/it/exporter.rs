//! `exporter` as monitoring scrapes it, against real stores, the embedded ones, and servers that do not answer.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use appforge::rules;
use appforge::stack::{Stack, TargetKind, monitoring};
use appforge_embedded::{mongodb, redis};
use appforge_testing::http;
use appforge_testing::peer::{DURABLE, Server};
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::net;
use crate::support::{Project, Run};

/// Prometheus waits for 10 s at most.
/// When own.pem expires: `openssl x509 -enddate`.
const OWN_EXPIRY: f64 = 4949369875.0;
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

struct Exporter {
    child: Child,
    address: SocketAddr,
    _project: Project,
}

impl Exporter {
    fn start(variables: &[(&str, &str)]) -> Self {
        let project = Project::new();
        project.write("redis.url", "");
        Self::start_in(project, variables)
    }

    fn start_in(project: Project, variables: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::reserve()));
        let mut command = project.command(&["exporter"]);
        command.env("ADMIN_BIND", "127.0.0.1").env("ADMIN_PORT", address.port().to_string());
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        eventually("the exporter listens", || {
            assert_eq!(child.try_wait().unwrap(), None, "the exporter has ended");
            std::net::TcpStream::connect(address).is_ok()
        });
        Self { child, address, _project: project }
    }

    fn scrape(&self) -> String {
        let began = Instant::now();
        let (status, head, body) = http::exchange(self.address, "GET /metrics", "", "");
        assert_eq!(status, 200, "{head}{body}");
        assert!(began.elapsed() < SCRAPE_TIMEOUT, "{:?}", began.elapsed());
        body
    }

    /// Ends it as a container engine does, and returns its log.
    fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < DEADLINE);
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(0));
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of the series.
fn names(metrics: &str) -> BTreeSet<&str> {
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    series.filter_map(|line| line.split([' ', '{']).next()).filter(|name| !name.is_empty()).collect()
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// The metrics of a prefix that rules and panels read.
fn read_by_rules(prefix: &str) -> BTreeSet<String> {
    let stack = Stack { target: TargetKind::Compose, ..Stack::default() };
    let facts = monitoring::facts(&stack);
    let panels =
        rules::panels(&facts).into_iter().flat_map(|panel| panel.queries).map(|query| query.expression);
    let expressions: Vec<String> =
        rules::rules(&facts).into_iter().map(|rule| rule.expression).chain(panels).collect();
    let all = expressions.iter().flat_map(|expression| rules::metrics(expression));
    all.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs mongodb and valkey"]
fn real_stores_have_the_series_that_rules_read() {
    let (redis, mongodb) = (Server::valkey(DURABLE).started(), Server::mongodb().started());
    let project = Project::new();
    project.write("redis.url", &format!("redis://127.0.0.1:{}/\n", redis.port));
    let file = project.path().join("redis.url").display().to_string();
    let exporter = Exporter::start_in(
        project,
        &[
            ("REDIS_URL_FILE", &file),
            ("MONGODB_URI", &format!("mongodb://127.0.0.1:{}/shop", mongodb.port)),
            ("REPLICAS_DESIRED", "3"),
            ("REPLICAS_MAX", "10"),
        ],
    );
    let metrics = exporter.scrape();
    let names = names(&metrics);
    for metric in read_by_rules("redis_") {
        assert!(names.contains(metric.as_str()), "{metric}: {metrics}");
    }
    for (series, expected) in [
        ("redis_up", 1.0),
        ("redis_max_clients", 10_000.0),
        ("redis_aof_last_write_status", 1.0),
        ("mongodb_up", 1.0),
        ("appforge_replicas_desired", 3.0),
        ("appforge_replicas_max", 10.0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}: {metrics}");
    }
    assert!(!names.iter().any(|name| name.starts_with("probe_")), "{metrics}");
    exporter.end();
}

#[test]
#[ignore = "needs valkey"]
fn store_that_stops_or_freezes_has_no_stale_series() {
    let mut redis = Server::valkey(DURABLE).started();
    let exporter = Exporter::start(&[("REDIS_URL", &format!("redis://127.0.0.1:{}/", redis.port))]);
    let of_redis = |metrics: &str| -> Vec<String> {
        names(metrics).into_iter().filter(|name| name.starts_with("redis_")).map(str::to_owned).collect()
    };
    assert!(of_redis(&exporter.scrape()).len() > 20);
    redis.signal(Signal::STOP);
    let frozen = exporter.scrape();
    redis.signal(Signal::CONT);
    assert_eq!((value(&frozen, "redis_up"), of_redis(&frozen).len()), (Some(0.0), 1), "{frozen}");
    assert_eq!(value(&exporter.scrape(), "redis_up"), Some(1.0));
    redis.kill();
    let gone = exporter.scrape();
    assert_eq!((value(&gone, "redis_up"), of_redis(&gone).len()), (Some(0.0), 1), "{gone}");
    redis.start();
    assert_eq!(value(&exporter.scrape(), "redis_up"), Some(1.0));
    exporter.end();
}

#[test]
fn embedded_stores_leave_out_what_they_do_not_report() {
    let runtime = net::runtime();
    let folder = tempfile::tempdir().unwrap();
    let (redis, mongodb) = runtime.block_on(async {
        let (near, far) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let addresses = (near.local_addr().unwrap(), far.local_addr().unwrap());
        let data = |name: &str| folder.path().join(name);
        let eviction = redis::Eviction::AllkeysLru;
        let options = redis::Options { data: data("redis"), max_memory: 0, eviction };
        tokio::spawn(redis::serve(near, options, std::future::pending()));
        tokio::spawn(mongodb::serve(far, mongodb::Options { data: data("mongodb") }, std::future::pending()));
        addresses
    });
    let exporter = Exporter::start(&[
        ("REDIS_URL", &format!("redis://{redis}/")),
        ("MONGODB_URI", &format!("mongodb://{mongodb}/shop")),
    ]);
    let metrics = exporter.scrape();
    assert_eq!(
        (value(&metrics, "redis_up"), value(&metrics, "mongodb_up")),
        (Some(1.0), Some(1.0)),
        "{metrics}"
    );
    let names = names(&metrics);
    for name in [
        "redis_memory_used_bytes",
        "redis_evicted_keys_total",
        "redis_aof_last_write_status",
        "mongodb_connections",
    ] {
        assert!(names.contains(name), "{name}: {metrics}");
    }
    for name in ["redis_max_clients", "redis_rejected_connections_total", "redis_rdb_last_bgsave_status"] {
        assert!(!names.contains(name), "{name}: {metrics}");
    }
    assert!(
        !names.iter().any(|name| name.contains("wiredtiger") || name.contains("filesystem")),
        "{metrics}"
    );
    exporter.end();
}

#[test]
fn address_with_a_password_is_in_no_line() {
    let closed = port::closed();
    let exporter = Exporter::start(&[
        ("REDIS_URL", &format!("redis://:hunter2@{closed}/")),
        ("MONGODB_URI", &format!("mongodb://u:hunter2@{closed}/?serverSelectionTimeoutMS=100")),
    ]);
    let metrics = exporter.scrape();
    assert_eq!(
        (value(&metrics, "redis_up"), value(&metrics, "mongodb_up")),
        (Some(0.0), Some(0.0)),
        "{metrics}"
    );
    let log = exporter.end();
    assert!(log.contains("Redis cannot be measured") && log.contains("MongoDB cannot be measured"), "{log}");
    assert!(!format!("{metrics}{log}").contains("hunter2"), "{log}");
}

/// A server that gives each request this answer.
async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let read = stream.read(&mut request).await.unwrap_or_default();
                if read > 0 {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    address
}

#[test]
fn probe_shows_what_a_client_would_get() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let runtime = net::runtime();
    let probed = |url: String| {
        let exporter = Exporter::start(&[("PROBE_URL", &url)]);
        let metrics = exporter.scrape();
        exporter.end();
        let of = |name: &str| value(&metrics, name);
        (of("probe_success"), of("probe_http_status_code"), of("probe_ssl_earliest_cert_expiry"))
    };
    let (plain, busy, silent) = runtime.block_on(async {
        // Connections are taken by the kernel, and nothing answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (answering(OK).await, answering(BUSY).await, silent)
    });
    assert_eq!(probed(format!("http://{plain}/health")), (Some(1.0), Some(200.0), None));
    assert_eq!(probed(format!("http://{busy}/health")), (Some(0.0), Some(503.0), None));
    assert_eq!(probed(format!("http://{}/", silent.local_addr().unwrap())), (Some(0.0), None, None));
    let (own, other) =
        runtime.block_on(async { (net::with_tls(plain, "own").await, net::with_tls(plain, "server").await) });
    // `openssl x509 -enddate` of own.pem and server.pem.
    assert_eq!(probed(format!("https://{own}/health")), (Some(1.0), Some(200.0), Some(OWN_EXPIRY)));
    let (success, status, expiry) = probed(format!("https://{other}/health"));
    assert_eq!((success, status), (Some(0.0), None), "the certificate is of another name");
    assert!(expiry > Some(4.9e9), "{expiry:?}");
}

#[test]
fn exporter_names_all_problems_when_settings_are_wrong() {
    let project = Project::new();
    let run = Run::of(project.command(&["exporter"]).env("PROBE_URL", "nonsense").env("REPLICAS_MAX", "0"));
    assert_eq!((run.code, run.stdout.as_str()), (Some(3), ""), "{}", run.stderr);
    assert_eq!(
        run.stderr,
        "error: the settings have 2 problems\n  PROBE_URL: expected a URL without credentials, such as \
         `https://shop.example.com/health`\n  REPLICAS_MAX: must be between 1 and 1000, got 0\n"
    );
    let run = Run::of(&mut project.command(&["exporter"]));
    assert_eq!(run.code, Some(3));
    assert!(run.stderr.contains("REDIS_URL: nothing to measure"), "{}", run.stderr);
}
