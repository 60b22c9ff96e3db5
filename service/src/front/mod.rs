//! The front: a reverse proxy with the limiter, the identities, the metrics and the drain of the bundled service, for any app
//! that speaks HTTP/1.1. HTTP/2 is not spoken, on either side.
//!
//! It changes nothing of a body and buffers none. What the rate limit refuses is refused before its body is read.

mod body;
mod forward;
mod headers;
pub mod health;
mod metrics;
mod pool;
mod upgrade;
pub mod upstreams;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::{App, Counted};
use crate::contract::{self, RateLimitKey, UPSTREAM_HEALTH_HOST, UpstreamUrl};
use crate::problem::Problem;
use crate::server::{Handler, RequestBody, TrailerFilter};
use body::FrontBody;
use forward::Failure;
use headers::{Hop, OwnFields, Refused};
use upstreams::Upstreams;

/// Distinguishes an error of the front from one of its app (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static(contract::PROXY_STATUS);
/// The limiter cannot count, and the settings say to refuse then.
const REFUSED: HeaderValue = HeaderValue::from_static("appforge; error=http_request_denied");
/// For a client whose app is away.
const RETRY_AFTER: u64 = 1;
/// Of an app without an address.
static LOCALHOST: HeaderValue = HeaderValue::from_static(UPSTREAM_HEALTH_HOST);

/// The app, and how its health is asked.
#[derive(Clone)]
pub struct Settings {
    /// Where the app is.
    pub url: UpstreamUrl,
    /// Its health.
    pub health: health::Settings,
}

/// Starts to look at the app until the guard is dropped. Must be called on a tokio runtime.
pub fn start(settings: Settings, registry: &mut Registry) -> (Arc<Upstreams>, DropGuard) {
    let upstreams = Arc::new(Upstreams::new(settings.url.0, registry));
    let stop = CancellationToken::new();
    let (gate, ended) = (upstreams.clone(), stop.clone());
    tokio::spawn(async move { ended.run_until_cancelled(gate.keep_gate()).await });
    let (watched, ended) = (upstreams.clone(), stop.clone());
    tokio::spawn(async move { ended.run_until_cancelled(watch::watch(watched, settings.health)).await });
    (upstreams, stop.drop_guard())
}

/// Answers public requests with the app's answers.
pub struct Front {
    app: Arc<App>,
    upstreams: Arc<Upstreams>,
    own: Arc<OwnFields>,
    trailers: TrailerFilter,
}

impl Front {
    /// In front of these apps, where requests are counted by `key`.
    pub fn new(app: Arc<App>, upstreams: Arc<Upstreams>, key: &RateLimitKey) -> Self {
        let own = Arc::new(OwnFields::new(key));
        let filter = own.clone();
        Self { app, upstreams, own, trailers: Arc::new(move |trailers| filter.filter_trailers(trailers)) }
    }

    async fn forward(&self, peer: SocketAddr, mut request: Request<RequestBody>) -> Response<FrontBody> {
        let upload = request.body().upload();
        let hop = Hop { peer: peer.ip(), trusted: self.app.identities.is_trusted(peer.ip()) };
        // HTTP/1.0 may lack one.
        let app = (!request.headers().contains_key(HOST)).then(|| self.upstreams.own()).flatten();
        let host = app.as_ref().map_or(&LOCALHOST, |app| &app.host);
        request.body_mut().filter_trailers(&self.trailers);
        let asks = match headers::to_app(&mut request, hop, host, &self.own) {
            Ok(asks) => asks,
            Err(Refused(status, detail)) => return last(Problem::new(status, detail).into_response()),
        };
        let client = asks.then(|| hyper::upgrade::on(&mut request));
        let method = request.method().clone();
        let mut response = match forward::exchange(&self.upstreams, request).await {
            Ok(response) => response,
            Err(failure) => {
                let response = failed(failure);
                return if upload.is_over() { response.map(FrontBody::Own) } else { last(response) };
            }
        };
        headers::to_client(&mut response, &method);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                // The app speaks another protocol without having been asked to.
                self.upstreams.metrics.broken.inc();
                return last(failed(Failure::Malformed));
            };
            self.upstreams.metrics.tunnels.inc();
            let app = hyper::upgrade::on(&mut response);
            self.app.connections.spawn(upgrade::tunnel(client, app));
        }
        response.map(FrontBody::App)
    }
}

impl Handler for Front {
    type Body = FrontBody;

    const STREAMS: bool = true;

    async fn handle(&self, peer: SocketAddr, mut request: Request<RequestBody>) -> Response<FrontBody> {
        let mut counted = Counted::new(&self.app.metrics, self.app.metrics.forwarded(request.method()));
        let decision = self.app.admit(peer.ip(), request.headers()).await;
        let mut refusal = decision.as_ref().and_then(|it| self.app.refusal(it, request.headers_mut()));
        if let Some(refusal) = refusal.as_mut().filter(|refusal| refusal.status().is_server_error()) {
            refusal.headers_mut().insert(PROXY_STATUS, REFUSED);
        }
        let mut response = match refusal {
            Some(refusal) if request.body().upload().is_over() => refusal.map(FrontBody::Own),
            Some(refusal) => last(refusal),
            None => self.forward(peer, request).await,
        };
        if let Some(decision) = decision {
            decision.write_headers(response.headers_mut());
        }
        counted.status = Some(response.status());
        response
    }
}

/// The rest of the body is not read, so no other request can follow.
fn last(mut response: Response<Body>) -> Response<FrontBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response.map(FrontBody::Own)
}

fn failed(failure: Failure) -> Response<Body> {
    let (problem, status) = match failure {
        Failure::Unavailable => (
            Problem::unavailable("the app does not accept connections", RETRY_AFTER),
            "appforge; error=destination_unavailable",
        ),
        Failure::Broken => (
            Problem::new(StatusCode::BAD_GATEWAY, "the app closed the connection without an answer"),
            "appforge; error=connection_terminated",
        ),
        Failure::Malformed => (
            Problem::new(StatusCode::BAD_GATEWAY, "the answer of the app cannot be forwarded"),
            "appforge; error=http_protocol_error",
        ),
        Failure::Late => (
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "the app did not answer in time"),
            "appforge; error=http_response_timeout",
        ),
    };
    let mut response = problem.into_response();
    response.headers_mut().insert(PROXY_STATUS, HeaderValue::from_static(status));
    response
}
