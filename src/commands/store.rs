//! `store`: runs an embedded store on the socket that the supervisor hands over.

use anyhow::{Result, anyhow};
use appforge_service::listen::handed_over;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::StoreArgs;
use crate::commands::serve::log_to_stderr;
use crate::error::ExitStatus;
use appforge_embedded::{mongodb, redis};

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: StoreArgs) -> Result<ExitStatus> {
    log_to_stderr();
    let [listener] = handed_over([("store", args.socket)])?;
    let address = args.socket;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    tracing::info!("the embedded {} listens on {address}", args.name);
    if args.name == "mongodb" {
        mongodb::serve(listener, mongodb::Options { data: args.data }, shutdown).await?;
    } else {
        let eviction = redis::Eviction::named(&args.maxmemory_policy)
            .ok_or_else(|| anyhow!("unknown Redis eviction policy `{}`", args.maxmemory_policy))?;
        let options = redis::Options { data: args.data, max_memory: args.maxmemory, eviction };
        redis::serve(listener, options, shutdown).await?;
    }
    Ok(ExitStatus::Done)
}
