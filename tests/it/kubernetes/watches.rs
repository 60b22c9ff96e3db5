//! Watches of the test's API server.

use bytes::Bytes;
use futures_util::StreamExt;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::broadcast;

use super::api::Body;
use super::store::Key;

/// What changed since the version that the other side has, and what changes from now on, as long as the other side listens.
pub(super) fn watch(
    missed: Vec<(Key, Value)>,
    changes: broadcast::Receiver<(Key, Value)>,
    key: Key,
    selector: String,
) -> Response<Body> {
    let events = futures_util::stream::unfold(changes, |mut changes| async move {
        changes.recv().await.ok().map(|change| (change, changes))
    });
    let lines = futures_util::stream::iter(missed).chain(events).filter_map(move |(of, event)| {
        let fits = of.plural == key.plural && super::store::selected(&event["object"], &selector);
        async move { fits.then(|| Ok(Frame::data(Bytes::from(format!("{event}\n"))))) }
    });
    Response::builder()
        .header("content-type", "application/json")
        .body(BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(lines)))))
        .unwrap()
}

/// A stream that only one task polls.
struct SyncStream(
    std::pin::Pin<
        Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, std::convert::Infallible>> + Send + Sync>,
    >,
);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

pub(super) fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}
