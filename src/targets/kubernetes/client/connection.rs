//! The HTTP client of one cluster: the layers of the kube crate over connections that follow our proxy rules.
//!
//! The crate's own proxy support stays off: it compares `NO_PROXY` with the address of the proxy instead of the server's, and
//! fails on entries such as an empty one.

use http::HeaderValue;
use hyper_util::rt::TokioExecutor;
use kube::client::{ClientBuilder, ConfigExt};
use kube::config::{Config, Kubeconfig};
use kube::{Client, Result};
use tower::{BoxError, ServiceBuilder};

use crate::targets::connector::Connector;
use crate::targets::proxy::{Proxies, Proxy};

/// Keeps the crate from reading the environment.
const UNUSED: &str = "http://proxy.invalid";

/// The proxies for a cluster: its `proxy-url`, which as in kubectl applies to every address, else those of the environment.
/// Hides the key from the crate.
pub(crate) fn proxies(kubeconfig: &mut Kubeconfig, cluster: &str) -> Proxies {
    let named = kubeconfig.clusters.iter_mut().find(|known| known.name == cluster);
    let Some(cluster) = named.and_then(|named| named.cluster.as_mut()) else {
        return Proxies::from_environment();
    };
    match cluster.proxy_url.replace(UNUSED.to_owned()).filter(|url| !url.is_empty()) {
        Some(url) => Proxies::of_kubeconfig(&url),
        None => Proxies::from_environment(),
    }
}

/// The token of a file, which whoever writes it may replace any time, and may end with a newline; the crate takes it as it is.
/// Without one the server says what is missing.
fn bearer(file: &str) -> Option<HeaderValue> {
    let token = std::fs::read_to_string(file).ok()?;
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.trim())).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}

/// Builds the client and sends no request yet. A program that gives credentials runs, and blocks. `proxy` is the one for the cluster.
pub(crate) fn build(mut config: Config, proxies: Proxies, proxy: Option<&Proxy>) -> Result<Client> {
    let token = config.auth_info.token_file.take().filter(|_| config.auth_info.token.is_none());
    let connector = config.rustls_https_connector_with_connector(Connector::new(proxies))?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    // A tunnel carries the login in its `CONNECT`; without TLS each request carries it.
    let forwarded = config.cluster_url.scheme_str() == Some("http");
    let login = proxy.filter(|_| forwarded).and_then(Proxy::authorization);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_request(move |mut request: http::Request<kube::client::Body>| {
            if let Some(login) = &login {
                request.headers_mut().insert(http::header::PROXY_AUTHORIZATION, login.clone());
            }
            if let Some(bearer) = token.as_deref().and_then(bearer) {
                request.headers_mut().insert(http::header::AUTHORIZATION, bearer);
            }
            request
        })
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
