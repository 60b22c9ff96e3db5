//! Bytes both ways between two streams, in a protocol that is not looked at. An idle pipe holds no buffer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are moved at a time.
const ROOM: usize = 16 * 1024;

/// Two streams, joined: what one sends, the other gets.
pub(crate) struct Pipe<A, B> {
    first: A,
    second: B,
    forth: Way,
    back: Way,
    /// Whether bytes have moved since it was last set to false.
    pub(crate) moved: bool,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read, and not written yet.
    pending: Vec<u8>,
    written: usize,
    ended: bool,
}

impl<A, B> Pipe<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(first: A, second: B) -> Self {
        Self { first, second, forth: Way::default(), back: Way::default(), moved: true }
    }

    /// Ready once both directions have ended, or one has failed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let forth = self.forth.poll(cx, &mut self.first, &mut self.second, &mut self.moved)?;
        let back = self.back.poll(cx, &mut self.second, &mut self.first, &mut self.moved)?;
        if forth.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                (self.written, *moved) = (self.written + count, true);
            }
            (self.pending, self.written) = (Vec::new(), 0);
            if self.ended {
                return Pin::new(&mut *to).poll_shutdown(cx);
            }
            let mut room = [MaybeUninit::uninit(); ROOM];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if read.is_empty() {
                self.ended = true;
                continue;
            }
            *moved = true;
            match Pin::new(&mut *to).poll_write(cx, read)? {
                Poll::Ready(count) if count == read.len() => {}
                written => {
                    let count = if let Poll::Ready(count) = written { count } else { 0 };
                    self.pending = read.get(count..).unwrap_or_default().to_vec();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn all_bytes_arrive_when_both_sides_are_slow() {
        let ((mut client, first), (second, mut app)) = (duplex(7), duplex(5));
        let sent: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut pipe = Pipe::new(first, second);
        let (mut there, mut back) = (Vec::new(), Vec::new());
        let ends = async {
            let up = async {
                client.write_all(&sent).await.unwrap();
                client.shutdown().await.unwrap();
                client.read_to_end(&mut back).await.unwrap();
            };
            let down = async {
                app.read_to_end(&mut there).await.unwrap();
                // The other direction is open still.
                app.write_all(&there).await.unwrap();
                app.shutdown().await.unwrap();
            };
            tokio::join!(up, down);
        };
        let (carried, ()) = tokio::join!(std::future::poll_fn(|cx| pipe.poll(cx)), ends);
        carried.unwrap();
        assert!(there == sent && back == sent);
    }
}
