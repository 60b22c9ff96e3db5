//! The body of an answer to a client: the app's as it comes, or one of ours.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::forward::Answer;

/// The body of an answer.
pub enum FrontBody {
    /// A problem.
    Own(axum::body::Body),
    /// Of the app.
    App(Answer),
}

impl From<axum::body::Body> for FrontBody {
    fn from(body: axum::body::Body) -> Self {
        Self::Own(body)
    }
}

impl Body for FrontBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::App(answer) => Pin::new(answer).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::App(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::App(answer) => answer.size_hint(),
        }
    }
}
