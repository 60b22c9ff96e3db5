//! Small HTTP/1 questions to our own listeners: admin listeners over TCP, the supervisor over its socket.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use http::StatusCode;

/// How long a question to an admin listener may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// `GET path` at `address`, bounded in time and size.
///
/// # Errors
/// When there is no whole answer.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    request(address, "GET", path, Bytes::new()).await
}

/// `PUT path` with a JSON body at `address`, bounded in time and size.
///
/// # Errors
/// When there is no whole answer.
pub async fn put(address: SocketAddr, path: &str, body: &serde_json::Value) -> Result<Answer> {
    request(address, "PUT", path, body.to_string().into()).await
}

async fn request(address: SocketAddr, method: &str, path: &str, body: Bytes) -> Result<Answer> {
    let whole = async {
        let stream = TcpStream::connect(address).await?;
        let answer = send(stream, method, path, body).await?;
        read(answer).await
    };
    tokio::time::timeout(LIMIT, whole)
        .await
        .with_context(|| format!("`{address}` gave no answer within {}s", LIMIT.as_secs()))?
}

/// Sends one request over `stream` and returns the answer with its body still to come.
///
/// # Errors
/// When the connection breaks or the answer is no HTTP.
pub async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    path: &str,
    body: Bytes,
) -> Result<http::Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors come back through the request.
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "appforge")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    Ok(sender.send_request(request).await?)
}

/// Reads the rest of an answer.
///
/// # Errors
/// When it breaks off or is too large.
pub async fn read(answer: http::Response<Incoming>) -> Result<Answer> {
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(Answer { status, body: body.to_bytes() })
}
