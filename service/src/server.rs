//! Accepts connections and serves HTTP/1 on them; lets clients go in order when told to.
//!
//! While draining, every answer carries `Connection: close`, so that a keep-alive client leaves by itself. A connection
//! that stays idle for a while after that is closed.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 64 * 1024;
/// How long an idle connection is kept while draining, for a request that is on its way.
const LAST_IDLE: Duration = Duration::from_secs(5);
/// How long to wait after the listener failed (too many open files) before it is asked again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request from `peer`.
    fn handle(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// The connections of one listener.
#[derive(Clone, Default)]
pub struct Connections {
    tasks: TaskTracker,
    open: Arc<AtomicU64>,
}

impl Connections {
    /// How many are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Accepts connections until `drain` is cancelled, then drops the listener. Connections live on in their tasks.
    pub async fn accept<H: Handler>(self, listener: TcpListener, handler: Arc<H>, drain: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = drain.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let guard = Open::new(&self.open);
                    let (handler, drain) = (handler.clone(), drain.clone());
                    self.tasks.spawn(async move {
                        serve(stream, peer, handler, drain).await;
                        drop(guard);
                    });
                    // Replicas share the socket: after each connection the next one may be another's.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    let _ = drain.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        self.tasks.close();
    }

    /// Waits until all connections of a listener that stopped accepting are closed.
    pub async fn closed(&self) {
        self.tasks.wait().await;
    }
}

struct Open(Arc<AtomicU64>);

impl Open {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve<H: Handler>(stream: TcpStream, peer: SocketAddr, handler: Arc<H>, drain: CancellationToken) {
    if stream.set_nodelay(true).is_err() {
        return; // The client is gone already.
    }
    let draining = drain.clone();
    let service = service_fn(move |request| {
        let (handler, draining) = (handler.clone(), draining.clone());
        async move {
            let mut response = handler.handle(peer, request).await;
            if draining.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(MOST_HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error of the connection is the client's own business.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = drain.cancelled() => {}
    }
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(LAST_IDLE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
