//! Whether the app answers. Its health decides when the front becomes ready; after that only silence counts, for the health of
//! an app often asks its database, which is away for all replicas at once.

use std::io;
use std::sync::Arc;

use super::pool::Peer;
use crate::server::RequestBody;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};

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
pub(super) enum Look {
    /// It accepts connections, and nothing else is asked.
    Connected,
    Answered(StatusCode),
    Failed(io::Error),
}

impl Health {
    pub(super) fn is_ready(&self) -> bool {
        self.was_healthy && self.misses < MISSES
    }

    pub(super) fn note(&mut self, look: &Look) {
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

/// Looks at an app once, without a limit of time.
pub(super) async fn look(own: &Arc<Peer>, settings: &Settings) -> Look {
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
