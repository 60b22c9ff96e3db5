//! One attempt to reach Redis, which leaves nothing behind: no key, no place among the replicas.

use std::time::Duration;

use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{Instant, sleep, timeout};

use super::failure;
use super::source::Source;

/// Between two attempts: an address may be reachable a moment later, when a network policy has arrived at the node.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// Connects to `url`, logs in and waits for the answer to a ping, for at most `limit`.
///
/// # Errors
/// Why Redis does not answer, without credentials.
pub async fn reach(url: &str, limit: Duration) -> Result<(), String> {
    let source = Source::parse(url).map_err(|error| error.to_string())?;
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

async fn ping(source: &Source, limit: Duration) -> Result<(), RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit));
    let client = source.client().await?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd("PING").query_async::<String>(&mut connection).await.map(drop)
}
