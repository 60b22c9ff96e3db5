//! What follows a 101: bytes both ways, in a protocol that is not looked at.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::pipe::Pipe;

/// How long both sides may take to switch once the 101 is written.
const SWITCH_LIMIT: Duration = Duration::from_secs(10);
/// How often a tunnel looks at its limit.
const TICK: Duration = Duration::from_secs(60);
/// For so many ticks, an hour, a tunnel may be silent. Protocols that live long send pings, each minute or so.
const IDLE_TICKS: u32 = 60;

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
