//! The exporter: what monitoring cannot learn from replicas. One process a stack, with the stores under the names of the usual
//! exporters, a request to the public URL, and the number of replicas that the stack asks for.
//!
//! Each scrape measures again, within a time limit, and shows only what it found: a store that does not answer has `redis_up 0` or
//! `mongodb_up 0` and no other series.

mod certificate;
mod mongodb;
mod probe;
mod redis;
mod sample;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower::Service;

use self::mongodb::Mongodb;
use self::sample::Samples;
use crate::contract::{ADMIN_PORT, ExporterEnvironment, ProbeUrl, Problem, admin, variable};
use crate::metrics::{Exposition, Process, build};
use crate::problem::Problem as NotFound;
use crate::server::{Connections, Handler, RequestBody};
use crate::settings::{Read, secret};
use crate::{listen, logging};

/// How long a store or the public URL may take to answer. Prometheus waits for 10 s at most.
const LIMIT: Duration = Duration::from_secs(3);
/// How long scrapes may take to finish once the exporter has to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// The exporter's name among replicas.
const NAME: &str = "exporter";

/// All settings of the exporter.
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is logged, and how.
    pub log: logging::Settings,
    sources: Sources,
}

/// What is measured.
struct Sources {
    redis: Option<String>,
    mongodb: Option<Mongodb>,
    probe: Option<ProbeUrl>,
    replicas_desired: Option<u32>,
    replicas_max: Option<u32>,
}

impl Settings {
    /// Reads the variables; `read` gives the text of a file that a `*_FILE` variable names.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_env(
        variables: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Vec<Problem>> {
        let environment = ExporterEnvironment::parse(variables)?;
        let (read, mut problems): (Read<'_>, _) = (&read, Vec::new());
        let redis = secret(environment.redis_url.as_ref(), variable::REDIS_URL_FILE, read, &mut problems);
        let mongodb =
            secret(environment.mongodb_uri.as_ref(), variable::MONGODB_URI_FILE, read, &mut problems);
        let settings = Self {
            address: SocketAddr::new(
                environment.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                environment.port.unwrap_or(ADMIN_PORT),
            ),
            log: logging::Settings {
                format: environment.log_format.unwrap_or_default(),
                level: environment.log_level.unwrap_or(tracing::Level::INFO),
            },
            sources: Sources {
                redis,
                mongodb: mongodb.map(|uri| Mongodb::new(uri, environment.mongodb_database)),
                probe: environment.probe_url,
                replicas_desired: environment.replicas_desired,
                replicas_max: environment.replicas_max,
            },
        };
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the port is taken.
pub async fn export(settings: Settings) -> Result<()> {
    logging::start(&settings.log)?;
    let listener = listen::open(settings.address)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    let outcome = export_on(listener, settings, shutdown).await;
    logging::flush();
    outcome
}

/// Serves on this listener until `shutdown` ends.
///
/// # Errors
/// When the listener has no address.
pub async fn export_on(
    listener: TcpListener,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let address = listener.local_addr()?;
    let connections = Connections::default();
    let _guard = connections.end_on_drop();
    tokio::spawn(connections.clone().accept(vec![listener], Arc::new(Exporter::new(settings.sources))));
    tracing::info!("metrics of the stores on {address}");
    shutdown.await;
    connections.drain();
    if !connections.closed(SHUTDOWN_LIMIT).await {
        tracing::warn!("not all scrapes were finished in {} s", SHUTDOWN_LIMIT.as_secs());
    }
    Ok(())
}

/// Answers scrapes.
struct Exporter {
    router: Router,
}

impl Exporter {
    fn new(sources: Sources) -> Self {
        let mut own = Registry::default();
        own.register_collector(Box::new(Process::starts()));
        own.register("appforge_build", "What runs", build(NAME));
        let router = Router::new()
            .route(admin::LIVEZ, get(async || "ok\n"))
            .route(admin::READYZ, get(async || "ok\n"))
            .route(admin::METRICS, get(metrics))
            .fallback(async || NotFound::not_found())
            .with_state(Arc::new((sources, own)));
        Self { router }
    }
}

impl Handler for Exporter {
    type Body = Body;

    async fn handle(&self, _peer: SocketAddr, request: Request<RequestBody>) -> Response<Body> {
        match self.router.clone().call(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

async fn metrics(State(state): State<Arc<(Sources, Registry)>>, headers: HeaderMap) -> impl IntoResponse {
    let (sources, own) = &*state;
    let format = Exposition::preferred(&headers);
    let mut found = Registry::default();
    found.register_collector(Box::new(sources.measure().await));
    ([(CONTENT_TYPE, format.content_type())], format.encode_all(&[own, &found]))
}

impl Sources {
    /// Asks all sources at once.
    async fn measure(&self) -> Samples {
        let redis = async {
            match &self.redis {
                Some(url) => redis::measure(url, LIMIT).await,
                None => Samples::default(),
            }
        };
        let mongodb = async {
            match &self.mongodb {
                Some(mongodb) => mongodb.measure(LIMIT).await,
                None => Samples::default(),
            }
        };
        let probe = async {
            match &self.probe {
                Some(url) => probe::measure(url, LIMIT).await,
                None => Samples::default(),
            }
        };
        let (mut all, mongodb, probe) = tokio::join!(redis, mongodb, probe);
        all.extend(mongodb);
        all.extend(probe);
        let desired = self.replicas_desired.map(f64::from);
        all.gauge("appforge_replicas_desired", "Replicas that the stack asks for", desired);
        let most = self.replicas_max.map(f64::from);
        all.gauge("appforge_replicas_max", "Most replicas that the stack may have", most);
        all
    }
}
