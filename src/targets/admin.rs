//! The HTTP/1 client for what the stack itself answers: admin listeners over TCP or a tunnel, the supervisor over its socket.
//! Follows no proxy and no redirect. Every answer is bounded in time and size.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use appforge_service::contract::admin;
use appforge_service::status::Statusz;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::targets::certificates::{self, Accept, Refused};

/// How long an admin listener may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Replicas that are addressed at once.
const AT_ONCE: usize = 8;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What bytes go through.
pub(crate) trait Link: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for T {}

/// A TCP connection to the host of `base`, such as `http://10.200.204.2:9090`.
///
/// # Errors
/// When `base` is not a plain HTTP address, or nothing listens there.
pub(crate) async fn connect(base: String) -> Result<TcpStream> {
    let (host, port) = place(&base, "http", 80)?;
    open(&host, port).await
}

/// A TLS connection to the host of `base`, such as `https://127.0.0.1:443`, which has a certificate that is accepted.
///
/// # Errors
/// When `base` is not an HTTPS address, nothing listens there, or the handshake fails.
pub(crate) async fn connect_tls(base: &str, accept: &Accept) -> Result<TlsStream<TcpStream>> {
    let (host, port) = place(base, "https", 443)?;
    let mut config = certificates::client(accept)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = open(&host, port).await?;
    let name = ServerName::try_from(host).with_context(|| format!("`{base}` has no name for TLS"))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    handshake.await.map_err(|error| match certificates::refused(&error, base) {
        Some(Refused::Another) => {
            anyhow!("{base} has another certificate than the stack file; `appforge up` replaces it")
        }
        _ => anyhow::Error::from(error).context(format!("the TLS handshake with {base} failed")),
    })
}

/// Host and port of `base`.
fn place(base: &str, scheme: &str, port: u16) -> Result<(String, u16)> {
    let uri: Uri = base.parse().with_context(|| format!("`{base}` is not an address"))?;
    let authority = uri.authority().with_context(|| format!("`{base}` names no host"))?;
    ensure!(uri.scheme_str() == Some(scheme), "`{base}` must begin with `{scheme}://`");
    Ok((authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(port)))
}

async fn open(host: &str, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.with_context(|| format!("cannot connect to {host}:{port}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request with a JSON body.
///
/// # Errors
/// When `path` is not one.
pub(crate) fn json(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let request = Request::builder().method(method).uri(path).header(HOST, "appforge");
    Ok(request.header(CONTENT_TYPE, "application/json").body(Full::new(body))?)
}

/// Sends one request and returns the answer with its body still to come.
///
/// # Errors
/// When the connection breaks or the answer is not HTTP.
pub(crate) async fn send(link: impl Link, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(link)).await?;
    // Its errors come back through the request.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Reads the rest of an answer.
///
/// # Errors
/// When it breaks off or is too large.
pub(crate) async fn read(answer: Response<Incoming>) -> Result<Answer> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
}

async fn ask<L: Link>(
    link: impl Future<Output = Result<L>>,
    request: Request<Full<Bytes>>,
) -> Result<Answer> {
    let whole = async { read(send(link.await?, request).await?).await };
    tokio::time::timeout(LIMIT, whole)
        .await
        .with_context(|| format!("no answer within {}s", LIMIT.as_secs()))?
}

/// `GET path` of what listens at `base`, such as Prometheus.
///
/// # Errors
/// When the answer is incomplete, or not a success.
pub(crate) async fn get(base: &str, path: &str) -> Result<Bytes> {
    let answer = ask(connect(base.to_owned()), json(Method::GET, path, Bytes::new())?).await?;
    ensure!(answer.status.is_success(), "{path} answers {}", answer.status);
    Ok(answer.body)
}

/// `GET /readyz`: whether the replica takes requests.
///
/// # Errors
/// When there is no whole answer, or it is not 200.
pub(crate) async fn ready<L: Link>(link: impl Future<Output = Result<L>>) -> Result<()> {
    let answer = ask(link, json(Method::GET, admin::READYZ, Bytes::new())?).await?;
    ensure!(answer.status == StatusCode::OK, "{} answers {}", admin::READYZ, answer.status);
    Ok(())
}

/// `GET /statusz`: what the replica reports of itself.
///
/// # Errors
/// When there is no whole answer, or it is that of another version.
pub(crate) async fn statusz<L: Link>(link: impl Future<Output = Result<L>>) -> Result<Statusz> {
    let answer = ask(link, json(Method::GET, admin::STATUSZ, Bytes::new())?).await?;
    if answer.status != StatusCode::OK {
        bail!("{} answers {}", admin::STATUSZ, answer.status);
    }
    serde_json::from_slice(&answer.body)
        .with_context(|| format!("{} has the format of another version", admin::STATUSZ))
}

/// `GET /metrics`: what the replica counts and measures, as text.
///
/// # Errors
/// When the answer is incomplete, or it is not 200.
pub(crate) async fn metrics<L: Link>(link: impl Future<Output = Result<L>>) -> Result<Bytes> {
    let answer = ask(link, json(Method::GET, admin::METRICS, Bytes::new())?).await?;
    ensure!(answer.status == StatusCode::OK, "{} answers {}", admin::METRICS, answer.status);
    Ok(answer.body)
}

/// `PUT /replicas`: over how many replicas each of these shares the limit while Redis is away. Returns a line for each that does
/// not take the number: it keeps its own, and the limit in Redis does not depend on it.
pub(crate) async fn share_limit<L: Link, F: Future<Output = Result<L>>>(
    replicas: Vec<(String, F)>,
    count: u32,
) -> Vec<String> {
    let mut lines = Vec::new();
    let (names, links): (Vec<String>, Vec<F>) = replicas.into_iter().unzip();
    let mut puts = stream::iter(links.into_iter().map(|link| put_replicas(link, count))).buffered(AT_ONCE);
    for name in names {
        if let Some(Err(error)) = puts.next().await {
            lines.push(format!("cannot set the number of replicas at {name}: {error:#}"));
        }
    }
    lines
}

async fn put_replicas<L: Link>(link: impl Future<Output = Result<L>>, count: u32) -> Result<()> {
    let body = Bytes::from(serde_json::json!({"replicas": count}).to_string());
    let answer = ask(link, json(Method::PUT, admin::REPLICAS, body)?).await?;
    ensure!(answer.status.is_success(), "{} answers {}", admin::REPLICAS, answer.status);
    Ok(())
}

/// `PUT /upstreams`: where the app of a front listens on this machine, then where those of its siblings do.
///
/// # Errors
/// When the answer is incomplete, or the front refuses.
pub(crate) async fn upstreams<L: Link>(link: impl Future<Output = Result<L>>, ports: &[u16]) -> Result<()> {
    let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let body = Bytes::from(serde_json::json!({"upstreams": addresses}).to_string());
    let answer = ask(link, json(Method::PUT, admin::UPSTREAMS, body)?).await?;
    ensure!(answer.status.is_success(), "{} answers {}", admin::UPSTREAMS, answer.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A listener that answers each request with `status`; its address.
    async fn listener(status: &'static str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        base
    }

    #[tokio::test]
    async fn share_limit_names_replicas_that_do_not_take_it() {
        let bases = [
            ("taken", listener("200 OK").await),
            ("refused", listener("400 Bad Request").await),
            ("gone", "http://127.0.0.1:1".to_owned()),
        ];
        let links = bases.into_iter().map(|(name, base)| (name.to_owned(), connect(base))).collect();
        let lines = share_limit(links, 3).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        let begins = |line: &str, words: &str| assert!(line.starts_with(words), "{line}");
        begins(&lines[0], "cannot set the number of replicas at refused: /replicas answers 400 Bad Request");
        begins(&lines[1], "cannot set the number of replicas at gone: ");
    }

    #[tokio::test]
    async fn replica_is_ready_only_when_it_answers_200() {
        ready(connect(listener("200 OK").await)).await.unwrap();
        let error = ready(connect(listener("503 Service Unavailable").await)).await.unwrap_err();
        assert_eq!(error.to_string(), "/readyz answers 503 Service Unavailable");
        let error = statusz(connect(listener("200 OK").await)).await.unwrap_err();
        assert_eq!(error.to_string(), "/statusz has the format of another version");
    }
}
