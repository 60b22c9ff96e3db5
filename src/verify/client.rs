//! Requests as a simulated client, each over a connection of its own unless told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use appforge_service::status::Statusz;
use appforge_service::{contract, probe};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::stack::values::Secret;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long a signature is valid.
const VALID: u64 = 300;

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The header of a client that nobody was before.
pub(super) fn fresh_client(secret: &Secret) -> Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system gave no randomness")?;
    let client = format!("verify-{:016x}", u64::from_ne_bytes(bytes));
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(probe::sign(secret.reveal().as_bytes(), &client, now + VALID))
}

/// `GET` over a connection of its own, as the client of the header.
pub(super) async fn get(base: &str, path: &str, client: Option<&str>) -> Result<Answer> {
    let whole = async {
        let uri: Uri = base.parse().with_context(|| format!("`{base}` is no address"))?;
        let authority = uri.authority().with_context(|| format!("`{base}` names no host"))?;
        if uri.scheme_str() != Some("http") {
            bail!("`{base}` is not reached over plain HTTP");
        }
        let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {authority}"))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors come back through the request.
        tokio::spawn(connection);
        let mut request = Request::get(path).header(http::header::HOST, authority.as_str());
        if let Some(client) = client {
            request = request.header(contract::PROBE_HEADER, client);
        }
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    let limited = tokio::time::timeout(LIMIT, whole).await;
    limited.with_context(|| format!("{base}{path} gave no answer within {}s", LIMIT.as_secs()))?
}

/// What a replica tells on its admin listener.
pub(super) async fn statusz(admin: &str) -> Result<Statusz> {
    let answer = get(admin, contract::admin::STATUSZ, None).await?;
    if answer.status != StatusCode::OK {
        bail!("{} answers {}", contract::admin::STATUSZ, answer.status);
    }
    serde_json::from_slice(&answer.body)
        .with_context(|| format!("{} is of another version", contract::admin::STATUSZ))
}
