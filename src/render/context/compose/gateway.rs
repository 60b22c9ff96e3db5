//! The gateway, as the compose file and `haproxy.cfg` have it.

use std::net::Ipv4Addr;

use appforge_service::identity::networks;
use serde::Serialize;

use crate::render::Overrides;
use crate::render::context::compose::{GATEWAY_VARIABLES, TLS_CERT, TLS_KEY, published_on};
use crate::stack::Stack;

/// Where the gateway listens inside its container.
const PORT: u16 = 8080;
/// Where it redirects HTTP to HTTPS.
const REDIRECT_PORT: u16 = 8081;
/// Where fronts reach the app; never published.
const INNER_PORT: u16 = 8082;
/// Where the gateway answers its health check and metrics; never published.
const STATS_PORT: u16 = 8404;
/// Where the gateway asks itself about the app; inside its container.
const GATE_PORT: u16 = 8405;

/// The gateway.
#[derive(Serialize)]
pub(super) struct Gateway {
    image: String,
    bind: String,
    port: u16,
    listen: u16,
    inner: u16,
    stats: u16,
    gate: u16,
    pub(super) address: Ipv4Addr,
    /// Places for replicas; more than will ever run, so that `scale` changes no configuration.
    slots: u32,
    /// Networks of trusted proxies.
    outer_proxies: Vec<String>,
    /// What it says of the scheme of a request.
    scheme: &'static str,
    tls: Option<Tls>,
    variables_file: String,
    pub(super) config_hash: String,
}

/// HTTPS.
#[derive(Serialize)]
struct Tls {
    /// Where HTTP is redirected.
    redirect: Option<Redirect>,
    /// `:PORT` of URLs, empty for the usual one.
    suffix: String,
}

#[derive(Serialize)]
struct Redirect {
    port: u16,
    listen: u16,
}

impl Gateway {
    pub(super) fn new(stack: &Stack, address: Ipv4Addr, overrides: &Overrides) -> Self {
        let port = stack.service.port;
        Self {
            image: stack.compose.gateway_image.to_string(),
            bind: published_on(stack).to_string(),
            port,
            listen: PORT,
            inner: INNER_PORT,
            stats: STATS_PORT,
            gate: GATE_PORT,
            address,
            slots: stack.service.replicas.saturating_mul(2).next_power_of_two().max(64),
            outer_proxies: outer_proxies(stack),
            tls: stack.compose.tls.as_ref().map(|tls| Tls {
                redirect: tls.http_port.map(|port| Redirect { port, listen: REDIRECT_PORT }),
                suffix: if port == 443 { String::new() } else { format!(":{port}") },
            }),
            scheme: if stack.compose.tls.is_some() { "https" } else { "http" },
            variables_file: format!("{}/{GATEWAY_VARIABLES}", overrides.secrets),
            config_hash: String::new(),
        }
    }

    /// The secret files that it reads.
    pub(super) fn secrets(&self) -> Vec<&'static str> {
        if self.tls.is_some() { vec![TLS_CERT, TLS_KEY] } else { Vec::new() }
    }

    /// Where clients arrive, as other containers reach it.
    pub(super) fn public_url(&self) -> String {
        format!("{}://{}:{PORT}", self.scheme, self.address)
    }

    /// Where it serves metrics.
    pub(super) fn stats_port(&self) -> u16 {
        self.stats
    }

    /// Where fronts reach the app.
    pub(super) fn inner_url(&self) -> String {
        format!("http://{}:{INNER_PORT}", self.address)
    }
}

/// What the gateway compares a peer with: HAProxy takes networks, and no name of a provider.
fn outer_proxies(stack: &Stack) -> Vec<String> {
    let of_file = |_: &str| Err(std::io::ErrorKind::Unsupported.into());
    let listed = stack.rate_limit.trusted_proxies.iter();
    listed
        .flat_map(|entry| match networks(entry, &of_file) {
            // What cannot be read was refused by `validate`.
            Err(_) => vec![entry.clone()],
            Ok(networks) if networks.len() == 1 => vec![entry.clone()],
            Ok(networks) => networks.iter().map(ToString::to_string).collect(),
        })
        .collect()
}
