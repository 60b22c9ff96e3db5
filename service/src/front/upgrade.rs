//! What follows a 101: bytes both ways, in a protocol that is not looked at. An idle tunnel holds no buffer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long both sides may take to switch once the 101 is written.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);
/// How often a tunnel looks at its limit.
const TICK: Duration = Duration::from_secs(60);
/// For so many ticks, an hour, a tunnel may be silent. Protocols that live long send pings, each minute or so.
const IDLE_TICKS: u32 = 60;
/// Bytes that are moved at a time.
const ROOM: usize = 16 * 1024;

/// Carries bytes until one side fails, both have ended, or neither has sent anything for an hour.
pub(super) async fn tunnel(client: OnUpgrade, app: OnUpgrade) {
    let both = timeout(SWITCH_LIMIT, async { tokio::try_join!(client, app) }).await;
    let Ok(Ok((client, app))) = both else {
        tracing::debug!("a connection did not switch protocols");
        return;
    };
    let mut pipe = Pipe::new(TokioIo::new(client), TokioIo::new(app));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    while silent < IDLE_TICKS {
        tokio::select! {
            biased;
            // How it ends is the business of the two sides.
            _ = std::future::poll_fn(|cx| pipe.poll(cx)) => return,
            _ = ticks.tick() => silent = if std::mem::take(&mut pipe.moved) { 0 } else { silent + 1 },
        }
    }
}

/// Two streams, joined.
struct Pipe<A, B> {
    first: A,
    second: B,
    forth: Way,
    back: Way,
    moved: bool,
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
    fn new(first: A, second: B) -> Self {
        Self { first, second, forth: Way::default(), back: Way::default(), moved: true }
    }

    /// Ready once both directions have ended, or one has failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
