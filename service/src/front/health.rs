//! Whether the app answers. Its health decides when the front becomes ready; after that only silence counts, for the health of
//! an app often asks its database, which is away for all replicas at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};
use tokio::time::{sleep, timeout};

use super::pool::Peer;
use super::upstreams::Upstreams;
use crate::server::RequestBody;

/// Between two looks, once the app was healthy.
const EVERY: Duration = Duration::from_secs(1);
/// Before, so that an app which has started is soon served.
const EVERY_AT_FIRST: Duration = Duration::from_millis(200);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// So many looks in a row without an answer make the front unready.
const MISSES: u32 = 3;

/// What is asked.
#[derive(Clone)]
pub struct Settings {
    /// The path of the app's health; a TCP connect without one.
    pub path: Option<Uri>,
    /// The `Host` of the request.
    pub host: HeaderValue,
}

/// What is known of the own app.
#[derive(Default)]
pub(super) struct Health {
    /// Whether it was healthy once.
    was_healthy: bool,
    misses: u32,
    /// The last status of its health.
    pub(super) last_status: Option<u16>,
    /// Why it is not healthy.
    pub(super) error: Option<String>,
}

/// What one look found.
enum Look {
    /// It accepts connections, and nothing else is asked.
    Connected,
    Answered(StatusCode),
    Failed(io::Error),
}

impl Health {
    pub(super) fn is_ready(&self) -> bool {
        self.was_healthy && self.misses < MISSES
    }

    fn note(&mut self, look: &Look) {
        match look {
            Look::Connected => (self.was_healthy, self.misses, self.error) = (true, 0, None),
            Look::Answered(status) => {
                (self.misses, self.last_status) = (0, Some(status.as_u16()));
                let good = status.is_success() || status.is_redirection();
                self.was_healthy |= good;
                self.error = (!good).then(|| format!("the health of the app answers {status}"));
            }
            Look::Failed(error) => {
                self.misses = self.misses.saturating_add(1);
                self.error = Some(format!("the app does not answer: {error}"));
            }
        }
    }
}

/// Looks at the own app, each second once it is ready; runs until it is dropped.
pub(super) async fn watch(upstreams: Arc<Upstreams>, settings: Settings) {
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

async fn look(own: &Arc<Peer>, settings: &Settings) -> Look {
    let Some(path) = &settings.path else {
        return own.connect().await.map_or_else(Look::Failed, |_| Look::Connected);
    };
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = path.clone();
    request.headers_mut().insert(HOST, settings.host.clone());
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    match own.fresh().await {
        Ok(mut lease) => match lease.send(request).await {
            Ok(response) => Look::Answered(response.status()),
            Err(failed) => Look::Failed(io::Error::other(failed.into_error())),
        },
        Err(error) => Look::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(looks: &[Look]) -> Health {
        let mut health = Health::default();
        looks.iter().for_each(|look| health.note(look));
        health
    }

    fn silent() -> Look {
        Look::Failed(io::ErrorKind::TimedOut.into())
    }

    #[test]
    fn app_is_ready_from_its_first_success_on() {
        assert!(!after(&[]).is_ready());
        assert!(!after(&[Look::Answered(StatusCode::SERVICE_UNAVAILABLE), silent()]).is_ready());
        assert!(!after(&[Look::Answered(StatusCode::NOT_FOUND)]).is_ready());
        assert!(after(&[silent(), Look::Answered(StatusCode::FOUND)]).is_ready());
        assert!(after(&[Look::Connected]).is_ready());
    }

    #[test]
    fn error_of_its_health_leaves_the_app_ready() {
        let good = Look::Answered(StatusCode::OK);
        let bad = || Look::Answered(StatusCode::INTERNAL_SERVER_ERROR);
        let health = after(&[good, bad(), bad(), bad(), bad()]);
        assert!(health.is_ready());
        assert_eq!(health.last_status, Some(500));
        assert!(health.error.unwrap().contains("500"));
    }

    #[test]
    fn app_is_unready_after_three_silent_looks() {
        assert!(after(&[Look::Connected, silent(), silent()]).is_ready());
        assert!(!after(&[Look::Connected, silent(), silent(), silent()]).is_ready());
        let back =
            after(&[Look::Connected, silent(), silent(), silent(), Look::Answered(StatusCode::BAD_GATEWAY)]);
        assert!(back.is_ready(), "it answers");
    }
}
