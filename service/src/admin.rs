//! The admin side: probes, metrics and the state within. Never published, never limited.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use serde::Deserialize;
use tower::Service;

use crate::app::{App, Backend};
use crate::contract::{Endpoint, admin};
use crate::metrics::Exposition;
use crate::problem::Problem;
use crate::server::{Handler, RequestBody};
use crate::status::Statusz;

/// Answers admin requests.
pub struct Admin {
    router: Router,
}

impl Admin {
    /// The admin routes of `app`.
    pub fn new(app: Arc<App>) -> Self {
        let router = Router::new()
            .route(admin::LIVEZ, get(async || "ok\n"))
            .route(admin::READYZ, get(readyz))
            .route(admin::METRICS, get(metrics))
            .route(admin::STATUSZ, get(statusz))
            .route(admin::REPLICAS, put(replicas))
            .route(admin::UPSTREAMS, put(upstreams))
            .fallback(async || Problem::not_found())
            .with_state(app);
        Self { router }
    }
}

impl Handler for Admin {
    type Body = Body;

    async fn handle(&self, _peer: SocketAddr, request: Request<RequestBody>) -> Response<Body> {
        match self.router.clone().call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    match (app.is_ready(), app.is_draining()) {
        (true, _) => (StatusCode::OK, "ok\n"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "the app does not answer\n"),
    }
}

async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> impl IntoResponse {
    let format = Exposition::preferred(&headers);
    ([(CONTENT_TYPE, format.content_type())], app.metrics(format))
}

async fn statusz(State(app): State<Arc<App>>) -> Json<Statusz> {
    Json(app.statusz())
}

/// Over how many replicas the budget is shared while Redis is away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    replicas: u32,
}

async fn replicas(State(app): State<Arc<App>>, Json(body): Json<Replicas>) -> StatusCode {
    if let Some(limiter) = &app.limiter {
        limiter.set_replicas(body.replicas);
    }
    StatusCode::NO_CONTENT
}

/// The apps of a front: its own first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    upstreams: Vec<Endpoint>,
}

async fn upstreams(State(app): State<Arc<App>>, Json(body): Json<List>) -> Response<Body> {
    match &app.backend {
        Backend::Front(upstreams) => {
            upstreams.replace(body.upstreams);
            StatusCode::NO_CONTENT.into_response()
        }
        Backend::Bundled(..) => Problem::not_found().into_response(),
    }
}
