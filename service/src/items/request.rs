//! What the routes read from a request: a JSON body, an id, a page. Every refusal is a problem document.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use mongodb::bson::oid::ObjectId;
use serde::Deserialize;
use serde_json::Value;

use crate::items::MOST_BODY;
use crate::problem::{Faults, Problem};

/// Items on a page unless told.
const PAGE: u16 = 20;
/// Most items on a page.
const MOST_PAGE: u16 = 100;

/// A body that is JSON.
pub(super) struct JsonBody(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check(request.headers())?;
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                status => Problem::new(status, "the body broke off"),
            })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let place = format!("no JSON at line {}, column {}", error.line(), error.column());
            Problem::new(StatusCode::BAD_REQUEST, place)
        })
    }
}

/// Refuses a body by its headers, before any of it is read.
fn check(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MOST_BODY as u64) {
        return Err(too_large());
    }
    if !is_plain(headers) {
        return unsupported("send the body without Content-Encoding");
    }
    let (kind, charset) = media_type(headers);
    if !matches!(kind.as_str(), "application/json" | "application/merge-patch+json") {
        return unsupported("send Content-Type: application/json");
    }
    if charset.is_some_and(|charset| charset != "utf-8") {
        return unsupported("send JSON as UTF-8 (RFC 8259, 8.1)");
    }
    Ok(())
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 1 MiB")
}

fn is_plain(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).all(|coding| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    })
}

/// The media type and its charset, in lower case.
fn media_type(headers: &HeaderMap) -> (String, Option<String>) {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let value = value.to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_owned();
    let charset = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim() == "charset");
    (kind, charset.map(|(_, charset)| charset.trim().trim_matches('"').to_owned()))
}

/// The id of an item in the path. One that cannot be an id is one that nothing has.
pub(super) struct ItemId(pub(super) ObjectId);

impl<S: Send + Sync> FromRequestParts<S> for ItemId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        ObjectId::parse_str(id).map(Self).map_err(|_| Problem::not_found())
    }
}

/// Which page of the list is asked for.
pub(super) struct Paging {
    pub(super) limit: u16,
    pub(super) after: Option<ObjectId>,
}

#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    cursor: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::<Parameters>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the query cannot be read"))?;
        let mut faults = Faults::default();
        let limit = asked.limit.map_or(Ok(PAGE), |limit| limit.parse());
        let limit = limit.ok().filter(|limit| (1..=MOST_PAGE).contains(limit));
        if limit.is_none() {
            faults.push("limit", format!("expected a number from 1 to {MOST_PAGE}"));
        }
        let after = asked.cursor.map(ObjectId::parse_str).transpose().unwrap_or_else(|_| {
            faults.push("cursor", "expected a `next_cursor` or the id of an item");
            None
        });
        match limit {
            Some(limit) if faults.is_empty() => Ok(Self { limit, after }),
            _ => Err(Problem::invalid(faults)),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn status(headers: &[(HeaderName, &'static str)]) -> u16 {
        let headers = headers.iter().cloned().map(|(name, value)| (name, HeaderValue::from_static(value)));
        check(&headers.collect()).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn body_is_refused_by_its_headers() {
        let json = (CONTENT_TYPE, "application/json");
        let kind = |kind| status(&[(CONTENT_TYPE, kind)]);
        assert_eq!(kind("application/json"), 200);
        assert_eq!(kind("Application/Merge-Patch+JSON; charset=\"UTF-8\""), 200);
        assert_eq!(kind("application/json; charset=utf-16"), 415);
        assert_eq!(kind("application/json; q=1;Charset = latin1"), 415);
        assert_eq!(kind("text/plain"), 415);
        assert_eq!(status(&[]), 415);
        for coding in ["gzip", "GZIP", "identity, br", "x"] {
            assert_eq!(status(&[json.clone(), (CONTENT_ENCODING, coding)]), 415, "{coding}");
        }
        assert_eq!(status(&[json.clone(), (CONTENT_ENCODING, "Identity")]), 200);
        assert_eq!(status(&[json.clone(), (CONTENT_LENGTH, "1048576")]), 200);
        assert_eq!(status(&[json.clone(), (CONTENT_LENGTH, "1048577")]), 413);
        assert_eq!(status(&[json, (CONTENT_LENGTH, "10000000000"), (CONTENT_ENCODING, "gzip")]), 413);
    }
}
