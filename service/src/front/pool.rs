//! Connections to one app: made, kept for the next request while they are young, never shared by two requests.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::contract::Endpoint;
use crate::server::RequestBody;

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection is kept that the app does not announce to close earlier. Apps close idle ones after some seconds
/// (Node: 5, and some frameworks 2), and a request must not meet that.
const LONGEST_IDLE: Duration = Duration::from_secs(1);
/// An announced time is shortened by this, for what is on its way.
const MARGIN: Duration = Duration::from_secs(1);
/// Longest head of an answer, in bytes.
const MOST_HEAD: usize = 64 * 1024;
/// Bytes that are read at a time. The HTTP client doubles its buffer, up to the length of a head, when a read fills it: one byte
/// less than 16 KiB keeps it there, and with it the memory of many large answers.
const MOST_READ: usize = 16 * 1024 - 1;

/// One app.
pub(super) struct Peer {
    /// Where it is.
    pub(super) endpoint: Endpoint,
    /// Its name, for requests that bring none.
    pub(super) host: HeaderValue,
    /// Known without asking a name server.
    address: Option<SocketAddr>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

struct Connection {
    sender: SendRequest<RequestBody>,
    heard: Arc<AtomicBool>,
}

/// A connection that one request has to itself.
pub(super) struct Lease {
    peer: Arc<Peer>,
    connection: Connection,
    /// Whether it carried a request before.
    pub(super) reused: bool,
}

impl Peer {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let text = endpoint.to_string();
        // Its letters were checked.
        let host = HeaderValue::try_from(&text).unwrap_or(HeaderValue::from_static("localhost"));
        Self { host, address: text.parse().ok(), endpoint, idle: Mutex::default() }
    }

    /// An idle connection, or a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> io::Result<Lease> {
        match self.take_idle() {
            Some(connection) => Ok(Lease { peer: self.clone(), connection, reused: true }),
            None => self.fresh().await,
        }
    }

    /// A new connection.
    pub(super) async fn fresh(self: &Arc<Self>) -> io::Result<Lease> {
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        let heard = Arc::new(AtomicBool::new(false));
        let stream = TokioIo::new(Stream { tcp: stream, heard: heard.clone() });
        let handshake = Builder::new().max_buf_size(MOST_HEAD).handshake(stream).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // Who waits for an answer gets the error, too.
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to the app has failed");
            }
        });
        Ok(Lease { peer: self.clone(), connection: Connection { sender, heard }, reused: false })
    }

    /// A bare connection, in time.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let connect = async {
            match self.address {
                Some(address) => TcpStream::connect(address).await,
                None => TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await,
            }
        };
        timeout(CONNECT_LIMIT, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Closes the connections that are too old to be used.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle().retain(|idle| idle.until > now && !idle.connection.sender.is_closed());
    }

    /// The youngest: the others end sooner.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        if idle.is_empty() {
            return None;
        }
        let now = Instant::now();
        while let Some(Idle { connection, until }) = idle.pop() {
            if until > now && connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Sends a request.
    ///
    /// # Errors
    /// With the request when none of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.connection.heard.store(false, Relaxed);
        self.connection.sender.try_send_request(request).await
    }

    /// Whether any byte has come since the last request was sent.
    pub(super) fn has_heard(&self) -> bool {
        self.connection.heard.load(Relaxed)
    }

    /// The app it leads to.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Keeps the connection for the next request; `announced` is when the app closes it, in seconds.
    pub(super) fn give_back(self, announced: Option<u64>) {
        let longest = announced.map_or(LONGEST_IDLE, |seconds| {
            LONGEST_IDLE.min(Duration::from_secs(seconds).saturating_sub(MARGIN))
        });
        if !longest.is_zero() && !self.connection.sender.is_closed() {
            self.peer.idle().push(Idle { connection: self.connection, until: Instant::now() + longest });
        }
    }
}

/// A TCP stream that notes whether the app has said anything.
struct Stream {
    tcp: TcpStream,
    heard: Arc<AtomicBool>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = if buffer.remaining() <= MOST_READ {
            Pin::new(&mut self.tcp).poll_read(cx, buffer)
        } else {
            // A part of the buffer has to be filled with zeros first, which small answers are spared.
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(MOST_READ));
            let outcome = Pin::new(&mut self.tcp).poll_read(cx, &mut part);
            let read = part.filled().len();
            buffer.advance(read);
            outcome
        };
        if buffer.filled().len() > before {
            self.heard.store(true, Relaxed);
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
