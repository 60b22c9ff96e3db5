//! What the routes read from a request: a JSON body, an id, a page. Every refusal is a problem document.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use mongodb::bson::oid::ObjectId;
use serde::Deserialize;
use serde_json::Value;

use crate::problem::{Fault, Problem};

/// Items on a page unless told.
const PAGE: u16 = 20;
/// Most items on a page.
const MOST_PAGE: u16 = 100;

/// A body that is JSON.
pub(super) struct JsonBody(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "send Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB is read")
                }
                status => Problem::new(status, "the body broke off"),
            })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let place = format!("no JSON at line {}, column {}", error.line(), error.column());
            Problem::new(StatusCode::BAD_REQUEST, place)
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/json" | "application/merge-patch+json")
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
        let mut faults = Vec::new();
        let limit = asked.limit.map_or(Ok(PAGE), |limit| limit.parse());
        let limit = limit.ok().filter(|limit| (1..=MOST_PAGE).contains(limit));
        if limit.is_none() {
            let detail = format!("a number from 1 to {MOST_PAGE} is expected");
            faults.push(Fault { pointer: "limit".into(), detail });
        }
        let after = asked.cursor.map(ObjectId::parse_str).transpose().unwrap_or_else(|_| {
            faults
                .push(Fault { pointer: "cursor".into(), detail: "take it from next_cursor as it is".into() });
            None
        });
        match limit {
            Some(limit) if faults.is_empty() => Ok(Self { limit, after }),
            _ => Err(Problem::invalid(faults)),
        }
    }
}
