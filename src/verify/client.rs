//! Requests as a simulated client, each over a connection of its own unless told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use appforge_service::status::Statusz;
use appforge_service::{contract, probe};
use http::Request;
use http_body_util::Full;

use crate::stack::values::Secret;
use crate::targets::admin;
pub(super) use crate::targets::admin::Answer;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a signature is valid.
const VALID: u64 = 300;

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
        let link = admin::connect(base.to_owned()).await?;
        let host = base.trim_start_matches("http://");
        let mut request = Request::get(path).header(http::header::HOST, host);
        if let Some(client) = client {
            request = request.header(contract::PROBE_HEADER, client);
        }
        admin::read(admin::send(link, request.body(Full::default())?).await?).await
    };
    let limited = tokio::time::timeout(LIMIT, whole).await;
    limited.with_context(|| format!("{base}{path} gave no answer within {}s", LIMIT.as_secs()))?
}

/// What a replica reports on its admin listener.
pub(super) async fn statusz(base: &str) -> Result<Statusz> {
    admin::statusz(admin::connect(base.to_owned())).await
}
