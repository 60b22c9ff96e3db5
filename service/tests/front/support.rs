//! A front on real sockets, and apps that show the bytes that they get.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use appforge_service::listen::Listeners;
use appforge_service::run::serve_on;
use appforge_service::settings::Settings;
use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const OFF: (&str, &str) = ("RATE_LIMIT_ENABLED", "false");

/// A front that serves.
pub(crate) struct Front {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Front {
    /// Before this app, with these variables, once it is ready. No Redis listens where it looks.
    pub(crate) async fn start(app: SocketAddr, more: &[(&str, &str)]) -> Self {
        let front = Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), app, more).await;
        until("the front is ready", async || front.is_ready().await).await;
        front
    }

    /// The same on this public listener, ready or not.
    pub(crate) async fn start_on(listener: TcpListener, app: SocketAddr, more: &[(&str, &str)]) -> Self {
        Self::start_with(listener, false, app, more).await
    }

    /// The same on a public listener that other fronts may share.
    pub(crate) async fn start_sharing(listener: TcpListener, app: SocketAddr, more: &[(&str, &str)]) -> Self {
        Self::start_with(listener, true, app, more).await
    }

    async fn start_with(listener: TcpListener, shared: bool, app: SocketAddr, more: &[(&str, &str)]) -> Self {
        let mut variables = vec![
            ("UPSTREAM_URL".to_owned(), format!("http://{app}")),
            ("REDIS_URL".to_owned(), format!("redis://{}/", port::closed())),
            // Clients of a test may still be connected at its end.
            ("SHUTDOWN_TIMEOUT_MS".to_owned(), "300".to_owned()),
        ];
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings = Settings::from_env(variables, |path| std::fs::read_to_string(path));
        let settings = settings.unwrap_or_else(|problems| panic!("{problems:?}"));
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (public_address, admin_address) = (listener.local_addr().unwrap(), admin.local_addr().unwrap());
        let listeners = Listeners { public: vec![listener], admin, shared };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_on(listeners, settings, async {
            let _ = stopped.await;
        }));
        Self { public: public_address, admin: admin_address, stop, task }
    }

    pub(crate) async fn is_ready(&self) -> bool {
        Client::connect(self.admin).await.get("/readyz").await.starts_with("HTTP/1.1 200")
    }

    pub(crate) async fn statusz(&self) -> String {
        Client::connect(self.admin).await.get("/statusz").await
    }

    pub(crate) async fn metrics(&self) -> String {
        Client::connect(self.admin).await.get("/metrics").await
    }

    /// Replaces the apps.
    pub(crate) async fn point_at(&self, apps: &[SocketAddr]) {
        let body = serde_json::json!({"upstreams": apps}).to_string();
        let json = "content-type: application/json\r\n";
        let answer = Client::connect(self.admin).await.ask("PUT /upstreams", json, &body).await;
        starts(&answer, 204);
    }

    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// An app that answers with the head and the body that it got, as text.
pub(crate) struct App {
    pub address: SocketAddr,
    /// The heads of its requests.
    pub heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl App {
    pub(crate) async fn echo() -> Self {
        Self::echo_on(TcpListener::bind("127.0.0.1:0").await.unwrap()).await
    }

    pub(crate) async fn echo_on(listener: TcpListener) -> Self {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        let app = Self::raw_on(listener, move |mut stream: TcpStream| {
            let seen = seen.clone();
            async move {
                let mut connection = Connection::default();
                while let Some((head, body)) = connection.request(&mut stream).await {
                    seen.lock().unwrap().push(head.clone());
                    let echo = format!("{head}{body}");
                    let answer = if head.starts_with("HEAD") { "" } else { &echo };
                    let length = echo.len();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}");
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        });
        Self { heads, ..app.await }
    }

    /// Serves each connection with `serve`.
    pub(crate) async fn raw<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        Self::raw_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), serve).await
    }

    pub(crate) async fn raw_on<F: Future<Output = ()> + Send + 'static>(
        listener: TcpListener,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            // Ends with the app, as its process would.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream));
            }
        });
        Self { address, heads: Arc::default(), task }
    }

    pub(crate) fn head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap()
    }

    /// Ends it with its listener and its connections.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// What has come over a connection and was not taken.
#[derive(Default)]
pub(crate) struct Connection(Vec<u8>);

impl Connection {
    /// The next head, with its end.
    pub(crate) async fn head(&mut self, stream: &mut TcpStream) -> Option<String> {
        self.upto(stream, b"\r\n\r\n").await
    }

    /// The next request: its head, and its body as it was sent.
    pub(crate) async fn request(&mut self, stream: &mut TcpStream) -> Option<(String, String)> {
        let head = self.head(stream).await?;
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let body = if value("transfer-encoding: ").is_some() {
            self.upto(stream, b"0\r\n\r\n").await?
        } else {
            let length: usize = value("content-length: ").map_or(0, |length| length.parse().unwrap());
            while self.0.len() < length {
                self.read(stream).await?;
            }
            String::from_utf8(self.0.drain(..length).collect()).unwrap()
        };
        Some((head, body))
    }

    pub(crate) async fn upto(&mut self, stream: &mut TcpStream, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.0.windows(end.len()).position(|part| part == end) {
                return Some(String::from_utf8(self.0.drain(..at + end.len()).collect()).unwrap());
            }
            self.read(stream).await?;
        }
    }

    /// What was read too much.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    async fn read(&mut self, stream: &mut TcpStream) -> Option<()> {
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.ok().filter(|count| *count > 0)?;
        self.0.extend_from_slice(&more[..count]);
        Some(())
    }
}

/// All that comes back until the front closes the connection.
pub(crate) async fn exchange(front: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(front).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    timeout(DEADLINE, read).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[track_caller]
pub(crate) fn starts(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
}
