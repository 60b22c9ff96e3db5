//! The public side: every request is counted by the limiter, then routed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use tower::Service;

use crate::cache::Cache;
use crate::identity::Identities;
use crate::limiter::{Limiter, Outcome};
use crate::metrics::{Metrics, Series};
use crate::mongodb::Mongodb;
use crate::problem::{Problem, TooMany};
use crate::redis::Redis;
use crate::server::{Connections, Handler};
use crate::status::{Health, HealthState, RateLimitStatus, RedisStatus, Statusz, StoreState};
use crate::{items, openapi};

/// What both listeners work on.
pub struct App {
    /// Names this replica.
    pub replica: String,
    /// The document store.
    pub mongodb: Mongodb,
    /// The counter and cache store.
    pub redis: Redis,
    /// The rate limiter, unless it is off.
    pub limiter: Option<Limiter>,
    /// Who a request comes from.
    pub identities: Identities,
    /// What is measured.
    pub metrics: Metrics,
    /// All metrics.
    pub registry: Registry,
    /// The public connections.
    pub connections: Connections,
    /// Whether this replica is on its way out.
    pub draining: AtomicBool,
    /// When it started.
    pub started: Instant,
}

impl App {
    /// The answer of `/health`.
    pub fn health(&self) -> Health {
        let (mongodb, redis) = (self.mongodb.status(), self.redis_status());
        let all = mongodb.status == StoreState::Up && redis.status == StoreState::Up;
        Health {
            status: if all { HealthState::Ok } else { HealthState::Degraded },
            version: env!("CARGO_PKG_VERSION").into(),
            replica: self.replica.clone(),
            mongodb,
            redis,
        }
    }

    /// The answer of `/statusz`.
    pub fn statusz(&self) -> Statusz {
        Statusz {
            version: env!("CARGO_PKG_VERSION").into(),
            replica: self.replica.clone(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            draining: self.draining.load(Ordering::Relaxed),
            connections: self.connections.open(),
            requests_total: self.metrics.total(),
            mongodb: self.mongodb.status(),
            redis: self.redis_status(),
            rate_limit: self.rate_limit_status(),
        }
    }

    fn redis_status(&self) -> RedisStatus {
        let (status, error) = self.redis.state();
        RedisStatus { status, error, mode: self.rate_limit_status().mode }
    }

    fn rate_limit_status(&self) -> RateLimitStatus {
        self.limiter.as_ref().map_or(RateLimitStatus::OFF, Limiter::status)
    }
}

/// Answers public requests.
pub struct Public {
    app: Arc<App>,
    router: Router,
    too_many: TooMany,
}

impl Public {
    /// The public routes of `app`.
    pub fn new(app: Arc<App>, cache: Cache) -> Self {
        let router = Router::new()
            .route("/health", get(health))
            .with_state(app.clone())
            .merge(items::router(app.mongodb.clone(), cache))
            .merge(openapi::router())
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method does not work here; see Allow")
            });
        let too_many = TooMany::new(app.rate_limit_status().requests);
        Self { app, router, too_many }
    }
}

async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    Json(app.health())
}

impl Handler for Public {
    async fn handle(&self, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        let mut counted = Counted::new(&self.app.metrics, &request);
        let decision = match &self.app.limiter {
            Some(limiter) => {
                let identity = self.app.identities.of(peer.ip(), request.headers());
                Some(limiter.check(&identity).await)
            }
            None => None,
        };
        let mut response = match &decision {
            Some(decision) if decision.outcome == Outcome::Limited => {
                self.too_many.respond(decision.retry_after(), std::mem::take(request.headers_mut()))
            }
            Some(decision) if decision.outcome == Outcome::Unavailable => {
                Problem::unavailable("the rate limit cannot be counted now", 1).into_response()
            }
            _ => match self.router.clone().call(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        if let Some(decision) = decision {
            decision.write_headers(response.headers_mut());
        }
        counted.status = Some(response.status());
        response
    }
}

/// Counts a request also when it is given up before the answer.
struct Counted<'a> {
    metrics: &'a Metrics,
    series: Series,
    began: Instant,
    status: Option<StatusCode>,
}

impl<'a> Counted<'a> {
    fn new(metrics: &'a Metrics, request: &Request<Incoming>) -> Self {
        let series = metrics.began(request.method(), request.uri().path());
        Self { metrics, series, began: Instant::now(), status: None }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.series, self.status, self.began.elapsed());
    }
}
