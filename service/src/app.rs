//! What both listeners work on, and the public side of the bundled service: every request is counted by the limiter, then routed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use tower::Service;

use crate::cache::Cache;
use crate::front::upstreams::Upstreams;
use crate::identity::Identities;
use crate::limiter::{Decision, Limiter, Outcome};
use crate::metrics::{Exposition, Metrics, Moment, Series};
use crate::mongodb::Mongodb;
use crate::problem::{Problem, TooMany};
use crate::redis::Redis;
use crate::server::{Connections, Handler, RequestBody};
use crate::status::{Health, HealthState, RateLimitStatus, RedisStatus, Statusz, StoreState};
use crate::{items, openapi};

/// What both listeners work on.
pub struct App {
    /// Names this replica.
    pub replica: String,
    /// What answers the requests that pass.
    pub backend: Backend,
    /// The counter and cache store.
    pub redis: Redis,
    /// The rate limiter, unless it is off.
    pub limiter: Option<Limiter>,
    /// What a client over its limit gets.
    pub too_many: TooMany,
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

/// What answers the requests that pass.
pub enum Backend {
    /// The bundled service, on this document store and this cache of its answers.
    Bundled(Mongodb, Cache),
    /// The apps behind a front.
    Front(Arc<Upstreams>),
}

impl App {
    /// Counts a request, unless the limit is off.
    pub async fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Decision> {
        let limiter = self.limiter.as_ref()?;
        let (client, key) = self.identities.of(peer, headers);
        let decision = limiter.check(&client).await;
        match key {
            Some(key) if decision.outcome == Outcome::Passed => {
                Some(decision.stricter(limiter.check(&key).await))
            }
            _ => Some(decision),
        }
    }

    /// The answer to a request that may not pass; of its headers only the room is used.
    pub fn refusal(&self, decision: &Decision, headers: &mut HeaderMap) -> Option<Response<Body>> {
        match decision.outcome {
            Outcome::Passed => None,
            Outcome::Limited => Some(self.too_many.respond(decision.retry_after(), std::mem::take(headers))),
            Outcome::Unavailable => {
                Some(Problem::unavailable("the rate limit cannot be counted now", 1).into_response())
            }
        }
    }

    /// Whether this replica accepts work. A store that is away changes nothing: without this replica it would be away too.
    pub fn is_ready(&self) -> bool {
        let answers = match &self.backend {
            Backend::Bundled(..) => true,
            Backend::Front(upstreams) => upstreams.is_ready(),
        };
        answers && !self.is_draining()
    }

    /// Whether this replica is on its way out.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The answer of `/statusz`.
    pub fn statusz(&self) -> Statusz {
        let (mongodb, upstream) = match &self.backend {
            Backend::Bundled(mongodb, _) => (Some(mongodb.status()), None),
            Backend::Front(upstreams) => (None, Some(upstreams.status())),
        };
        Statusz {
            version: env!("CARGO_PKG_VERSION").into(),
            replica: self.replica.clone(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            draining: self.is_draining(),
            connections: self.connections.open(),
            requests_total: self.metrics.total(),
            mongodb,
            upstream,
            redis: self.redis_status(),
            rate_limit: self.rate_limit_status(),
        }
    }

    /// The answer of `/metrics`.
    pub fn metrics(&self, format: Exposition) -> String {
        let moment = Moment {
            connections: self.connections.open(),
            accepted: self.connections.accepted(),
            draining: self.is_draining(),
        };
        self.metrics.text(&self.registry, format, moment)
    }

    fn redis_status(&self) -> RedisStatus {
        let (status, error) = self.redis.state();
        RedisStatus { status, error, mode: self.rate_limit_status().mode }
    }

    /// How the rate limit is counted now.
    fn rate_limit_status(&self) -> RateLimitStatus {
        self.limiter.as_ref().map_or(RateLimitStatus::OFF, Limiter::status)
    }
}

/// Answers public requests of the bundled service.
pub struct Public {
    app: Arc<App>,
    router: Router,
}

impl Public {
    /// The public routes of `app`, on this store.
    pub fn new(app: Arc<App>, mongodb: &Mongodb, cache: Cache) -> Self {
        let router = Router::new()
            .route("/health", get(health))
            .with_state((app.clone(), mongodb.clone()))
            .merge(items::router(mongodb.clone(), cache))
            .merge(openapi::router())
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method does not work here; see Allow")
            });
        Self { app, router }
    }
}

async fn health(State((app, mongodb)): State<(Arc<App>, Mongodb)>) -> impl IntoResponse {
    let (mongodb, redis) = (mongodb.status(), app.redis_status());
    let all = mongodb.status == StoreState::Up && redis.status == StoreState::Up;
    let health = Health {
        status: if all { HealthState::Ok } else { HealthState::Degraded },
        version: env!("CARGO_PKG_VERSION").into(),
        replica: app.replica.clone(),
        mongodb,
        redis,
    };
    ([(CACHE_CONTROL, "no-store")], Json(health))
}

impl Handler for Public {
    type Body = Body;

    async fn handle(&self, peer: SocketAddr, mut request: Request<RequestBody>) -> Response<Body> {
        let series = self.app.metrics.routed(request.method(), request.uri().path());
        let mut counted = Counted::new(&self.app.metrics, series);
        let decision = self.app.admit(peer.ip(), request.headers()).await;
        let refusal = decision.as_ref().and_then(|it| self.app.refusal(it, request.headers_mut()));
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => match self.router.clone().call(request.map(Body::new)).await {
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
pub(crate) struct Counted<'a> {
    metrics: &'a Metrics,
    series: Series,
    began: Instant,
    pub(crate) status: Option<StatusCode>,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(metrics: &'a Metrics, series: Series) -> Self {
        metrics.began();
        Self { metrics, series, began: Instant::now(), status: None }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.series, self.status, self.began.elapsed());
    }
}
