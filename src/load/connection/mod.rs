//! One keep-alive HTTP/1.1 connection of one virtual user: connect, send, read, say what went wrong and count bytes.
//!
//! Spoken directly on the socket, since a client library's hand-overs between tasks, channels and maps of headers
//! cost more than the request itself (with hyper, a request took about twice the generator's CPU). No pool, no retry, no
//! redirect: what the server does is what is measured.

mod deadline;
mod endpoint;
mod kind;
mod stream;
mod wire;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

pub use deadline::Deadline;
pub use endpoint::Endpoint;
pub use kind::ErrorKind;
pub use stream::Traffic;
use stream::{Counted, Stream};

/// Most bytes of a body that are kept for checks; the rest is read and counted only.
const KEPT_BODY: usize = 1 << 20;
/// The buffer of a connection; it grows for a longer head only.
const BUFFER: usize = 8 << 10;

/// How long it took to get a connection.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// TCP.
    pub connecting: Duration,
    /// TLS, when the URL asks for it.
    pub tls: Option<Duration>,
}

/// What the sender of a request needs to know of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The request was a HEAD, whose answer has no body whatever its head says.
    pub to_head: bool,
    /// Keep the headers.
    pub headers: bool,
    /// Keep the body, up to 1 MiB.
    pub body: bool,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, when they were wished for.
    pub headers: HeaderMap,
    /// The body, when it was wished for.
    pub body: Vec<u8>,
    /// When the head was there.
    pub head_at: Instant,
    /// When the body was read.
    pub end_at: Instant,
}

/// An open connection.
pub struct Connection {
    stream: Counted,
    buffer: Vec<u8>,
    /// It can carry nothing more.
    ended: bool,
}

impl Connection {
    /// Connects to the `number`-th address of the endpoint (round robin).
    pub async fn open(
        endpoint: &Endpoint,
        number: usize,
        traffic: &Rc<Traffic>,
    ) -> Result<(Self, Opened), ErrorKind> {
        let begin = Instant::now();
        let stream = endpoint.connect(number).await?;
        let connecting = begin.elapsed();
        let (stream, tls) = match endpoint.tls() {
            None => (Stream::Plain(stream), None),
            Some((connector, name)) => {
                let begin = Instant::now();
                let stream =
                    connector.connect(name, stream).await.map_err(|error| ErrorKind::of_tls(&error))?;
                (Stream::Tls(Box::new(stream)), Some(begin.elapsed()))
            }
        };
        let stream = Counted::new(stream, Rc::clone(traffic));
        Ok((Self { stream, buffer: vec![0; BUFFER], ended: false }, Opened { connecting, tls }))
    }

    /// Whether a request can be sent; notices that the server has hung up, or said something unasked, meanwhile.
    pub async fn usable(&mut self) -> bool {
        if !self.ended {
            self.ended = poll_fn(|cx| {
                let mut byte = [0; 1];
                let read = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte));
                Poll::Ready(read.is_ready())
            })
            .await;
        }
        !self.ended
    }

    /// Sends the bytes of one request and reads its answer. After an error the connection must be dropped.
    pub async fn exchange(&mut self, request: &[u8], wish: Wish) -> Result<Answer, ErrorKind> {
        let io = |error: std::io::Error| ErrorKind::of_io(&error);
        self.stream.write_all(request).await.map_err(io)?;
        self.stream.flush().await.map_err(io)?;
        let mut filled = 0;
        let mut head = loop {
            if filled > 0
                && let Some(head) = wire::head(&self.buffer[..filled], wish.to_head, wish.headers)?
            {
                match head.status {
                    101 => return Err(ErrorKind::Protocol),
                    // The answer follows its interim answers.
                    ..200 => {
                        self.buffer.copy_within(head.length..filled, 0);
                        filled -= head.length;
                        continue;
                    }
                    _ => break head,
                }
            }
            filled += self.read(filled).await?;
        };
        let head_at = Instant::now();
        let mut body = Vec::new();
        let mut keep = |part: &[u8]| {
            if wish.body {
                body.extend_from_slice(&part[..part.len().min(KEPT_BODY.saturating_sub(body.len()))]);
            }
        };
        let mut begin = head.length;
        loop {
            begin += head.body.take(&self.buffer[begin..filled], &mut keep)?;
            if head.body.is_done() {
                break;
            }
            (begin, filled) = (0, 0);
            filled = match (self.read(0).await, &head.body) {
                (Err(ErrorKind::Closed), wire::Framing::UntilClose) => break,
                (read, _) => read?,
            };
        }
        // Bytes past the answer are no answer to anything.
        self.ended = !head.keep_alive || begin < filled;
        Ok(Answer { status: head.status, headers: head.headers, body, head_at, end_at: Instant::now() })
    }

    /// Reads behind the `filled` bytes of the buffer; an end of the stream is [`ErrorKind::Closed`].
    async fn read(&mut self, filled: usize) -> Result<usize, ErrorKind> {
        if filled == self.buffer.len() {
            self.buffer.resize(filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[filled..]).await {
            Ok(0) => Err(ErrorKind::Closed),
            Ok(count) => Ok(count),
            Err(error) => Err(ErrorKind::of_io(&error)),
        }
    }
}

impl From<wire::Malformed> for ErrorKind {
    fn from(_: wire::Malformed) -> Self {
        Self::Protocol
    }
}
