//! Requests as a simulated client, each over a connection of its own unless told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use appforge_service::status::Statusz;
use appforge_service::{contract, probe};
use http::{Request, StatusCode};
use http_body_util::Full;

use crate::stack::Stack;
use crate::stack::values::Secret;
use crate::targets::admin;
pub(super) use crate::targets::admin::Answer;
use crate::targets::subject::ServiceAddress;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a signature is valid.
const VALID: u64 = 300;

/// The header of a client that nobody was before.
pub(super) fn fresh_client(secret: &Secret) -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system gave no randomness")?;
    let client = format!("verify-{:016x}", u64::from_ne_bytes(bytes));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(probe::sign(secret.reveal().as_bytes(), &client, now + VALID))
}

/// `GET` over a connection of its own, as the client of the header.
pub(super) async fn get(service: &ServiceAddress, path: &str, client: Option<&str>) -> Result<Answer> {
    let base = service.url.as_str();
    let (scheme, host) = base.split_once("://").unwrap_or(("http", base));
    let whole = async {
        let mut request = Request::get(path).header(http::header::HOST, host);
        if let Some(client) = client {
            request = request.header(contract::PROBE_HEADER, client);
        }
        let request = request.body(Full::default())?;
        let answer = if scheme == "https" {
            admin::send(admin::connect_tls(base, &service.accept).await?, request).await?
        } else {
            admin::send(admin::connect(base.to_owned()).await?, request).await?
        };
        admin::read(answer).await
    };
    let limited = tokio::time::timeout(LIMIT, whole).await;
    limited.with_context(|| format!("{base}{path} gave no answer within {}s", LIMIT.as_secs()))?
}

/// What checks of the limiter ask the service for.
pub(super) struct Question {
    path: String,
    is_own: bool,
}

/// What became of a request, as far as the limiter decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Limited,
    /// 503 of the service or of a front, which a limiter that is closed answers too.
    Unavailable,
    Failed,
}

impl Question {
    pub(super) fn of(stack: &Stack) -> Self {
        Self { path: stack.service.health_path().to_owned(), is_own: stack.service.is_own() }
    }

    /// Asks over a new connection, as the client of the header.
    pub(super) async fn ask(&self, service: &ServiceAddress, client: &str) -> Result<(Outcome, Answer)> {
        let answer = get(service, &self.path, Some(client)).await?;
        Ok((self.outcome(&answer), answer))
    }

    /// The limiter passed whatever an app of the user's own answers, be it 404 or 503; what its front answers when it has no app
    /// is another matter.
    fn outcome(&self, answer: &Answer) -> Outcome {
        let of_front = answer.headers.contains_key(contract::PROXY_STATUS);
        match answer.status {
            StatusCode::OK => Outcome::Passed,
            StatusCode::TOO_MANY_REQUESTS => Outcome::Limited,
            _ if self.is_own && !of_front => Outcome::Passed,
            StatusCode::SERVICE_UNAVAILABLE => Outcome::Unavailable,
            _ => Outcome::Failed,
        }
    }
}

/// What a replica reports on its admin listener.
pub(super) async fn statusz(base: &str) -> Result<Statusz> {
    admin::statusz(admin::connect(base.to_owned())).await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::Outcome::{Failed, Limited, Passed, Unavailable};
    use super::*;

    #[test]
    fn any_answer_of_an_app_has_passed_the_limiter() {
        let mut stack = Stack::default();
        let bundled = Question::of(&stack);
        assert_eq!(bundled.path, "/health");
        stack.service.image = "shop:1".parse().unwrap();
        let app = Question::of(&stack);
        assert_eq!(app.path, "/");
        let outcomes = |question: &Question, front: bool| {
            [200, 302, 404, 429, 500, 502, 503].map(|it| {
                let mut headers = HeaderMap::new();
                if front {
                    let status = HeaderValue::from_static("appforge; error=destination_unavailable");
                    headers.insert(contract::PROXY_STATUS, status);
                }
                let status = StatusCode::from_u16(it).unwrap();
                question.outcome(&Answer { status, headers, body: Bytes::new() })
            })
        };
        assert_eq!(outcomes(&app, false), [Passed, Passed, Passed, Limited, Passed, Passed, Passed]);
        assert_eq!(outcomes(&app, true)[5..], [Failed, Unavailable]);
        assert_eq!(outcomes(&bundled, false), [Passed, Failed, Failed, Limited, Failed, Failed, Unavailable]);
    }
}
