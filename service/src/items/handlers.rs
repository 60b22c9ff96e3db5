//! The routes of the items: read the request, ask the cache or the store, answer.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use mongodb::bson::doc;
use mongodb::bson::oid::ObjectId;
use serde::Serialize;

use crate::cache::{Cache, Found};
use crate::items::condition::{Conditions, Judgement, tag_of, write_tag};
use crate::items::model::{Change, Draft, Item};
use crate::items::request::{ItemId, JsonBody, Paging};
use crate::items::store::{Store, Write, Written};
use crate::mongodb::Away;
use crate::problem::Problem;

/// When a client should come back while MongoDB is away, in seconds.
const RETRY_AFTER: u64 = 5;

/// How often a write whose item others change meanwhile is compared again.
const ATTEMPTS: usize = 3;

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
    Ok((StatusCode::CREATED, [(LOCATION, location)], written(&item)?).into_response())
}

pub(super) async fn replace(
    State(items): State<Items>,
    ItemId(id): ItemId,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    write(&items, id, &headers, Draft::read(&body).map_err(Problem::invalid)?.into()).await
}

pub(super) async fn patch(
    State(items): State<Items>,
    ItemId(id): ItemId,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    write(&items, id, &headers, Change::read(&body).map_err(Problem::invalid)?.into()).await
}

pub(super) async fn delete(
    State(items): State<Items>,
    ItemId(id): ItemId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    write(&items, id, &headers, Write::Delete).await
}

/// Changes an item if its state is what the client requires.
async fn write(items: &Items, id: ObjectId, headers: &HeaderMap, write: Write) -> Result<Response, Problem> {
    let conditions = Conditions::of(headers);
    let done = if conditions.any() {
        compare_and_write(items, id, &conditions, write).await?
    } else {
        items.store.write(doc! {"_id": id}, write).await?.ok_or_else(Problem::not_found)?
    };
    items.cache.invalidate().await;
    match done {
        Written::Item(item) => written(&item),
        Written::Gone => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// The filter finds the item only as it was when it was compared: no other write comes between.
async fn compare_and_write(
    items: &Items,
    id: ObjectId,
    conditions: &Conditions<'_>,
    write: Write,
) -> Result<Written, Problem> {
    for _ in 0..ATTEMPTS {
        let found = items.store.state(id).await?;
        let body = found.as_ref().map(|(item, _)| body_of(item)).transpose()?;
        if conditions.judge(body.as_deref().map(tag_of).as_deref()) != Judgement::Holds {
            return Err(Problem::precondition_failed());
        }
        let Some((_, filter)) = found else { return Err(Problem::not_found()) };
        if let Some(done) = items.store.write(filter, write.clone()).await? {
            return Ok(done);
        }
    }
    // Others changed it each time.
    Err(Problem::precondition_failed())
}

/// An item as it is after a write, with its tag for the next one.
fn written(item: &Item) -> Result<Response, Problem> {
    let body = body_of(item)?;
    let tag = tag_of(&body);
    let mut response = json(body.into());
    write_tag(tag, response.headers_mut());
    Ok(response)
}

fn body_of<T: Serialize>(value: &T) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"))
}

fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
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
            let body = body_of(&value)?;
            items.cache.put(key, token, &body).await;
            Bytes::from(body)
        }
    };
    tagged(body, headers)
}

/// An answer with its ETag, 304 when the client has it already, or 412 when it requires another one.
fn tagged(body: Bytes, headers: &HeaderMap) -> Result<Response, Problem> {
    let tag = tag_of(&body);
    let mut response = match Conditions::of(headers).judge(Some(&tag)) {
        Judgement::Holds => json(body),
        Judgement::Same => StatusCode::NOT_MODIFIED.into_response(),
        Judgement::Fails => return Err(Problem::precondition_failed()),
    };
    write_tag(tag, response.headers_mut());
    // A client may keep it, but asks each time whether it is still true.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}
