//! A wake-up call that is on time. The runtime's timers count in milliseconds, which is longer than a loopback answer
//! takes, so an open loop would measure its own timer.

use std::io;
use std::time::Instant;

/// Wakes one task, again and again.
#[cfg(target_os = "linux")]
pub(crate) struct Alarm {
    // The one type of the runtime that waits for a descriptor of any kind without `unsafe`: it asks for something to
    // read from and nothing else, and a timer is read like a pipe.
    timer: tokio::net::unix::pipe::Receiver,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// A timer of the kernel (`timerfd`), exact to some ten microseconds.
    pub(crate) fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { timer: tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(timer)? })
    }

    /// Waits until `at`; at once when that is past.
    pub(crate) async fn until(&mut self, at: Instant) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let wait = at.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let tv_sec = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec, tv_nsec: i64::from(wait.subsec_nanos()) };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value },
        )?;
        // The event of an earlier call that was given up may still be noted; only the clock counts.
        while Instant::now() < at {
            self.timer.readable().await?;
            match self.timer.try_read(&mut [0; 8]) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Wakes one task, again and again.
#[cfg(not(target_os = "linux"))]
pub struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// The runtime's own timer.
    pub fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits until `at`.
    pub async fn until(&mut self, at: Instant) -> io::Result<()> {
        tokio::time::sleep_until(at.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_never_rings_early_also_after_a_wait_was_given_up() {
        let mut alarm = Alarm::new().unwrap();
        for millis in [3, 1, 7] {
            let given_up = tokio::time::timeout(
                Duration::from_millis(1),
                alarm.until(Instant::now() + Duration::from_millis(2)),
            );
            let _ = given_up.await;
            let at = Instant::now() + Duration::from_millis(millis);
            let rang = tokio::time::timeout(Duration::from_secs(10), alarm.until(at)).await;
            rang.expect("rings").expect("a timer");
            assert!(Instant::now() >= at);
        }
    }
}
