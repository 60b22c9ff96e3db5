//! Whether a component is ready: asked over its own protocol, each question bounded.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::stack::values::Secret;
use crate::targets::admin;
use crate::targets::local::supervisor::{direct, replica_set};

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The pause between questions to a program that does not listen yet: it grows from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// How to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// `GET /readyz` on the admin listener of a replica.
    Service(SocketAddr),
    /// `PING`, then the version, at this URL.
    Redis(Secret),
    /// `buildInfo`.
    Mongodb(SocketAddr),
    /// The same of the primary of a set of one, which the question makes it.
    MongodbSet(SocketAddr),
}

impl Probe {
    /// Asks until the answer is yes, and returns the version. The caller bounds it.
    pub(crate) async fn until_ready(self) -> String {
        let mut pause = PAUSES.0;
        loop {
            if let Ok(Ok(version)) = tokio::time::timeout(LIMIT, self.clone().ask()).await {
                return version;
            }
            // A program that does not listen yet gives no event to wait for.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// When it is not ready.
    pub(crate) async fn ask(self) -> Result<String> {
        match self {
            Self::Service(address) => {
                admin::ready(admin::connect(format!("http://{address}"))).await?;
                Ok(env!("CARGO_PKG_VERSION").to_owned())
            }
            Self::Redis(url) => redis_version(&url).await,
            Self::Mongodb(address) => mongodb_version(address).await,
            Self::MongodbSet(address) => replica_set::primary(address).await,
        }
    }
}

async fn redis_version(url: &Secret) -> Result<String> {
    let client = redis::Client::open(url.reveal())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let pong: String = redis::cmd("PING").query_async(&mut connection).await?;
    if pong != "PONG" {
        bail!("PING was answered with something else");
    }
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    field("valkey_version:").or_else(|| field("redis_version:")).context("INFO has no version")
}

async fn mongodb_version(address: SocketAddr) -> Result<String> {
    let client = direct::client(address).await?;
    let info = client.database("admin").run_command(bson::doc! {"buildInfo": 1}).await;
    client.shutdown().immediate(true).await;
    Ok(info?.get_str("version")?.to_owned())
}
