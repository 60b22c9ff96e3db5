//! The task that looks at the own app and says what changed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::health::{self, Look, look};
use super::pool::Peer;
use super::upstreams::Upstreams;

/// Between two looks, once the app was healthy.
const EVERY: Duration = Duration::from_secs(1);
/// Before, so that an app which has started is soon served.
const EVERY_AT_FIRST: Duration = Duration::from_millis(200);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Looks at the own app, each second once it is ready; runs until it is dropped.
pub(super) async fn watch(upstreams: Arc<Upstreams>, settings: health::Settings) {
    let mut changes = upstreams.changes();
    loop {
        let own = changes.borrow_and_update().first().cloned();
        if let Some(own) = own {
            let look = timeout(LIMIT, look(&own, &settings)).await;
            let look = look.unwrap_or_else(|_| Look::Failed(io::ErrorKind::TimedOut.into()));
            // Another one may have taken its place meanwhile.
            if upstreams.own().is_some_and(|now| Arc::ptr_eq(&now, &own)) {
                note(&upstreams, &own, &look);
            }
        }
        upstreams.sweep();
        let pause = if upstreams.is_ready() { EVERY } else { EVERY_AT_FIRST };
        tokio::select! { () = sleep(pause) => {}, _ = changes.changed() => {} }
    }
}

fn note(upstreams: &Upstreams, own: &Peer, look: &Look) {
    if let Look::Failed(error) = look
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        upstreams.refused(own, error);
    }
    upstreams.update_health(|health| {
        let (ready, error) = (health.is_ready(), health.error.clone());
        health.note(look);
        match &health.error {
            Some(why) if error.as_ref() != Some(why) => tracing::warn!("{why}"),
            None if !ready => tracing::info!("the app at {} is ready", own.endpoint),
            _ => {}
        }
    });
}
