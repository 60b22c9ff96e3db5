//! `GET /check`: whether a request may pass, for a proxy that asks before it forwards (nginx's `auth_request`, `forwardAuth` of
//! Traefik, `forward_auth` of Caddy, Envoy's `ext_authz`). Only trusted proxies may ask: they name the client.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, Method, Request, Response, StatusCode};

use crate::app::{App, Counted};
use crate::contract::CHECK;
use crate::identity::FORWARDED_FOR;
use crate::limiter::Outcome;
use crate::problem::{Problem, TooMany};
use crate::server::{Handler, RequestBody};

/// What nginx names the client by.
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// For `auth_request`, which takes any other status but 401 for an error.
const DENY_403: &str = "deny=403";

/// Answers whether requests may pass.
pub struct Check {
    app: Arc<App>,
    /// What a client over its limit gets where 429 counts as an error.
    forbidden: TooMany,
}

impl Check {
    /// By the limit of `app`, of so many requests.
    pub fn new(app: Arc<App>, limit: u32) -> Self {
        Self { app, forbidden: TooMany::new(StatusCode::FORBIDDEN, limit) }
    }

    async fn decide(&self, peer: SocketAddr, mut request: Request<RequestBody>) -> Response<Body> {
        if request.uri().path() != CHECK {
            return Problem::not_found().into_response();
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET works here").into_response();
        }
        if !self.app.identities.is_trusted(peer.ip()) {
            let detail = "only a trusted proxy may ask (TRUSTED_PROXIES)";
            return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
        }
        let deny = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == DENY_403));
        let headers = request.headers_mut();
        if !headers.contains_key(&FORWARDED_FOR)
            && let Some(client) = headers.remove(&REAL_IP)
        {
            headers.insert(FORWARDED_FOR, client);
        }
        let Some(decision) = self.app.admit(peer.ip(), headers).await else {
            return StatusCode::OK.into_response();
        };
        let refusal = if deny && decision.outcome == Outcome::Limited {
            Some(self.forbidden.respond(decision.retry_after(), std::mem::take(headers)))
        } else {
            self.app.refusal(&decision, headers)
        };
        let mut response = refusal.unwrap_or_else(|| StatusCode::OK.into_response());
        decision.write_headers(response.headers_mut());
        response
    }
}

impl Handler for Check {
    type Body = Body;

    async fn handle(&self, peer: SocketAddr, request: Request<RequestBody>) -> Response<Body> {
        let series = self.app.metrics.checked(request.method());
        let mut counted = Counted::new(&self.app.metrics, series);
        let response = self.decide(peer, request).await;
        counted.status = Some(response.status());
        response
    }
}
