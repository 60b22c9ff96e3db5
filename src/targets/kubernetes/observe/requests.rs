//! Carries the HTTP/1.1 requests of one connection to pods. A connection outlives its pod: each request goes to a pod that
//! stays, and a request without an answer whose pod has left goes to another one, if it only reads. What a pod that stays does
//! to a connection is passed on: it is the service's own.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::targets::kubernetes::observe::exits::{Exits, Way};

const BUFFER: usize = 16 << 10;
/// A longer request is not kept, and not sent again.
const KEPT: usize = 256 << 10;
/// How long a connection stays open after its pod has left. The end of the connection may be the end of an answer, so it is
/// passed on; a caller that uses the connection before is not cut off.
const LINGER: Duration = Duration::from_secs(1);
/// A request with more headers is not recognised as one.
const HEADERS: usize = 128;

/// The request that is under way.
#[derive(Default)]
struct Request {
    /// What the caller has sent of it so far.
    bytes: Vec<u8>,
    /// A byte of its answer has arrived; before the first request, that is so too.
    answered: bool,
}

impl Request {
    /// Notes what the caller sends next; whether a new request begins with it.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let begins = self.answered && begins_request(bytes);
        if begins {
            (self.answered, self.bytes) = (false, Vec::new());
        }
        if !self.answered && self.bytes.len() <= KEPT {
            self.bytes.extend_from_slice(bytes);
        }
        begins
    }

    /// Whether it may be sent a second time: it has no answer yet, and it changes nothing (RFC 9110, section 9.2.1).
    fn is_repeatable(&self) -> bool {
        let reads = [b"GET ".as_slice(), b"HEAD "].into_iter().any(|method| self.bytes.starts_with(method));
        !self.answered && reads && self.bytes.len() <= KEPT
    }
}

/// What happened on a connection.
enum Event {
    Sent(usize),
    Received(usize),
    /// The caller has gone, or will send nothing more.
    Left,
    /// The way to the pod has ended.
    Cut,
}

/// Carries requests until the caller leaves or the service closes the connection.
pub(crate) async fn carry(exits: &Exits, mut way: Way, mut near: TcpStream) {
    let mut request = Request { answered: true, ..Request::default() };
    let (mut sent, mut received) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let event = tokio::select! {
            read = near.read(&mut sent) => read.map_or(Event::Left, |count| match count {
                0 => Event::Left,
                count => Event::Sent(count),
            }),
            read = way.link.stream.read(&mut received) => read.map_or(Event::Cut, |count| match count {
                0 => Event::Cut,
                count => Event::Received(count),
            }),
        };
        match event {
            Event::Left => return,
            Event::Received(count) => {
                request.answered = true;
                if near.write_all(&received[..count]).await.is_err() {
                    return;
                }
            }
            Event::Sent(count) => {
                if request.take(&sent[..count]) && !exits.takes(&way.pod) {
                    let Some(other) = exits.open().await else { return };
                    way = other;
                }
                // A way that has ended is seen when it is read.
                let _ = way.link.stream.write_all(&sent[..count]).await;
            }
            Event::Cut => match follow(exits, way, &mut request, &mut near).await {
                Some(other) => way = other,
                None => return,
            },
        }
    }
}

/// After the way has ended: another one, with the request that is under way sent to it, or `None` when the caller's connection
/// ends too.
async fn follow(exits: &Exits, way: Way, request: &mut Request, near: &mut TcpStream) -> Option<Way> {
    let follows = if request.answered {
        // The end of an answer, perhaps, which the caller waits for.
        exits.is_leaving(&way.pod)
    } else {
        request.is_repeatable() && exits.leaves(&way.pod).await
    };
    if !follows {
        if !request.answered || request.bytes.is_empty() {
            exits.blame(way).await;
        }
        return None;
    }
    if request.answered {
        let mut sent = vec![0; BUFFER];
        let count = timeout(LINGER, near.read(&mut sent)).await.ok()?.ok().filter(|count| *count > 0)?;
        if !request.take(&sent[..count]) {
            return None;
        }
    }
    let mut other = exits.open().await?;
    let _ = other.link.stream.write_all(&request.bytes).await;
    Some(other)
}

/// Whether bytes of the caller are the beginning of a request; else they are the rest of a body.
fn begins_request(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    httparse::Request::new(&mut headers).parse(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_repeatable_until_its_answer_begins() {
        let mut request = Request { answered: true, ..Request::default() };
        assert!(!request.is_repeatable(), "nothing was sent");
        assert!(request.take(b"GET / HTTP/1.1\r\n"));
        assert!(!request.take(b"host: a\r\n\r\n"), "the rest of the same one");
        assert_eq!(request.bytes, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(request.is_repeatable());
        request.answered = true;
        assert!(!request.is_repeatable());
        assert!(request.take(b"POST / HTTP/1.1\r\n\r\n") && !request.is_repeatable());
    }

    #[test]
    fn rest_of_a_body_begins_no_request() {
        let mut request = Request { answered: true, ..Request::default() };
        assert!(request.take(b"PUT /a HTTP/1.1\r\ncontent-length: 9\r\n\r\n"));
        // An early answer.
        request.answered = true;
        assert!(!request.take(b"{\"a\": 1}\n"));
        assert!(!begins_request(b"\x00\x01") && begins_request(b"HEAD / HT"));
    }

    #[test]
    fn long_request_is_not_repeatable() {
        let mut request = Request { answered: true, ..Request::default() };
        request.take(b"GET / HTTP/1.1\r\n\r\n");
        request.take(&vec![b'a'; KEPT]);
        assert!(!request.is_repeatable());
    }
}
