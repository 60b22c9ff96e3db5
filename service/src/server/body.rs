//! The body of a request, which keeps its connection busy until it has come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::stream::{Pulse, Uploading};

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
