//! One attempt to reach MongoDB, without a pool that outlives it.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use tokio::time::timeout;

use super::failure;

/// How long closing the connections of the attempt may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Connects to `uri`, logs in and waits for the answer to a ping, for at most `limit`.
///
/// # Errors
/// Why no server answers, without credentials.
pub async fn reach(uri: &str, limit: Duration) -> Result<(), String> {
    let ask = async {
        let mut options = ClientOptions::parse(uri).await?;
        options.app_name = Some("appforge reach".to_owned());
        options.max_pool_size = Some(1);
        options.min_pool_size = None;
        options.server_selection_timeout = Some(limit);
        options.connect_timeout = Some(limit);
        let client = Client::with_options(options)?;
        let answer = client.database("admin").run_command(doc! {"ping": 1}).await;
        // The answer is what counts; connections that stay open end with the process.
        let _ = timeout(CLOSE_LIMIT, client.shutdown().immediate(true)).await;
        answer
    };
    match timeout(limit + CLOSE_LIMIT, ask).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failure::describe(&error)),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}
