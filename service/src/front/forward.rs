//! One exchange with an app: over which connection, and what becomes of a failure.
//!
//! Nothing is sent twice, but for a request without a body and with an idempotent method that met the end of a kept connection
//! before any byte of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::headers;
use super::pool::Lease;
use super::upstreams::{Reuse, Upstreams};
use crate::server::{RequestBody, Upload, has_plain_coding};

/// How long the app may take to begin an answer once it has the request, or some more of its body.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Connections that are tried for one request, when each ends before any of it is sent.
const ATTEMPTS: usize = 4;

/// Why an app did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No app takes connections.
    Unavailable,
    /// It broke the exchange off.
    Broken,
    /// Its answer cannot be forwarded.
    Malformed,
    /// It did not begin to answer in time.
    Late,
}

/// An answer of an app, which gives its connection back at the end.
pub struct Answer {
    incoming: Incoming,
    lease: Option<Kept>,
}

struct Kept {
    lease: Lease,
    /// The connection is free once the request has been sent, too.
    upload: Upload,
    announced: Option<u64>,
}

/// Sends a request to an app.
pub(super) async fn exchange(
    upstreams: &Upstreams,
    request: Request<RequestBody>,
) -> Result<Response<Answer>, Failure> {
    let upload = request.body().upload();
    let mut spare = is_repeatable(&request).then(|| copy(&request));
    let (mut request, mut reuse) = (request, Reuse::Allowed);
    for _ in 0..ATTEMPTS {
        let Some(mut lease) = upstreams.lease(reuse).await else {
            upstreams.metrics.unavailable.inc();
            return Err(Failure::Unavailable);
        };
        reuse = Reuse::Refused;
        match upload.bound(ANSWER_LIMIT, lease.send(request)).await {
            // A body with a coding of one hop would reach the client without the field that says so.
            Some(Ok(response)) if !has_plain_coding(response.headers()) => {
                tracing::warn!("{} answers with an unsupported transfer coding", lease.peer().endpoint);
                upstreams.metrics.broken.inc();
                return Err(Failure::Malformed);
            }
            Some(Ok(response)) => return Ok(answer(response, lease, upload)),
            Some(Err(mut failed)) => {
                let unsent = failed.take_message();
                tracing::debug!(error = %failed.into_error(), "the app broke a request off");
                let again = || spare.take().filter(|_| lease.reused && !lease.has_heard());
                let Some(next) = unsent.or_else(again) else { break };
                upstreams.metrics.resent.inc();
                request = next;
            }
            None => {
                upstreams.metrics.late.inc();
                tracing::warn!("{} did not answer in {} s", lease.peer().endpoint, ANSWER_LIMIT.as_secs());
                return Err(Failure::Late);
            }
        }
    }
    upstreams.metrics.broken.inc();
    Err(Failure::Broken)
}

fn answer(response: Response<Incoming>, lease: Lease, upload: Upload) -> Response<Answer> {
    let announced = headers::keep_alive(response.headers());
    response.map(|incoming| {
        let mut answer = Answer { incoming, lease: Some(Kept { lease, upload, announced }) };
        answer.give_back_at_end();
        answer
    })
}

/// A method of which the second time changes nothing (RFC 9110, 9.2.2), and no body that is gone by then.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    request.body().is_end_stream() && request.method().is_idempotent()
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

impl Answer {
    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(Kept { lease, upload, announced }) = self.lease.take()
            && upload.is_over()
        {
            lease.give_back(announced);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &mut polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::trailers_to_client(trailers);
                }
                self.give_back_at_end();
            }
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
