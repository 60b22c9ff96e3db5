//! `drain`: ends the program that a container runs, some time from now. The front of an app is a sidecar, which Kubernetes ends after
//! the app; it has to drain before, while the app still answers, so its pre-stop hook is this.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::ExitStatus;
use crate::stack::values::Span;

/// Sends SIGTERM to the first process of the container, whose handler drains.
pub(super) async fn run(after: Span) -> Result<ExitStatus> {
    tokio::time::sleep(after.0).await;
    kill_process(Pid::INIT, Signal::TERM).context("cannot end the program of this container")?;
    Ok(ExitStatus::Done)
}
