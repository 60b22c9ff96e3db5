//! The connection as others use it: each call over it ends in time.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, poll};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::BUDGET;

/// Into how many parts a budget is cut.
const PARTS: u32 = 4;
/// What the runtime's clock, which ticks each millisecond, adds to a part.
const TICK: Duration = Duration::from_micros(500);

/// A timer that ends a part so much later than that was held up with its process.
const LATE: Duration = Duration::from_millis(4);
/// Turns of the runtime that a reply takes from the socket to who waits for it: the runtime looks at its sockets, the
/// connection's task reads, and its message arrives; one more for each task that was ready before.
const TURNS: u32 = 4;

/// A connection whose calls fail after [`BUDGET`] as a timeout. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Connection {
    inner: MultiplexedConnection,
    budget: Duration,
}

impl Connection {
    /// `inner` must have no time limit of its own.
    pub(super) fn new(inner: MultiplexedConnection) -> Self {
        Self { inner, budget: BUDGET }
    }

    /// The same connection with another time limit.
    pub(super) fn with_budget(&self, budget: Duration) -> Self {
        Self { inner: self.inner.clone(), budget }
    }

    /// Sends commands in one write and returns a reply for each, errors among them.
    ///
    /// # Errors
    /// When the connection breaks, or the replies do not come in time. Redis may have run the commands all the same.
    pub async fn send(&mut self, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        within(self.budget, self.inner.send_packed_commands(pipe, 0, pipe.len())).await
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        within(self.budget, self.inner.send_packed_command(command)).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipe: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        within(self.budget, self.inner.send_packed_commands(pipe, offset, count)).boxed()
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

/// Waits for `call` for as long as `budget`, of the time in which this process runs: a process that was held up (a CPU
/// limit does that for 50 ms and more) must not take its own delay for one of Redis. Each hold-up counts as a part, and
/// when the last part ended late, what Redis has sent meanwhile is read before the call counts as failed.
async fn within<T>(budget: Duration, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let mut call = pin!(call);
    let part = (budget / PARTS).saturating_sub(TICK);
    let mut late = false;
    for _ in 0..PARTS {
        let began = Instant::now();
        if let Ok(done) = timeout(part, &mut call).await {
            return done;
        }
        late = began.elapsed() > part + LATE;
    }
    if late {
        for _ in 0..TURNS {
            yield_now().await;
            if let Poll::Ready(done) = poll!(&mut call) {
                return done;
            }
        }
    }
    Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn call_fails_within_its_budget_when_no_reply_comes() {
        let start = Instant::now();
        let late = within(BUDGET, std::future::pending::<RedisResult<()>>()).await.unwrap_err();
        assert!(late.is_timeout());
        assert_eq!(start.elapsed(), BUDGET - Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn call_succeeds_when_the_process_was_held_up() {
        let call = async {
            sleep(Duration::from_millis(5)).await;
            advance(Duration::from_millis(80)).await;
            sleep(Duration::from_millis(5)).await;
            Ok(())
        };
        assert!(within(BUDGET, call).await.is_ok());
    }

    /// A process that is held up for 80 ms within the last part of a call; the connection's task runs `turns` turns later.
    async fn held_up_at_the_end(turns: u32) -> RedisResult<()> {
        let (reply, arrives) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            sleep(BUDGET - Duration::from_millis(8)).await;
            advance(Duration::from_millis(80)).await;
            for _ in 0..turns {
                yield_now().await;
            }
            let _ = reply.send(());
        });
        let call = async {
            arrives.await.unwrap();
            Ok(())
        };
        within(BUDGET, call).await
    }

    #[tokio::test(start_paused = true)]
    async fn reply_is_read_when_the_last_timer_fired_late() {
        for turns in [0, 1, 2] {
            assert!(held_up_at_the_end(turns).await.is_ok(), "{turns}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn call_fails_when_the_last_timer_fired_late_without_a_reply() {
        assert!(held_up_at_the_end(1000).await.unwrap_err().is_timeout());
    }
}
