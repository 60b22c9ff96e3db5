//! A timeout for each of very many short waits in turn, without arming a timer for each.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// A timer that is moved only when it fires, which is once per timeout and not once per request.
pub struct Deadline {
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// Bounds each wait by `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, timer: Box::pin(sleep_until((Instant::now() + timeout).into())) }
    }

    /// Waits for `work`; `None` when it took longer than the timeout, counted from `since`.
    pub async fn wait<T>(&mut self, since: Instant, work: impl Future<Output = T>) -> Option<T> {
        let end = since + self.timeout;
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            while self.timer.as_mut().poll(cx).is_ready() {
                if Instant::now() >= end {
                    return Poll::Ready(None);
                }
                self.timer.as_mut().reset(end.into());
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_wait_has_the_whole_timeout_and_no_more() {
        let mut deadline = Deadline::new(Duration::from_secs(1));
        for _ in 0..5 {
            let nap = tokio::time::sleep(Duration::from_millis(300));
            assert!(deadline.wait(Instant::now(), nap).await.is_some());
        }
    }

    #[tokio::test]
    async fn a_wait_that_never_ends_is_cut() {
        let mut deadline = Deadline::new(Duration::from_millis(20));
        for _ in 0..2 {
            let begin = Instant::now();
            assert!(deadline.wait(begin, std::future::pending::<()>()).await.is_none());
            assert!(begin.elapsed() >= Duration::from_millis(20));
        }
    }
}
