//! A service on real sockets with both stores away, and a client that shows what it gets.

use std::net::SocketAddr;

use appforge_service::listen::Listeners;
use appforge_service::run::serve_on;
use appforge_service::settings::Settings;
use appforge_testing::port;
use appforge_testing::wait::DEADLINE;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Service {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    /// Starts the service; nobody listens where it looks for its stores.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these variables.
    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), more).await
    }

    /// The same on this public listener.
    pub(crate) async fn start_on(listener: TcpListener, more: &[(&str, &str)]) -> Self {
        let closed = port::closed();
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
        let listeners = Listeners {
            public: vec![listener],
            admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            shared: false,
        };
        let (public, admin) =
            (listeners.public[0].local_addr().unwrap(), listeners.admin.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listeners, settings, async {
            let _ = stopped.await;
        }));
        Self { public, admin, stop, task }
    }

    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

#[track_caller]
pub(crate) fn starts(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}

/// Whether an answer tells its client to leave.
pub(crate) fn is_last(answer: &str) -> bool {
    answer.to_lowercase().contains("\r\nconnection: close\r\n")
}
