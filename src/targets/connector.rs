//! Connections for HTTP clients, direct or through a proxy. The callers wrap them in TLS, which ends at the server and not at
//! the proxy.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::proxy::{Proxies, Proxy};
use crate::targets::certificates::{self, Accept};

/// How long a connection may take, with the handshake of a proxy.
const CONNECT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    proxies: Arc<Proxies>,
    direct: HttpConnector,
}

/// A connection.
pub(crate) struct Stream {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether a proxy reads the requests, which then name the server in full.
    forwarded: bool,
}

impl Connector {
    /// Connects to nothing yet.
    pub(crate) fn new(proxies: Proxies) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_connect_timeout(Some(CONNECT));
        direct.set_nodelay(true);
        Self { proxies: Arc::new(proxies), direct }
    }

    async fn connect(self, server: Uri) -> Result<Stream, BoxError> {
        let Some(proxy) = self.proxies.to(&server)? else {
            let io = self.direct.oneshot(server).await?;
            return Ok(Stream { io: MaybeHttpsStream::Http(io), forwarded: false });
        };
        let address = proxy.uri.clone();
        let io = match (proxy.uri.scheme_str(), server.scheme_str()) {
            (Some("socks5" | "socks5h"), _) => {
                let mut socks = SocksV5::new(address, self.direct);
                if let Some((user, password)) = &proxy.login {
                    socks = socks.with_auth(user.clone(), password.reveal().to_owned());
                }
                MaybeHttpsStream::Http(socks.oneshot(server).await?)
            }
            (_, Some("https")) => {
                let mut tunnel = Tunnel::new(address, self.to(&proxy)?);
                if let Some(authorization) = proxy.authorization() {
                    tunnel = tunnel.with_auth(authorization);
                }
                tunnel.oneshot(server).await?
            }
            _ => return Ok(Stream { io: self.to(&proxy)?.oneshot(address).await?, forwarded: true }),
        };
        Ok(Stream { io, forwarded: false })
    }

    /// Connects to a proxy, which may itself require TLS.
    fn to(self, proxy: &Proxy) -> Result<HttpsConnector<HttpConnector>, BoxError> {
        let config = match proxy.uri.scheme_str() {
            Some("https") => certificates::client(&Accept::Trusted)?,
            // Never asked for a handshake; so it needs no certificates of this machine.
            _ => ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(config);
        Ok(builder.https_or_http().enable_http1().wrap_connector(self.direct))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT, self.clone().connect(server));
        async move { connecting.await.map_err(io::Error::from)? }.boxed()
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.forwarded)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
