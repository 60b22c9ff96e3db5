//! The whole service on real sockets, with both stores away: what must work then, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use appforge_service::listen::Listeners;
use appforge_service::probe;
use appforge_service::run::serve_on;
use appforge_service::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);
const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Service {
    public: SocketAddr,
    admin: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// Starts the service; nobody listens where it looks for its stores.
    async fn start() -> Self {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let variables = [
            ("MONGODB_URI", format!("mongodb://{closed}/")),
            ("REDIS_URL", format!("redis://{closed}/")),
            ("RATE_LIMIT_REQUESTS", "5".into()),
            ("MONGODB_SERVER_SELECTION_TIMEOUT_MS", "500".into()),
            ("PROBE_SECRET", SECRET.into()),
            ("REPLICA_ID", "replica-under-test".into()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::from_env(variables, |path| std::fs::read_to_string(path));
        let settings = settings.unwrap_or_else(|problems| panic!("{problems:?}"));
        let bind = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let listeners = Listeners { public: bind().await, admin: bind().await };
        let (public, admin) = (listeners.public.local_addr().unwrap(), listeners.admin.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listeners, settings, async {
            let _ = stopped.await;
        }));
        Self { public, admin, stop, task }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(timeout(DEADLINE, TcpStream::connect(address)).await.unwrap().unwrap())
    }

    /// Sends a request on the open connection and reads head and body of the answer.
    async fn ask(&mut self, request: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let text =
            format!("{request} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        timeout(DEADLINE, self.0.write_all(text.as_bytes())).await.unwrap().unwrap();
        let mut answer = Vec::new();
        loop {
            let mut more = [0; 4096];
            let read = timeout(DEADLINE, self.0.read(&mut more)).await.unwrap().unwrap();
            answer.extend_from_slice(&more[..read]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                assert!(read > 0, "the connection was closed: {text}");
                continue;
            };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
                return text;
            }
        }
    }

    async fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "").await
    }
}

#[track_caller]
fn starts(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

#[tokio::test]
async fn with_both_stores_away_it_answers_says_so_and_still_limits() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let health = client.get("/health").await;
    starts(&health, 200);
    assert!(health.contains(r#""status":"degraded""#) && health.contains("replica-under-test"), "{health}");
    assert!(
        health.contains("ratelimit-limit: 5\r\n") && health.contains("ratelimit-remaining: 4\r\n"),
        "{health}"
    );
    let items = client.get("/api/items").await;
    starts(&items, 503);
    assert!(items.contains("application/problem+json"), "{items}");
    let refused = client.ask("POST /api/items", "content-type: text/plain\r\n", "x").await;
    starts(&refused, 415);
    starts(&client.get("/nothing").await, 404);
    starts(&client.ask("PUT /health", "", "").await, 405);
    let limited = client.ask("GET /health", "x-forwarded-for: 1.2.3.4\r\n", "").await;
    starts(&limited, 429);
    assert!(limited.contains("retry-after: ") && limited.contains("cache-control: no-store"), "{limited}");
    service.end().await;
}

#[tokio::test]
async fn only_a_signed_header_makes_another_client_and_probes_are_never_limited() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for _ in 0..5 {
        starts(&client.get("/openapi.json").await, 200);
    }
    let forged = probe::sign(b"another secret of enough bytes", "a", now + 60);
    starts(&client.ask("GET /health", &format!("x-appforge-probe: {forged}\r\n"), "").await, 429);
    let signed = probe::sign(SECRET.as_bytes(), "a", now + 60);
    starts(&client.ask("GET /health", &format!("x-appforge-probe: {signed}\r\n"), "").await, 200);
    let admin = &mut Client::connect(service.admin).await;
    for _ in 0..20 {
        starts(&admin.get("/livez").await, 200);
        starts(&admin.get("/readyz").await, 200);
    }
    let metrics = admin.get("/metrics").await;
    assert!(metrics.contains("probe_rejected_total 1"), "{metrics}");
    assert!(
        metrics.contains(r#"http_requests_total{method="GET",route="/health",status="429"} 1"#),
        "{metrics}"
    );
    let status = admin.get("/statusz").await;
    assert!(status.contains(r#""mode":"memory""#), "{status}");
    starts(&admin.ask("PUT /replicas", "content-type: application/json\r\n", r#"{"replicas":3}"#).await, 204);
    assert!(admin.get("/statusz").await.contains(r#""replicas":3"#));
    service.end().await;
}

#[tokio::test]
async fn a_keep_alive_client_is_told_to_leave_and_never_cut_off() {
    let service = Service::start().await;
    let mut client = Client::connect(service.public).await;
    starts(&client.get("/health").await, 200);
    let mut admin = Client::connect(service.admin).await;
    starts(&admin.get("/readyz").await, 200);
    service.stop.send(()).unwrap();
    while !admin.get("/readyz").await.starts_with("HTTP/1.1 503") {
        tokio::task::yield_now().await;
    }
    let last = client.get("/health").await;
    starts(&last, 200);
    assert!(last.contains("connection: close"), "{last}");
    assert_eq!(
        timeout(DEADLINE, client.0.read(&mut [0; 1])).await.unwrap().unwrap(),
        0,
        "closed by the service"
    );
    timeout(DEADLINE, service.task).await.unwrap().unwrap().unwrap();
}
