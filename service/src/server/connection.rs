//! One connection: how long it may take, and how it ends without cutting off its client.
//!
//! It looks at its limits from time to time instead of setting a timer for each request: that costs nothing per request,
//! and none of the limits is needed to the millisecond.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::body::{RequestBody, ResponseBody};
use super::faults::{self, Fault};
use super::stream::{Pulse, Stream};
use super::{Handler, Stages};
use crate::problem::Problem;

/// How often a connection looks at its limits.
const TICK: Duration = Duration::from_millis(500);
/// How long a client may take to send the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(15);
/// How long an idle connection is kept: longer than proxies keep theirs (60 s), so that they leave first.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
/// The same while draining, for a request that is on its way.
const LAST_IDLE: Duration = Duration::from_secs(5);
/// How long a client may stall within a request or an answer. Longer than any operation on a store may take.
const STALL_LIMIT: Duration = Duration::from_secs(90);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 64 * 1024;
/// The same where answers are long: as much of one is buffered. nginx takes as long ones.
const MOST_STREAMED: usize = 32 * 1024;
/// Of a head that says twice where its request ends, or that follows chunks which do.
const DOUBTFUL: Fault = Fault(
    StatusCode::BAD_REQUEST,
    "ambiguous framing: both Content-Length and Transfer-Encoding, or a bare line feed in the chunks before",
);

/// Serves one client until it leaves or has to.
pub(super) async fn serve<H: Handler>(stream: TcpStream, peer: SocketAddr, handler: Arc<H>, stages: Stages) {
    if stream.set_nodelay(true).is_err() {
        return; // The client is gone already.
    }
    let pulse = Arc::new(Pulse::default());
    let (of_requests, drain) = (pulse.clone(), Arc::new(stages.drain.clone()));
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, pulse, drain) = (handler.clone(), of_requests.clone(), drain.clone());
        let (busy, doubtful) = (pulse.busy(), pulse.begin_request());
        async move {
            let request = request.map(|body| RequestBody::new(body, &pulse));
            let fault = if doubtful { Some(DOUBTFUL) } else { faults::fault(&request) };
            let mut response = match fault {
                Some(fault) => refuse(fault).map(H::Body::from),
                None => handler.handle(peer, request).await,
            };
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                pulse.tunnel();
            } else if drain.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(busy);
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, &pulse)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(if H::STREAMS { MOST_STREAMED } else { MOST_HEAD });
    if !H::STREAMS {
        // Else hyper looks for the client's end while a request is answered, into a buffer of its own: 8 KiB, per request. A
        // client that has closed its side gets its answer; one that is gone is met when the answer is written. And answers
        // are short: to copy one behind its head costs less than to write both in parts.
        builder.half_close(true).writev(false);
    }
    let stream = TokioIo::new(Stream::new(stream, pulse.clone()));
    let mut connection = pin!(builder.serve_connection(stream, service).with_upgrades());
    let mut limits = Limits::new(Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // An error of the connection is the client's own business.
            _ = connection.as_mut() => return,
            _ = ticks.tick() => {}
        }
        if stages.end.is_cancelled() {
            return;
        }
        match limits.judge(&pulse, stages.drain.is_cancelled(), Instant::now()) {
            Verdict::Stay => {}
            Verdict::Leave => pulse.leave(),
            Verdict::CutOff => return,
        }
    }
}

/// Where one request ends is in doubt when its head is malformed, so nothing more is read.
fn refuse(Fault(status, detail): Fault) -> Response<Body> {
    let mut response = Problem::new(status, detail).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It goes on.
    Stay,
    /// It ends unless a request is there by now.
    Leave,
    /// It ends.
    CutOff,
}

/// Since when what is limited lasts.
struct Limits {
    /// Since when no byte has moved.
    quiet: Instant,
    /// Since when the head of a request has been coming.
    head: Option<Instant>,
}

impl Limits {
    fn new(now: Instant) -> Self {
        Self { quiet: now, head: None }
    }

    fn judge(&mut self, pulse: &Pulse, draining: bool, now: Instant) -> Verdict {
        if pulse.take_moved() {
            self.quiet = now;
        }
        // What comes while an answer is being sent is looked at behind it.
        let head = pulse.is_partial() && !pulse.is_answering();
        self.head = head.then(|| self.head.unwrap_or(now));
        let quiet = now - self.quiet;
        if self.head.is_some_and(|head| now - head >= HEAD_LIMIT) {
            Verdict::CutOff
        } else if pulse.is_answering() && !pulse.is_blocked() {
            // Events may be rare, in both directions.
            Verdict::Stay
        } else if pulse.is_busy() || pulse.is_blocked() {
            if quiet >= STALL_LIMIT { Verdict::CutOff } else { Verdict::Stay }
        } else if self.head.is_none() && quiet >= if draining { LAST_IDLE } else { IDLE_LIMIT } {
            Verdict::Leave
        } else {
            Verdict::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_let_go_and_a_slow_one_cut_off() {
        let (pulse, start) = (Arc::new(Pulse::default()), Instant::now());
        let mut limits = Limits::new(start);
        let mut at = |pulse: &Pulse, draining, after| limits.judge(pulse, draining, start + after);
        assert_eq!(at(&pulse, false, LAST_IDLE), Verdict::Stay);
        assert_eq!(at(&pulse, true, LAST_IDLE), Verdict::Leave);
        assert_eq!(at(&pulse, false, IDLE_LIMIT), Verdict::Leave);
        let busy = pulse.busy();
        assert_eq!(at(&pulse, true, STALL_LIMIT - TICK), Verdict::Stay, "its answer is being made");
        assert_eq!(at(&pulse, true, STALL_LIMIT), Verdict::CutOff);
        drop(busy);
        let answer = pulse.answering();
        assert_eq!(at(&pulse, true, STALL_LIMIT * 9), Verdict::Stay, "events are rare");
        let upload = pulse.uploading();
        assert_eq!(at(&pulse, true, STALL_LIMIT * 9), Verdict::Stay, "in both directions");
        upload.finish();
        pulse.heard();
        assert_eq!(at(&pulse, false, STALL_LIMIT * 9), Verdict::Stay);
        let began = IDLE_LIMIT * 10;
        assert_eq!(
            at(&pulse, false, began),
            Verdict::Stay,
            "the next request waits for the end of the answer"
        );
        drop(answer);
        pulse.heard();
        assert_eq!(at(&pulse, true, began), Verdict::Stay, "a request is coming");
        pulse.heard();
        assert_eq!(at(&pulse, true, began + HEAD_LIMIT - TICK), Verdict::Stay);
        assert_eq!(at(&pulse, true, began + HEAD_LIMIT), Verdict::CutOff, "byte by byte is no way round it");
    }
}
