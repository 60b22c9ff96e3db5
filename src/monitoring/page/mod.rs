//! The page of a stack on the loopback interface: one HTML file and its data. Connections are few and bounded in time.

mod content;
mod guard;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use content::report;

use self::guard::{Guard, Refused, Wish};
use crate::error::{ExitStatus, Failure};
use crate::monitoring::source::Source;
use crate::stack::values::Secret;

/// Most connections at once; a browser has six.
const MOST_CONNECTIONS: usize = 32;
/// How long a client may take to send the head of a request, also the next one of its connection.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(600);
/// Longest head of a request, in bytes.
const MOST_HEAD: usize = 16 * 1024;
/// After a failure to accept, such as of too many open files.
const PAUSE: Duration = Duration::from_millis(100);
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Where the page is.
pub(crate) struct Page {
    listener: TcpListener,
    guard: Guard,
}

impl Page {
    /// Listens at the loopback interface: at `port`, or else at `usual` when that is free, or at any other port. `token` opens the
    /// page.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn open(port: Option<u16>, usual: u16, token: Secret) -> Result<Self> {
        let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = match port {
            Some(port) => bind(port).await.map_err(|error| {
                Failure::new(ExitStatus::Failed, format!("cannot listen on port {port} of 127.0.0.1"))
                    .hint("appforge monitor --port 0   # any free port")
                    .caused_by(error)
            })?,
            None => match bind(usual).await {
                Ok(listener) => listener,
                Err(_) => bind(0).await.context("no port of 127.0.0.1 is free")?,
            },
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, guard: Guard::new(port, token) })
    }

    /// The address to open, with the token.
    pub(crate) fn url(&self) -> String {
        self.guard.url()
    }

    /// Answers requests from `source`. Never returns.
    pub(crate) async fn serve(&self, source: &Source) {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    // Beyond that, connections are closed at once: the next ones find room.
                    Ok((stream, _)) if open.len() < MOST_CONNECTIONS => open.push(self.connection(stream, source)),
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                Some(()) = open.next() => {}
            }
        }
    }

    async fn connection(&self, stream: TcpStream, source: &Source) {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(self.answer(&request, source).await)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT).max_buf_size(MOST_HEAD);
        // How a client leaves is its own business.
        let _ = tokio::time::timeout(LONGEST, builder.serve_connection(TokioIo::new(stream), service)).await;
    }

    async fn answer(&self, request: &Request<Incoming>, source: &Source) -> Response<Full<Bytes>> {
        match self.guard.judge(request.method(), request.uri(), request.headers()) {
            Err(Refused(status, text)) => {
                let mut refusal = response(status, "text/plain; charset=utf-8", format!("{text}\n"));
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    refusal.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET"));
                }
                refusal
            }
            Ok(Wish::SignIn) => {
                let mut redirect =
                    response(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
                let headers = redirect.headers_mut();
                headers.insert(LOCATION, http::HeaderValue::from_static("/"));
                if let Ok(cookie) = self.guard.cookie().parse() {
                    headers.insert(SET_COOKIE, cookie);
                }
                redirect
            }
            Ok(Wish::Page) => response(StatusCode::OK, "text/html; charset=utf-8", content::page()),
            Ok(Wish::Data(question)) => {
                let json = source.view(question).await.and_then(|view| Ok(serde_json::to_string(&view)?));
                match json {
                    Ok(json) => response(StatusCode::OK, "application/json", json),
                    Err(error) => {
                        let text = format!("{error:#}\n");
                        response(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", text)
                    }
                }
            }
        }
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CORP, "same-origin"),
        (COOP, "same-origin"),
    ] {
        headers.insert(name, http::HeaderValue::from_static(value));
    }
    if let Ok(policy) = content::policy().parse() {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
