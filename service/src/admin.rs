//! The admin side: probes, metrics and the state within. Never published, never limited.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::IntoResponse;
use axum::routing::{get, put};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use serde::Deserialize;
use tower::Service;

use crate::app::{App, Backend};
use crate::contract::{Endpoint, admin};
use crate::metrics::Exposition;
use crate::network::canonical;
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

    async fn handle(&self, peer: SocketAddr, mut request: Request<RequestBody>) -> Response<Body> {
        request.extensions_mut().insert(Peer(peer));
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

/// Where an admin request comes from.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

/// Proves that a request comes from this machine: who sets the apps reads all requests.
struct FromHere;

impl<S: Sync> FromRequestParts<S> for FromHere {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().map(|peer| canonical(peer.0.ip()));
        if peer.is_some_and(|peer| peer.is_loopback()) {
            return Ok(Self);
        }
        tracing::warn!(
            "{} was refused to {}",
            parts.uri.path(),
            peer.map_or_else(String::new, |it| it.to_string())
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "only a process on this machine may set the apps"))
    }
}

async fn upstreams(State(app): State<Arc<App>>, _: FromHere, Json(body): Json<List>) -> Response<Body> {
    match &app.backend {
        Backend::Front(upstreams) => {
            let names: Vec<String> = body.upstreams.iter().map(ToString::to_string).collect();
            tracing::info!(
                "the apps are now: {}",
                if names.is_empty() { "none".into() } else { names.join(", ") }
            );
            upstreams.replace(body.upstreams);
            StatusCode::NO_CONTENT.into_response()
        }
        Backend::Bundled(..) => Problem::not_found().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn apps_are_set_from_this_machine_only() {
        let status = async |peer: Option<&str>| {
            let (mut parts, ()) = Request::new(()).into_parts();
            if let Some(peer) = peer {
                parts.extensions.insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
            }
            FromHere::from_request_parts(&mut parts, &()).await.err().map(|it| it.into_response().status())
        };
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status(Some(here)).await, None, "{here}");
        }
        for elsewhere in [Some("10.0.0.1"), Some("::ffff:10.0.0.1"), Some("fe80::1"), None] {
            assert_eq!(status(elsewhere).await, Some(StatusCode::FORBIDDEN), "{elsewhere:?}");
        }
    }
}
