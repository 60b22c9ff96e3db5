//! The closed model: a user sends, waits for the answer, thinks, sends again. A slow service slows its users down,
//! as it does people; so this model cannot show what a stall costs those who would have come meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::generator::user::{Shared, User};
use crate::load::schedule::Schedule;

/// A user without a connection tries again after this, however short its think time.
const RETRY: Duration = Duration::from_millis(100);

/// Plays one user until its schedule ends.
pub(super) async fn run(
    shared: &Shared,
    mut user: User,
    users: &Schedule,
    think_time: Duration,
) -> Result<()> {
    while !shared.stopped.get() {
        let now = Instant::now().saturating_duration_since(shared.begin);
        let before = Instant::now() < shared.begin;
        let Some(start) = users.active_from(user.number, now) else { break };
        if before || start > now {
            if !shared.sleep_until(shared.begin + start).await {
                break;
            }
            continue;
        }
        let step = user.choose();
        let sent = user.request(step, None).await;
        let pause = if sent { think_time } else { think_time.max(RETRY) };
        if !pause.is_zero() {
            let wake = Instant::now() + pause;
            let then = wake.saturating_duration_since(shared.begin);
            if users.active_from(user.number, then).is_none() {
                break;
            }
            if !shared.sleep_until(wake).await {
                break;
            }
            shared.tally.borrow_mut().late.record(wake.elapsed());
        }
    }
    Ok(())
}
