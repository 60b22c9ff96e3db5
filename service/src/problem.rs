//! Errors as `application/problem+json` (RFC 9457), the one form in which the service says no.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What went wrong.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Problem {
    /// The kind of problem; `about:blank` when the status says it all.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What the client can do about it.
    pub detail: String,
    /// What is wrong in the request, one entry a place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// One thing that is wrong in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub detail: String,
}

/// Most faults that an answer names.
const MOST_FAULTS: usize = 20;
/// Longest key that a pointer repeats, in characters; so an answer has at most 8 KB, whatever has to be escaped.
const LONGEST_KEY: usize = 40;

/// The faults of a request: the first ones, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    first: Vec<Fault>,
    all: usize,
}

impl Faults {
    /// Adds a fault.
    pub fn push(&mut self, pointer: &str, detail: impl Into<String>) {
        self.all += 1;
        if self.first.len() < MOST_FAULTS {
            self.first.push(Fault { pointer: pointer.to_owned(), detail: detail.into() });
        }
    }

    /// Adds a fault of the field `key` of the body. A long key is cut off.
    pub fn push_key(&mut self, key: &str, detail: impl Into<String>) {
        let mut pointer = String::from("/");
        for (place, letter) in key.chars().take(LONGEST_KEY + 1).enumerate() {
            match letter {
                _ if place == LONGEST_KEY => pointer.push('\u{2026}'),
                '~' => pointer.push_str("~0"),
                '/' => pointer.push_str("~1"),
                other => pointer.push(other),
            }
        }
        self.push(&pointer, detail);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all == 0
    }
}

impl Problem {
    /// A problem whose kind is its status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let (kind, errors) = ("about:blank", Vec::new());
        Self { kind, title, status: status.as_u16(), detail: detail.into(), errors, retry_after: None }
    }

    /// 422 with the faults at once.
    pub fn invalid(faults: Faults) -> Self {
        let Faults { first, all } = faults;
        let detail = if all > first.len() {
            format!("validation failed; `errors` lists the first {} of {all}", first.len())
        } else {
            "validation failed; see `errors`".to_owned()
        };
        Self { errors: first, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// 412.
    pub fn precondition_failed() -> Self {
        let detail = "the item is not in the state that If-Match or If-None-Match requires";
        Self::new(StatusCode::PRECONDITION_FAILED, detail)
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// 503, to be tried again in some seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after: u64) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

/// The answer to a client that is over its limit. Its text is made once, but for the seconds: to refuse must stay cheaper than
/// to ask.
pub struct TooMany {
    status: StatusCode,
    before: String,
}

/// What follows the seconds.
const AFTER: &str = " seconds\"}";

impl TooMany {
    /// With this status, for a limit of so many requests.
    pub fn new(status: StatusCode, limit: u32) -> Self {
        let detail = format!("the limit of {limit} requests is used up; try again in ");
        let problem = Problem::new(status, detail);
        // No field can fail to be written; the text ends behind the detail, the last field.
        let mut before = serde_json::to_string(&problem).unwrap_or_default();
        before.truncate(before.len().saturating_sub("\"}".len()));
        Self { status, before }
    }

    /// The answer, to be asked again in some seconds; with `headers`, of which only the room is used.
    pub fn respond(&self, retry_after: u64, mut headers: HeaderMap) -> Response {
        let mut body = BytesMut::with_capacity(self.before.len() + 20 + AFTER.len());
        body.extend_from_slice(self.before.as_bytes());
        body.extend_from_slice(itoa::Buffer::new().format(retry_after).as_bytes());
        body.extend_from_slice(AFTER.as_bytes());
        headers.clear();
        headers.insert(CONTENT_TYPE, PROBLEM);
        headers.insert(CACHE_CONTROL, NO_STORE);
        let mut response = Response::new(Body::from(body.freeze()));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM);
        headers.insert(CACHE_CONTROL, NO_STORE);
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not read, so no other request can follow.
            headers.insert(CONNECTION, CLOSE);
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn answer_stays_short_when_everything_is_wrong() {
        for key in ["k", "\u{1}", "~", "\"", "\u{1f600}"] {
            let mut faults = Faults::default();
            for number in 0..60_000 {
                faults.push_key(&key.repeat(200), format!("unknown field {number}"));
            }
            let problem = Problem::invalid(faults);
            assert_eq!(problem.errors.len(), 20);
            assert!(problem.detail.contains("the first 20 of 60000"), "{}", problem.detail);
            let length = serde_json::to_string(&problem).unwrap().len();
            assert!(length <= 8 * 1024, "{key:?}: {length}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_a_problem_like_the_others() {
        let mut headers = HeaderMap::new();
        headers.insert("x-of-the-request", HeaderValue::from_static("1"));
        let response = TooMany::new(StatusCode::TOO_MANY_REQUESTS, 100).respond(309, headers);
        let detail = "the limit of 100 requests is used up; try again in 309 seconds";
        let other = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
        assert_eq!(response.status(), other.status());
        let mut expected = other.headers().clone();
        // The server adds the length.
        expected.remove("content-length");
        assert_eq!(response.headers(), &expected);
        let [body, other] = [response, other].map(|it| it.into_body().collect());
        assert_eq!(body.await.unwrap().to_bytes(), other.await.unwrap().to_bytes());
    }
}
