//! The bodies of an exchange, which say whether their connection waits for its client, or its client for an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use tokio::time::{Instant, timeout};

use super::stream::{Answering, Pulse, Uploading};

/// How often a wait for an answer looks at the body that the answer is to.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A body that is still coming, or none.
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Until the body has come, the connection waits for its client and not for a head.
    busy: Option<Uploading>,
    trailers: Option<TrailerFilter>,
}

/// Takes out of the trailers of a request what may not pass.
pub type TrailerFilter = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// Whether a body moves.
#[derive(Clone)]
pub struct Upload(Option<Arc<Pulse>>);

impl Upload {
    /// What `answer` gives; none when it takes longer than `limit` after the last of the body was taken. While the client is waited for,
    /// nothing is counted: how long it may stall is the connection's business.
    pub async fn bound<T>(&self, limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
        let Some(pulse) = &self.0 else { return timeout(limit, answer).await.ok() };
        let mut answer = std::pin::pin!(answer);
        let mut since = Instant::now();
        loop {
            match timeout(LOOK_EVERY, &mut answer).await {
                Ok(answer) => return Some(answer),
                Err(_) if pulse.take_uploaded() || pulse.is_waiting() => since = Instant::now(),
                Err(_) if since.elapsed() >= limit => return None,
                Err(_) => {}
            }
        }
    }

    /// Whether all of it was taken. One that was given up is not over: its rest may still come.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|pulse| !pulse.is_uploading())
    }
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { incoming: None, busy: None, trailers: None }
    }

    pub(super) fn new(incoming: Incoming, pulse: &Arc<Pulse>) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self { incoming: Some(incoming), busy: Some(pulse.uploading()), trailers: None }
    }

    /// Lets this filter see the trailers first.
    pub fn filter_trailers(&mut self, filter: &TrailerFilter) {
        if self.incoming.is_some() {
            self.trailers = Some(filter.clone());
        }
    }

    /// To follow the body once it is given away.
    pub fn upload(&self) -> Upload {
        Upload(self.busy.as_ref().map(Uploading::pulse))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming: Some(incoming), busy, trailers } = &mut *self else { return Poll::Ready(None) };
        let mut polled = Pin::new(&mut *incoming).poll_frame(cx);
        let whole = match &mut polled {
            Poll::Pending => {
                if let Some(busy) = busy {
                    busy.waits();
                }
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(filter), Some(trailers)) = (trailers, frame.trailers_mut()) {
                    filter(trailers);
                }
                incoming.is_end_stream()
            }
            Poll::Ready(Some(Err(_))) => {
                *busy = None;
                false
            }
            Poll::Ready(None) => true,
        };
        if let Some(busy) = busy {
            busy.uploaded();
        }
        if whole && let Some(busy) = busy.take() {
            busy.finish();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer, until which is sent the connection is not idle.
pub(super) struct ResponseBody<B> {
    body: B,
    _answering: Answering,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(body: B, pulse: &Arc<Pulse>) -> Self {
        Self { body, _answering: pulse.answering() }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn app_that_stays_silent_after_a_body_is_late() {
        let pulse = Arc::new(Pulse::default());
        let uploading = pulse.uploading();
        let (upload, began) = (Upload(Some(pulse)), Instant::now());
        let body = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(50)).await;
                uploading.uploaded();
            }
            uploading.waits();
            sleep(LIMIT * 9).await;
            uploading.uploaded();
            uploading.finish();
            pending::<()>().await;
        };
        let late = async { upload.bound(LIMIT, pending::<()>()).await };
        tokio::select! { () = body => {}, late = late => assert_eq!(late, None) }
        let sent = Duration::from_secs(500) + LIMIT * 9;
        let late = began.elapsed().saturating_sub(sent);
        assert!((LIMIT..LIMIT + 2 * LOOK_EVERY).contains(&late), "{late:?} after the end of the body");
        assert_eq!(Upload(None).bound(LIMIT, pending::<()>()).await, None);
    }

    #[test]
    fn body_that_was_given_up_is_not_over() {
        let pulse = Arc::new(Pulse::default());
        let upload = Upload(Some(pulse.clone()));
        drop(pulse.uploading());
        assert!(!upload.is_over() && !pulse.is_busy());
        pulse.uploading().finish();
        assert!(upload.is_over() && !pulse.is_busy());
    }
}
