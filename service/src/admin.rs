//! The admin side: probes, metrics and the state within. Never published, never limited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use tower::Service;

use crate::app::App;
use crate::contract::admin;
use crate::problem::Problem;
use crate::server::Handler;
use crate::status::Statusz;

/// The type of the text that Prometheus reads.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
            .fallback(async || Problem::not_found())
            .with_state(app);
        Self { router }
    }
}

impl Handler for Admin {
    async fn handle(&self, _peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        match self.router.clone().call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Whether this replica accepts work. A store that is away changes nothing: without this replica it would be away too.
async fn readyz(State(app): State<Arc<App>>) -> impl IntoResponse {
    if app.draining.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], app.metrics.text(&app.registry, app.connections.open()))
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
