//! `/api/items`: create, list with a cursor, get, replace, patch, delete.

mod condition;
mod handlers;
mod id;
mod model;
mod request;
mod store;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

pub use model::{Item, Page};
pub(crate) use model::{LONGEST_DESCRIPTION, LONGEST_NAME, LONGEST_TAG, MOST_TAGS};

use crate::cache::Cache;
use crate::mongodb::Mongodb;

/// Longest body of a request, in bytes.
const MOST_BODY: usize = 1024 * 1024;

/// The routes of the items.
pub fn router(mongodb: Mongodb, cache: Cache) -> Router {
    let state = handlers::Items { store: store::Store::new(mongodb), cache };
    Router::new()
        .route("/api/items", get(handlers::list).post(handlers::create))
        .route(
            "/api/items/{id}",
            get(handlers::get).put(handlers::replace).patch(handlers::patch).delete(handlers::delete),
        )
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .with_state(state)
}
