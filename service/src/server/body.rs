//! The bodies of an exchange, which say whether their connection waits for its client, or its client for an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::stream::{Answering, Pulse, Uploading};

/// A body that is still coming, or none.
pub struct RequestBody {
    incoming: Option<Incoming>,
    /// Until the body has come, the connection waits for its client and not for a head.
    busy: Option<Uploading>,
}

/// Whether a body moves.
#[derive(Clone)]
pub struct Upload(Option<Arc<Pulse>>);

impl Upload {
    /// Whether some of the body was taken since this was asked last.
    pub fn has_moved(&self) -> bool {
        self.0.as_ref().is_some_and(|pulse| pulse.take_uploaded())
    }

    /// Whether all of it was taken, or it was given up.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_none_or(|pulse| !pulse.is_uploading())
    }
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self { incoming: None, busy: None }
    }

    pub(super) fn new(incoming: Incoming, pulse: &Arc<Pulse>) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self { incoming: Some(incoming), busy: Some(pulse.uploading()) }
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
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *incoming).poll_frame(cx);
        let over = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(_))) => incoming.is_end_stream(),
            Poll::Ready(_) => true,
        };
        if let Some(busy) = &self.busy {
            busy.uploaded();
        }
        if over {
            self.busy = None;
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
