//! The open model: requests are due at times that no answer can move. Whoever has a free connection takes the next
//! one, waits until it is due, and sends it; its latency counts from then, also when no connection was free in time.
//! So a stall of the service shows in every request that should have been sent during it (no coordinated omission).

use std::time::Instant;

use anyhow::Result;

use crate::load::connection::ErrorKind;
use crate::load::generator::alarm::Alarm;
use crate::load::generator::user::{Shared, User};
use crate::load::schedule::Schedule;

/// Serves arrivals until there are none left.
pub(super) async fn run(shared: &Shared, mut user: User, rate: &Schedule) -> Result<()> {
    let mut alarm = Alarm::new()?;
    while !shared.stopped.get() {
        // A connection is made before a request is due on it, so that the rate does not pay for it. When that
        // fails, the request itself tries once more and then says why.
        let _ = user.connect().await;
        let Some(due) = next(shared, rate) else { break };
        if due > Instant::now() {
            tokio::select! {
                rang = alarm.until(due) => rang?,
                () = shared.stop.cancelled() => break,
            }
            shared.tally.borrow_mut().late.record(due.elapsed());
        } else {
            shared.tally.borrow_mut().queued += 1;
        }
        let step = user.choose();
        user.request(step, Some(due)).await;
    }
    Ok(())
}

/// Counts the requests that were due but found no connection until the end: each waited at least this long.
pub(super) fn count_unsent(shared: &Shared, rate: &Schedule) {
    let now = Instant::now();
    while let Some(due) = next(shared, rate).filter(|due| *due <= now) {
        shared.tally.borrow_mut().lost(0, ErrorKind::NeverSent, Some(now - due));
    }
}

/// Takes the next arrival of this thread; the threads take turns.
fn next(shared: &Shared, rate: &Schedule) -> Option<Instant> {
    let index = shared.arrivals.get();
    shared.arrivals.set(index + 1);
    rate.arrival(index * shared.plan.threads as u64 + shared.worker as u64).map(|due| shared.begin + due)
}
