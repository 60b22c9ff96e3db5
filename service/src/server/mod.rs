//! Accepts connections and serves HTTP/1 on them; lets clients go in order when told to.
//!
//! While draining, every answer carries `Connection: close`, so that a keep-alive client leaves by itself. A connection
//! that stays idle for a while after that is closed. What speaks another protocol by then stays until the end.

mod body;
mod connection;
mod faults;
mod framing;
mod stream;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use body::{RequestBody, TrailerFilter, Upload};
pub(crate) use faults::{has_plain_coding, is_host};

/// How long to wait after the listener failed (too many open files) before it is asked again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections that were told to end may take to notice.
const NOTICE: Duration = Duration::from_secs(1);

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + From<axum::body::Body> + Unpin + Send + 'static;

    /// Whether answers may last: then a client that leaves ends its request.
    const STREAMS: bool = false;

    /// Answers one request from `peer`.
    fn handle(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The connections of one listener.
#[derive(Clone, Default)]
pub struct Connections {
    tasks: TaskTracker,
    open: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    stages: Stages,
}

/// How far the end has come, for each connection to see.
#[derive(Clone, Default)]
struct Stages {
    /// No new connections; clients are told to leave.
    drain: CancellationToken,
    /// Whoever is still there is cut off.
    end: CancellationToken,
}

impl Connections {
    /// How many are open.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// How many were accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends the listener and all connections when it is dropped, so that nothing outlives its owner.
    pub fn end_on_drop(&self) -> (DropGuard, DropGuard) {
        (self.stages.drain.clone().drop_guard(), self.stages.end.clone().drop_guard())
    }

    /// Tells [`Self::accept`] to end, and each client with its next answer to leave.
    pub fn drain(&self) {
        self.stages.drain.cancel();
    }

    /// Waits until all connections are closed. Those that are not `within` that time are cut off: false.
    pub async fn closed(&self, within: Duration) -> bool {
        if tokio::time::timeout(within, self.tasks.wait()).await.is_ok() {
            return true;
        }
        self.stages.end.cancel();
        let _ = tokio::time::timeout(NOTICE, self.tasks.wait()).await;
        false
    }

    /// Accepts connections until [`Self::drain`], then closes the listeners. Connections live on in their tasks.
    pub async fn accept<H: Handler>(self, listeners: Vec<TcpListener>, handler: Arc<H>) {
        // Its sender lives as long as this does.
        let (_open, gate) = watch::channel(true);
        self.accept_while(gate, listeners, handler).await;
    }

    /// As [`Self::accept`], but only while the gate is open: meanwhile connections wait in the kernel, where another process
    /// may take them.
    pub async fn accept_while<H: Handler>(
        self,
        mut gate: watch::Receiver<bool>,
        listeners: Vec<TcpListener>,
        handler: Arc<H>,
    ) {
        let mut failing = false;
        let mut turn = 0;
        loop {
            let accepted = tokio::select! {
                () = self.stages.drain.cancelled() => break,
                accepted = next(&mut gate, &listeners, turn) => accepted,
            };
            turn = usize::wrapping_add(turn, 1);
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    self.serve(stream, peer, &handler);
                    // Replicas share the socket: after each connection the next one may be another's.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    // Once, not at each attempt: it lasts, and says the same each time.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "connections cannot be accepted");
                    }
                    let _ = self.stages.drain.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
                }
            }
        }
        if *gate.borrow() {
            for listener in listeners {
                self.serve_waiting(listener, &handler);
            }
        }
        self.tasks.close();
    }

    /// Runs a task that is a connection without HTTP, until it ends or all connections have to.
    pub fn spawn(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        let (open, end) = (Open::new(&self.open), self.stages.end.clone());
        self.tasks.spawn(async move {
            // How it ends is its own business.
            let _ = end.run_until_cancelled(tunnel).await;
            drop(open);
        });
    }

    fn serve<H: Handler>(&self, stream: TcpStream, peer: SocketAddr, handler: &Arc<H>) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (open, stages, handler) = (Open::new(&self.open), self.stages.clone(), handler.clone());
        self.tasks.spawn(async move {
            connection::serve(stream, peer, handler, stages).await;
            drop(open);
        });
    }

    /// Connections that wait in the kernel would be reset with the socket, if no other process shares it.
    fn serve_waiting<H: Handler>(&self, listener: TcpListener, handler: &Arc<H>) {
        let Ok(listener) = listener.into_std() else { return };
        // The socket does not block: the first error is that none waits any more, or that none can be accepted.
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.serve(stream, peer, handler);
            }
        }
    }
}

/// The next connection, while the gate is open.
async fn next(
    gate: &mut watch::Receiver<bool>,
    listeners: &[TcpListener],
    turn: usize,
) -> std::io::Result<(TcpStream, SocketAddr)> {
    loop {
        if !wait_for(gate, true).await {
            return std::future::pending().await;
        }
        let mut closing = gate.clone();
        tokio::select! {
            accepted = any(listeners, turn) => return accepted,
            true = wait_for(&mut closing, false) => {}
        }
    }
}

/// Whether the gate came to be so. Who keeps it has ended otherwise.
async fn wait_for(gate: &mut watch::Receiver<bool>, open: bool) -> bool {
    gate.wait_for(|is_open| *is_open == open).await.is_ok()
}

/// The next connection of any of these; `turn` says which is asked first, so that a busy one does not shut out the others.
async fn any(listeners: &[TcpListener], turn: usize) -> std::io::Result<(TcpStream, SocketAddr)> {
    let (before, first) = listeners.split_at(turn.checked_rem(listeners.len()).unwrap_or(0));
    std::future::poll_fn(|context| {
        let mut asked = first.iter().chain(before).map(|listener| listener.poll_accept(context));
        asked.find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
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
