//! A service on real sockets with both stores away, and a client that shows what it gets.

use std::net::SocketAddr;
use std::time::Duration;

use appforge_service::listen::Listeners;
use appforge_service::run::serve_on;
use appforge_service::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub struct Service {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// Starts the service; nobody listens where it looks for its stores.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these variables.
    pub async fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), more).await
    }

    /// The same on this public listener.
    pub async fn start_on(listener: TcpListener, more: &[(&str, &str)]) -> Self {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let variables = [
            ("MONGODB_URI", format!("mongodb://{closed}/")),
            ("REDIS_URL", format!("redis://{closed}/")),
            ("RATE_LIMIT_REQUESTS", "5".into()),
            ("MONGODB_SERVER_SELECTION_TIMEOUT_MS", "500".into()),
            ("PROBE_SECRET", SECRET.into()),
            ("REPLICA_ID", "replica-under-test".into()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into_iter();
        let variables =
            variables.chain(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings = Settings::from_env(variables, |path| std::fs::read_to_string(path));
        let settings = settings.unwrap_or_else(|problems| panic!("{problems:?}"));
        let listeners =
            Listeners { public: listener, admin: TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (public, admin) = (listeners.public.local_addr().unwrap(), listeners.admin.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listeners, settings, async {
            let _ = stopped.await;
        }));
        Self { public, admin, stop, task }
    }

    pub async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(timeout(DEADLINE, TcpStream::connect(address)).await.unwrap().unwrap())
    }

    /// Sends a request on the open connection and reads head and body of the answer.
    pub async fn ask(&mut self, request: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let text =
            format!("{request} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        self.send(&text).await;
        self.answer().await
    }

    /// Sends this text.
    pub async fn send(&mut self, text: &str) {
        timeout(DEADLINE, self.0.write_all(text.as_bytes())).await.unwrap().unwrap();
    }

    /// Reads head and body of an answer.
    pub async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            let mut more = [0; 4096];
            let read = timeout(DEADLINE, self.0.read(&mut more)).await.unwrap().unwrap();
            answer.extend_from_slice(&more[..read]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                assert!(read > 0, "the connection was closed within an answer: {text:?}");
                continue;
            };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
                return text;
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "").await
    }
}

#[track_caller]
pub fn starts(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

/// Whether an answer tells its client to leave.
pub fn is_last(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}
