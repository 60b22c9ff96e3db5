//! The routes of the items: read the request, ask the cache or the store, answer.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use mongodb::bson::oid::ObjectId;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cache::{Cache, Found};
use crate::items::model::{Change, Draft, Item};
use crate::items::request::{ItemId, JsonBody, Paging};
use crate::items::store::Store;
use crate::mongodb::Away;
use crate::problem::Problem;

/// When a client should come back while MongoDB is away, in seconds.
const RETRY_AFTER: u64 = 5;

/// What the routes work on.
#[derive(Clone)]
pub(super) struct Items {
    pub(super) store: Store,
    pub(super) cache: Cache,
}

impl From<Away> for Problem {
    fn from(_: Away) -> Self {
        Self::unavailable("the database does not answer", RETRY_AFTER)
    }
}

pub(super) async fn list(
    State(items): State<Items>,
    paging: Paging,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = paging.after.map(ObjectId::to_hex).unwrap_or_default();
    let key = format!("list:{}:{after}", paging.limit);
    let make = async || Ok(Some(items.store.list(paging.after, paging.limit).await?));
    cached(&items, &key, &headers, make).await
}

pub(super) async fn get(
    State(items): State<Items>,
    ItemId(id): ItemId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let make = async || items.store.get(id).await;
    cached(&items, &format!("item:{}", id.to_hex()), &headers, make).await
}

pub(super) async fn create(
    State(items): State<Items>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let item = items.store.create(Draft::read(&body).map_err(Problem::invalid)?).await?;
    items.cache.invalidate().await;
    let location = format!("/api/items/{}", item.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(item)).into_response())
}

pub(super) async fn replace(
    State(items): State<Items>,
    ItemId(id): ItemId,
    JsonBody(body): JsonBody,
) -> Result<Json<Item>, Problem> {
    let item = items.store.replace(id, Draft::read(&body).map_err(Problem::invalid)?).await?;
    changed(&items, item).await
}

pub(super) async fn patch(
    State(items): State<Items>,
    ItemId(id): ItemId,
    JsonBody(body): JsonBody,
) -> Result<Json<Item>, Problem> {
    let item = items.store.patch(id, Change::read(&body).map_err(Problem::invalid)?).await?;
    changed(&items, item).await
}

pub(super) async fn delete(State(items): State<Items>, ItemId(id): ItemId) -> Result<StatusCode, Problem> {
    if !items.store.delete(id).await? {
        return Err(Problem::not_found());
    }
    items.cache.invalidate().await;
    Ok(StatusCode::NO_CONTENT)
}

async fn changed(items: &Items, item: Option<Item>) -> Result<Json<Item>, Problem> {
    let item = item.ok_or_else(Problem::not_found)?;
    items.cache.invalidate().await;
    Ok(Json(item))
}

/// Answers from the cache, or makes the answer and keeps it. While MongoDB is away nothing is answered: whether a route
/// works must not depend on who asked before.
async fn cached<T: Serialize>(
    items: &Items,
    key: &str,
    headers: &HeaderMap,
    make: impl AsyncFnOnce() -> Result<Option<T>, Away>,
) -> Result<Response, Problem> {
    items.store.reachable()?;
    let body = match items.cache.get(key).await {
        Found::Hit(body) => body,
        Found::Miss(token) => {
            let value = make().await?.ok_or_else(Problem::not_found)?;
            let body = serde_json::to_vec(&value).map_err(|_| {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written")
            })?;
            items.cache.put(key, token, &body).await;
            Bytes::from(body)
        }
    };
    Ok(tagged(body, headers))
}

/// An answer with its ETag, or 304 when the client has it already.
fn tagged(body: Bytes, headers: &HeaderMap) -> Response {
    let digest = Sha256::digest(&body);
    let tag = format!("\"{}\"", hex::encode(&digest[..16]));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = known
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag);
    let mut response = if same {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    // A client may keep it, but asks each time whether it is still true.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
