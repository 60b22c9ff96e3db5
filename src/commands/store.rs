//! `store`: runs an embedded store on the socket that the supervisor hands over. `store-container`: runs a server in a container.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use appforge_service::listen::handed_over;
use appforge_service::open_files;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::store::{StoreArgs, StoreContainerArgs};
use crate::commands::serve::log_to_stderr;
use crate::error::{ExitStatus, Failure};
use crate::stack::StoreKind;
use crate::targets::compose::StoreContainer;
use appforge_embedded::{Loss, mongodb, redis};

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(args: StoreArgs) -> Result<ExitStatus> {
    log_to_stderr();
    open_files::raise_limit();
    let listener = handed_over(&[("store", args.socket)])?.pop().context("no socket was handed over")?;
    let address = args.socket;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    tracing::info!("the embedded {} listens on {address}", args.name.as_str());
    let served = match args.name {
        StoreKind::Mongodb => mongodb::serve(listener, mongodb::Options { data: args.data }, shutdown).await,
        StoreKind::Redis => {
            let eviction = redis::Eviction::named(&args.maxmemory_policy)
                .ok_or_else(|| anyhow!("unknown Redis eviction policy `{}`", args.maxmemory_policy))?;
            let options = redis::Options { data: args.data, max_memory: args.maxmemory, eviction };
            redis::serve(listener, options, shutdown).await
        }
    };
    served.map(|()| ExitStatus::Done).map_err(|error| match error.downcast::<Loss>() {
        Ok(loss) => Failure::new(ExitStatus::Failed, loss.to_string())
            .hint("restore a copy of the data, or continue with what it holds: `appforge up --accept-loss`")
            .into(),
        Err(other) => other,
    })
}

/// Runs a server in a container until SIGTERM, SIGINT, or the end of the supervisor.
pub(super) async fn run_container(args: StoreContainerArgs) -> Result<ExitStatus> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Killed, it could not remove the container.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .context("cannot bind this process to its supervisor")?;
    let shutdown = async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    };
    let absolute = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
    // Below sudo that is the user behind it.
    let owner = std::fs::metadata(&args.data).context("cannot read the data folder")?;
    let container = StoreContainer {
        name: args.name,
        image: args.image,
        words: args.words,
        port: args.port,
        data: absolute(&args.data)?,
        configuration: args.configuration.as_deref().map(absolute).transpose()?,
        user: format!("{}:{}", owner.uid(), owner.gid()),
        memory: i64::try_from(args.memory).unwrap_or(i64::MAX),
    };
    container.run(shutdown).await
}
