//! One keep-alive HTTP/1.1 connection of one virtual user: connect, send, read, say what went wrong and count bytes.
//!
//! hyper's connection is driven inside the task that waits for the answer, so that a request costs no hand-over
//! between tasks. No pool, no retry, no redirect: what the server does is what is measured.

mod deadline;
mod endpoint;
mod kind;
mod stream;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection as Driver, SendRequest};
use hyper_util::rt::TokioIo;

pub use deadline::Deadline;
pub use endpoint::Endpoint;
pub use kind::ErrorKind;
use stream::{Counted, Stream};

/// Most bytes of a body that are kept for checks; the rest is read and counted only.
const KEPT_BODY: usize = 1 << 20;

/// Bytes through all sockets of one thread.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes written.
    pub sent: Cell<u64>,
    /// Bytes read.
    pub received: Cell<u64>,
}

/// How long it took to get a connection.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// TCP.
    pub connecting: Duration,
    /// TLS, when the URL asks for it.
    pub tls: Option<Duration>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: Response<()>,
    /// The body, when it was asked for.
    pub body: Bytes,
    /// When the head was there.
    pub head_at: Instant,
    /// When the body was read.
    pub end_at: Instant,
}

/// An open connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver<TokioIo<Counted>, Full<Bytes>>,
    /// The driver has ended: the connection can carry nothing more.
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
        let io = TokioIo::new(Counted::new(stream, Rc::clone(traffic)));
        let (sender, driver) =
            hyper::client::conn::http1::handshake(io).await.map_err(|error| ErrorKind::of_hyper(&error))?;
        Ok((Self { sender, driver, ended: false }, Opened { connecting, tls }))
    }

    /// Whether a request can be sent; also notices that the server has hung up meanwhile.
    pub async fn usable(&mut self) -> bool {
        if !self.ended {
            self.ended = poll_fn(|cx| Poll::Ready(Pin::new(&mut self.driver).poll(cx).is_ready())).await;
        }
        !self.ended && !self.sender.is_closed()
    }

    /// Sends one request and reads its answer. After an error the connection must be dropped.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        keep_body: bool,
    ) -> Result<Answer, ErrorKind> {
        let sender = &mut self.sender;
        let work = async move {
            sender.ready().await?;
            let (head, body) = sender.send_request(request).await?.into_parts();
            let head_at = Instant::now();
            let body = read(body, keep_body).await?;
            let head = Response::from_parts(head, ());
            Ok::<_, hyper::Error>(Answer { head, body, head_at, end_at: Instant::now() })
        };
        let mut work = pin!(work);
        let (driver, ended) = (&mut self.driver, &mut self.ended);
        let answer = poll_fn(|cx| {
            // Handing the request over, writing it, and noticing that the answer is there take a turn each.
            for _ in 0..2 {
                if let Poll::Ready(answer) = work.as_mut().poll(cx) {
                    return Poll::Ready(answer);
                }
                if !*ended && Pin::new(&mut *driver).poll(cx).is_ready() {
                    *ended = true;
                }
            }
            work.as_mut().poll(cx)
        });
        answer.await.map_err(|error| ErrorKind::of_hyper(&error))
    }
}

async fn read(mut body: Incoming, keep: bool) -> hyper::Result<Bytes> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let (true, Some(data)) = (keep, frame?.data_ref()) {
            kept.extend_from_slice(&data[..data.len().min(KEPT_BODY.saturating_sub(kept.len()))]);
        }
    }
    Ok(kept.freeze())
}
