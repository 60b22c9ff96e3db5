//! A TCP stream that notes what moves on it, and that ends without taking a request or an answer with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// How long what the client still sends is read after the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// Room to read into what is thrown away.
const WASTE: usize = 4096;

/// What moves on a connection. All in one task: the order of the atomics does not matter.
#[derive(Default)]
pub(super) struct Pulse {
    moved: AtomicBool,
    busy: AtomicBool,
    partial: AtomicBool,
    blocked: AtomicBool,
    leaving: AtomicBool,
}

impl Pulse {
    /// Whether bytes have moved since this was asked last.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
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
        self.busy.store(true, Relaxed);
        self.partial.store(false, Relaxed);
        Busy(self.clone())
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

/// A request is being answered.
pub(super) struct Busy(Arc<Pulse>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}

/// The stream.
pub(super) struct Stream {
    tcp: TcpStream,
    pulse: Arc<Pulse>,
    /// Once our side is closed: how long to wait for the client's.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { tcp, pulse, linger: None }
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
        if buffer.filled().len() > before {
            self.pulse.heard();
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

    /// Closes our side, then reads what the client still sends: closing with bytes unread would reset the connection, and
    /// the last answer could be lost on its way.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
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
