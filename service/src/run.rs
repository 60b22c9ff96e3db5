//! Puts the parts together: start, serve, let clients go, end.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use http::StatusCode;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::Admin;
use crate::app::{App, Backend, Public};
use crate::cache::Cache;
use crate::check::Check;
use crate::contract::{Problem, variable};
use crate::front::{self, Front};
use crate::identity::Identities;
use crate::limiter::Limiter;
use crate::listen::{self, HandOver, Listeners};
use crate::logging;
use crate::metrics::{self, Metrics, Served};
use crate::mongodb::Mongodb;
use crate::open_files;
use crate::problem::TooMany;
use crate::redis::{self, Redis};
use crate::server::Connections;
use crate::settings::{self, Settings};

/// The exit code for settings that are wrong.
const SETTINGS_WRONG: u8 = 3;

/// The whole program: settings from the environment, TLS, a runtime, the service.
pub fn main() -> ExitCode {
    let settings = match self::settings(None) {
        Ok(settings) => settings,
        Err(problems) => {
            say(&format!("error: {}", settings::report(&problems)));
            return SETTINGS_WRONG.into();
        }
    };
    match start(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The settings of this process. An `upstream` wins over its variable.
///
/// # Errors
/// All that is wrong.
pub fn settings(upstream: Option<String>) -> Result<Settings, Vec<Problem>> {
    // A variable that is no text cannot be one of ours.
    let variables = std::env::vars_os();
    let variables =
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let upstream = upstream.map(|url| (variable::UPSTREAM_URL.to_owned(), url));
    Settings::from_env(variables.chain(upstream), |path| std::fs::read_to_string(path))
}

fn say(line: &str) {
    // Nothing is left to tell when stderr itself is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn start(settings: Settings) -> Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("a second TLS provider was installed")?;
    // One thread: replicas are how the service scales, and a busy runtime of several threads answers later.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings, None))
}

/// Serves until SIGTERM or SIGINT: on the sockets of a supervisor when there is one, else on those of the settings.
///
/// # Errors
/// When a listener cannot be opened, was not handed over, or a URI is malformed.
pub async fn serve(settings: Settings, supervisor: Option<HandOver>) -> Result<()> {
    logging::start(&settings.log)?;
    let outcome = serve_here(settings, supervisor).await;
    logging::flush();
    outcome
}

async fn serve_here(settings: Settings, supervisor: Option<HandOver>) -> Result<()> {
    open_files::raise_limit();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let listeners = match supervisor {
        Some(expected) => Listeners::handed_over(&expected)?,
        None => Listeners::handed_over_or_open(settings.public, settings.admin)?,
    };
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    serve_on(listeners, settings, shutdown).await
}

/// Serves on these listeners until `shutdown` ends, then lets the clients go.
///
/// # Errors
/// When a URI is malformed, or a port is taken.
pub async fn serve_on(
    listeners: Listeners,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let check = settings.check.map(listen::open).transpose()?;
    let forward = match settings.redis_forward {
        Some(address) => Some(redis::forward(&settings.redis.url, listen::open(address)?)?),
        None => None,
    };
    let mut registry = Registry::default();
    let _measured = metrics::lag::measure(&mut registry);
    let served = Served {
        replica: &settings.replica,
        front: matches!(settings.backend, settings::Backend::Front(_)),
        check: check.is_some(),
        bounds: &settings.latency_bounds,
    };
    let metrics = Metrics::new(&served, &mut registry);
    let redis = Redis::start(settings.redis, &mut registry)?;
    let limiter =
        settings.rate_limit.as_ref().map(|limit| Limiter::start(limit, redis.clone(), &mut registry));
    if limiter.is_none() {
        tracing::warn!("the rate limit is off: RATE_LIMIT_ENABLED=false");
    }
    let (backend, _watched) = match settings.backend {
        settings::Backend::Bundled { mongodb, cache_ttl } => {
            let mongodb = Mongodb::start(mongodb, &mut registry)?;
            let cache = Cache::new(redis.clone(), cache_ttl, &mut registry);
            (Backend::Bundled(mongodb, cache), None)
        }
        settings::Backend::Front(front) => {
            tracing::info!("requests that pass go to {}", front.url);
            let (upstreams, watched) = front::start(front, &mut registry);
            (Backend::Front(upstreams), Some(watched))
        }
    };
    let (requests, key) =
        (settings.rate_limit.as_ref().map_or(0, |limit| limit.requests), settings.identity.key.clone());
    let app = Arc::new(App {
        replica: settings.replica,
        backend,
        too_many: TooMany::new(StatusCode::TOO_MANY_REQUESTS, requests),
        redis,
        limiter,
        identities: Identities::new(settings.identity, &mut registry),
        metrics,
        registry,
        connections: Connections::default(),
        draining: AtomicBool::new(false),
        started: Instant::now(),
    });
    let admin_connections = Connections::default();
    // Whatever ends this function, even the caller dropping it, ends the listeners and their connections too.
    let _guards = (app.connections.end_on_drop(), admin_connections.end_on_drop());
    let addresses = listeners.public.iter().map(|listener| Ok(listener.local_addr()?.to_string()));
    let (addresses, admin_address) =
        (addresses.collect::<Result<Vec<_>>>()?.join(" and "), listeners.admin.local_addr()?);
    let connections = app.connections.clone();
    match &app.backend {
        Backend::Bundled(mongodb, cache) => {
            let public = Arc::new(Public::new(app.clone(), mongodb, cache.clone()));
            tokio::spawn(connections.accept(listeners.public, public));
        }
        Backend::Front(upstreams) => {
            let front = Arc::new(Front::new(app.clone(), upstreams.clone(), &key));
            if listeners.shared {
                tokio::spawn(connections.accept_while(upstreams.gate(), listeners.public, front));
            } else {
                tokio::spawn(connections.accept(listeners.public, front));
            }
        }
    }
    if let Some(listener) = check {
        tracing::info!("other proxies ask on {}", listener.local_addr()?);
        tokio::spawn(
            app.connections.clone().accept(vec![listener], Arc::new(Check::new(app.clone(), requests))),
        );
    }
    let admin = Arc::new(Admin::new(app.clone()));
    tokio::spawn(admin_connections.clone().accept(vec![listeners.admin], admin));
    tracing::info!("{} listens on {addresses}, for probes and metrics on {admin_address}", app.replica);
    shutdown.await;
    tracing::info!("no new connections; finishing what is under way on {}", app.connections.open());
    let drained = Instant::now();
    app.draining.store(true, Ordering::Relaxed);
    app.connections.drain();
    if !app.connections.closed(settings.shutdown_timeout).await {
        tracing::warn!("not all requests were finished in {} ms", settings.shutdown_timeout.as_millis());
    }
    if let Some(forward) = &forward {
        // A front ends before its app, which needs Redis until its own end: that begins when the drain may last no longer.
        let app_ends = drained + settings.shutdown_timeout;
        forward.outlast(app_ends.into(), settings.shutdown_timeout).await;
    }
    if let Some(limiter) = &app.limiter {
        limiter.close().await;
    }
    app.redis.close().await;
    if let Backend::Bundled(mongodb, _) = &app.backend {
        mongodb.close().await;
    }
    tracing::info!("done");
    Ok(())
}
