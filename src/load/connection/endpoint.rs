//! Where requests go: a URL, taken apart, resolved once and tried once before a run begins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Uri;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::{ExitStatus, Failure};
use crate::load::connection::kind::ErrorKind;
use crate::targets::certificates::{self, Accept, Refused};

/// How long one connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// A service that answers HTTP/1.1 at one host and port.
#[derive(Clone)]
pub struct Endpoint {
    base: String,
    path: Option<String>,
    host: String,
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// Takes `url` apart, resolves its host, and keeps the addresses that take a connection. No request is sent.
    ///
    /// Exit statuses: usage for a URL that cannot be one, unreachable for everything the network says.
    pub(crate) async fn prepare(url: &str, accept: &Accept) -> Result<Self> {
        let Parts { tls, host, port, path } = parts(url)?;
        let base = format!("{}://{}", if tls { "https" } else { "http" }, shown(&host, port, tls));
        let unreachable = |text: String| Failure::new(ExitStatus::Unreachable, text);
        let lookup = timeout(CONNECT, tokio::net::lookup_host((host.as_str(), port))).await;
        let addresses: Vec<SocketAddr> = match lookup {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                return Err(unreachable(format!("cannot resolve the host `{host}`")).caused_by(error).into());
            }
            Err(_) => return Err(unreachable(format!("cannot resolve the host `{host}` within 5s")).into()),
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| usage(format!("`{host}` is not a valid host name for TLS")))?;
        let tls = if tls { Some((connector(accept)?, name)) } else { None };
        let header = shown(&host, port, tls.is_some());
        let mut endpoint = Self { base, path, host: header, addresses: Vec::new(), tls };
        let mut failure = None;
        for address in addresses {
            endpoint.addresses.push(address);
            if let Err(error) = endpoint.probe(endpoint.addresses.len() - 1).await {
                endpoint.addresses.pop();
                let refused = certificates::refused(error.as_ref(), &host);
                let text = format!("cannot connect to {} ({address})", endpoint.base);
                let found = hinted(unreachable(text).caused_by(error), refused.as_ref());
                // What a server said at one address counts more than that none listens at another.
                failure = failure.filter(|_| refused.is_none()).or(Some(found));
            }
        }
        match failure.filter(|_| endpoint.addresses.is_empty()) {
            Some(failure) => Err(failure.into()),
            None if endpoint.addresses.is_empty() => {
                Err(unreachable(format!("cannot resolve the host `{host}`")).into())
            }
            None => Ok(endpoint),
        }
    }

    /// Scheme, host and port.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Path and query of the URL, when it has more than `/`.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Whether all addresses are this machine's own.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// The value of the header `host`.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn tls(&self) -> Option<(&TlsConnector, ServerName<'static>)> {
        self.tls.as_ref().map(|(connector, name)| (connector, name.clone()))
    }

    pub(super) async fn connect(&self, number: usize) -> Result<TcpStream, ErrorKind> {
        let address =
            self.addresses.get(number % self.addresses.len().max(1)).ok_or(ErrorKind::Unreachable)?;
        let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(|error| ErrorKind::of_io(&error))?,
            Err(_) => return Err(ErrorKind::ConnectTimeout),
        };
        // A request is written whole; waiting for more would only measure Nagle's algorithm.
        stream.set_nodelay(true).map_err(|error| ErrorKind::of_io(&error))?;
        Ok(stream)
    }

    async fn probe(&self, number: usize) -> Result<()> {
        let stream = self.connect(number).await.map_err(|kind| anyhow::anyhow!(kind.meaning()))?;
        if let Some((connector, name)) = self.tls() {
            let handshake = timeout(CONNECT, connector.connect(name, stream)).await;
            let Ok(outcome) = handshake else { anyhow::bail!("no TLS handshake within 5s") };
            outcome.context("TLS handshake failed")?;
        }
        Ok(())
    }
}

struct Parts {
    tls: bool,
    host: String,
    port: u16,
    path: Option<String>,
}

fn parts(url: &str) -> Result<Parts> {
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| {
        usage("--url: expected a URL such as `http://localhost:5000`".into()).caused_by(error)
    })?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(usage("--url must start with `http://` or `https://`".into()).into()),
    };
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        // It would end up in reports and in the process list.
        return Err(usage("--url must not contain a user name or password".into())
            .hint("set an `authorization` header in a scenario file; `${env:TOKEN}` reads its value from a variable")
            .into());
    }
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| usage(format!("the URL `{url}` has no host")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = uri.path_and_query().map(|path| rooted(path.as_str())).filter(|path| path != "/");
    let port = match uri.port() {
        Some(port) => port.as_u16(),
        None if authority.ends_with(':')
            || authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']')) =>
        {
            return Err(usage(format!("the URL `{url}` has no valid port")).into());
        }
        None if tls => 443,
        None => 80,
    };
    Ok(Parts { tls, host, port, path })
}

/// A path begins with `/`, also where the URL goes from the host straight to its query (RFC 9112, section 3.2.1).
fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn shown(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == if tls { 443 } else { 80 } { host } else { format!("{host}:{port}") }
}

fn hinted(failure: Failure, refused: Option<&Refused>) -> Failure {
    match refused {
        Some(Refused::Certificate(hint)) => {
            failure.hint(hint.as_str()).hint("`--insecure` accepts any certificate")
        }
        Some(Refused::Another) => failure
            .hint("`appforge up` gives the gateway the certificate of the stack file")
            .hint("`--insecure` accepts any certificate"),
        Some(Refused::NoTls) => failure.hint("does the port serve TLS? otherwise use `http://`"),
        None => failure.hint("start the stack (`appforge up`), or check its state (`appforge status`)"),
    }
}

fn connector(accept: &Accept) -> Result<TlsConnector> {
    let mut config = certificates::client(accept)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn usage(text: String) -> Failure {
    Failure::new(ExitStatus::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::status_of;

    #[test]
    fn a_url_is_taken_apart() {
        let parts =
            |url: &str| parts(url).map(|parts| (parts.tls, parts.host, parts.port, parts.path)).unwrap();
        assert_eq!(parts("http://localhost:5000"), (false, "localhost".into(), 5000, None));
        assert_eq!(parts("https://shop.example/"), (true, "shop.example".into(), 443, None));
        assert_eq!(parts("http://[::1]:8080/a?b=c"), (false, "::1".into(), 8080, Some("/a?b=c".into())));
        assert_eq!(parts("http://[::1]"), (false, "::1".into(), 80, None));
        assert_eq!(parts("http://a:8080?x=1"), (false, "a".into(), 8080, Some("/?x=1".into())));
        assert_eq!(parts("https://a?x=/y"), (true, "a".into(), 443, Some("/?x=/y".into())));
        assert_eq!(parts("http://a/?x"), (false, "a".into(), 80, Some("/?x".into())));
        assert_eq!(parts("http://a#x"), (false, "a".into(), 80, None));
    }

    #[test]
    fn what_is_no_url_or_carries_a_password_is_a_usage_error() {
        for url in ["", "localhost:5000", "ftp://x", "http://", "http://a:b@c", "http://x:99999", "http:// x"]
        {
            let error = parts(url).map(|_| ()).unwrap_err();
            assert_eq!(status_of(&error), ExitStatus::Usage, "{url}: {error}");
            assert!(!format!("{error:#}").contains("a:b"), "{error:#}");
        }
    }
}
