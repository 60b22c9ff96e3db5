//! One request to the public URL, as a client makes it: its name, its certificate, whatever is in front of the replicas.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::certificate::Noted;
use super::sample::Samples;
use crate::certificates::Verifier;
use crate::contract::ProbeUrl;

/// What the answer is; `probe_success 0` when there is none within `limit`, or when it is a server error.
pub(super) async fn measure(url: &ProbeUrl, limit: Duration) -> Samples {
    let began = Instant::now();
    let noted = Arc::new(Verifier::new(Noted::default(), &ring::default_provider()));
    let status = match timeout(limit, request(url, &noted)).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::warn!("the public URL does not answer: {error}");
            None
        }
        Err(_) => {
            tracing::warn!("the public URL does not answer within {limit:?}");
            None
        }
    };
    let success = status.is_some_and(|status| !status.is_server_error());
    let mut samples = Samples::default();
    samples.gauge("probe_success", "Whether the public URL answers", Some(f64::from(u8::from(success))));
    samples.gauge("probe_duration_seconds", "How long that took", Some(began.elapsed().as_secs_f64()));
    let status = status.map(|status| f64::from(status.as_u16()));
    samples.gauge("probe_http_status_code", "The status of the answer", status);
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    let expiry = noted.judge.expiry().map(|at| at as f64);
    let help = "When the first certificate of the chain expires, since 1970";
    samples.gauge("probe_ssl_earliest_cert_expiry", help, expiry);
    samples
}

async fn request(url: &ProbeUrl, noted: &Arc<Verifier<Noted>>) -> io::Result<StatusCode> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    if !url.https {
        return exchange(stream, url).await;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(noted.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
    exchange(TlsConnector::from(Arc::new(config)).connect(name, stream).await?, url).await
}

async fn exchange<S>(stream: S, url: &ProbeUrl) -> io::Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let host = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
    let usual = if url.https { 443 } else { 80 };
    let host = if url.port == usual { host } else { format!("{host}:{}", url.port) };
    let request = Request::get(url.path.as_str())
        .header(HOST, host)
        .header(USER_AGENT, concat!("appforge-exporter/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    Ok(sender.send_request(request).await.map_err(io::Error::other)?.status())
}
