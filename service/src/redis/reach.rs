//! One attempt to reach Redis, which leaves nothing behind: no key, no place among the replicas.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{Instant, sleep, timeout};

use super::failure;
use super::source::Source;
use crate::contract::REDIS_KEY_PREFIX;

/// Between two attempts: an address may be reachable a moment later, when a network policy has arrived at the node.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Connects to `url`, logs in and waits for the answer to a ping, for at most `limit`.
///
/// # Errors
/// Why Redis does not answer, without credentials.
pub async fn reach(url: &str, limit: Duration) -> Result<(), String> {
    let source = Source::parse(url, REDIS_KEY_PREFIX).map_err(|error| error.to_string())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let why = match timeout(left, ping(&source, left)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => failure::describe(&error),
            Err(_) => return Err(format!("no answer within {limit:?}")),
        };
        if Instant::now() + RETRY_EVERY >= deadline {
            return Err(why);
        }
        sleep(RETRY_EVERY).await;
    }
}

/// Connects to the server that the service would use at `url`, for what the service itself does not ask.
///
/// # Errors
/// Why the server does not answer within `limit`, without credentials.
pub async fn connect(url: &str, limit: Duration) -> Result<MultiplexedConnection, String> {
    let source = Source::parse(url, REDIS_KEY_PREFIX).map_err(|error| error.to_string())?;
    match timeout(limit, open(&source, limit)).await {
        Ok(connection) => connection.map_err(|error| failure::describe(&error)),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}

async fn open(source: &Source, limit: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    source.client().await?.get_multiplexed_async_connection_with_config(&config).await
}

async fn ping(source: &Source, limit: Duration) -> Result<(), RedisError> {
    redis::cmd("PING").query_async::<String>(&mut open(source, limit).await?).await.map(drop)
}
