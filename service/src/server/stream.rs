//! A TCP stream that notes what moves on it, and that ends without taking a request or an answer with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::framing::Framing;

/// How long what the client still sends is read after the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// Room to read into what is thrown away.
const WASTE: usize = 4096;

/// What moves on a connection. All on one thread: the order of the atomics does not matter.
pub(super) struct Pulse {
    moved: AtomicBool,
    /// Requests that are answered and bodies that are coming.
    busy: AtomicU32,
    answering: AtomicBool,
    partial: AtomicBool,
    blocked: AtomicBool,
    leaving: AtomicBool,
    uploading: AtomicBool,
    uploaded: AtomicBool,
    waiting: AtomicBool,
    tunnel: AtomicBool,
    requests: AtomicU32,
    doubtful: AtomicU32,
}

impl Default for Pulse {
    fn default() -> Self {
        let [answering, moved, partial, blocked] = Default::default();
        let [leaving, uploading, uploaded, waiting, tunnel] = Default::default();
        let [busy, requests] = Default::default();
        let doubtful = AtomicU32::new(u32::MAX);
        Self {
            moved,
            busy,
            answering,
            partial,
            blocked,
            leaving,
            uploading,
            uploaded,
            waiting,
            tunnel,
            requests,
            doubtful,
        }
    }
}

impl Pulse {
    /// Whether bytes have moved since this was asked last.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// Whether the body of an answer is being sent, which may be silent for long.
    pub(super) fn is_answering(&self) -> bool {
        self.answering.load(Relaxed)
    }

    /// The body of an answer is being sent until the guard is dropped.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.answering.store(true, Relaxed);
        Answering(self.clone())
    }

    /// Whether the head of a request has come in part.
    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Relaxed)
    }

    /// Whether an answer waits for the client to read.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// A request is being answered until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        self.partial.store(false, Relaxed);
        Busy(self.clone())
    }

    /// Counts a request; whether its head says twice where it ends.
    pub(super) fn begin_request(&self) -> bool {
        self.requests.fetch_add(1, Relaxed) == self.doubtful.load(Relaxed)
    }

    /// The body of a request is coming until the guard is dropped, and was taken whole if it is finished.
    pub(super) fn uploading(self: &Arc<Self>) -> Uploading {
        self.uploading.store(true, Relaxed);
        Uploading(self.busy())
    }

    /// Whether the body of the request was not taken whole: it is coming, or was given up.
    pub(super) fn is_uploading(&self) -> bool {
        self.uploading.load(Relaxed)
    }

    /// Whether some of the body was taken since this was asked last.
    pub(super) fn take_uploaded(&self) -> bool {
        self.uploaded.swap(false, Relaxed)
    }

    /// Whether the body of a request is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// What follows is of another protocol.
    pub(super) fn tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    /// Ends the stream for its reader as soon as there is nothing to read.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        self.moved.store(true, Relaxed);
        self.leaving.store(false, Relaxed);
        if !self.is_busy() {
            self.partial.store(true, Relaxed);
        }
    }
}

/// A request is being answered, or its body is coming.
pub(super) struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer is being sent.
pub(super) struct Answering(Arc<Pulse>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Relaxed);
        self.0.moved.store(true, Relaxed);
    }
}

/// The body of a request is coming.
pub(super) struct Uploading(Busy);

impl Uploading {
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        self.0.0.clone()
    }

    /// Some of the body was taken.
    pub(super) fn uploaded(&self) {
        self.0.0.uploaded.store(true, Relaxed);
        self.0.0.waiting.store(false, Relaxed);
    }

    /// Who takes the body waits for the client.
    pub(super) fn waits(&self) {
        self.0.0.waiting.store(true, Relaxed);
    }

    /// All of the body was taken, so the next request can follow.
    pub(super) fn finish(self) {
        self.0.0.uploading.store(false, Relaxed);
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.0.waiting.store(false, Relaxed);
    }
}

/// The stream.
pub(super) struct Stream {
    tcp: TcpStream,
    pulse: Arc<Pulse>,
    framing: Framing,
    /// Once our side is closed: how long to wait for the client's.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { tcp, pulse, framing: Framing::default(), linger: None }
    }

    fn wrote(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.pulse.blocked.store(outcome.is_pending(), Relaxed);
        if outcome.is_ready() {
            self.pulse.moved.store(true, Relaxed);
        }
        outcome
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.pulse.heard();
            if !self.pulse.tunnel.load(Relaxed)
                && let Some(request) = self.framing.read(read)
            {
                // The first one counts: the connection ends with it.
                let none = u32::MAX;
                let _ = self.pulse.doubtful.compare_exchange(none, request, Relaxed, Relaxed);
            }
        } else if outcome.is_pending() && self.pulse.leaving.load(Relaxed) {
            // Reads as the client's own end, which closes an idle connection in order. A request that came in time
            // was read above.
            return Poll::Ready(Ok(()));
        }
        outcome
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.wrote(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    /// Closes our side, then, of a client that speaks HTTP, reads what the client still sends: closing with bytes unread would reset the connection, and
    /// the last answer could be lost on its way.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
            if self.pulse.tunnel.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let mut waste = [0; WASTE];
        loop {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        match self.linger.as_mut() {
            Some(linger) => linger.as_mut().poll(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
