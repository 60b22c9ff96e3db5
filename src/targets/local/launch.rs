//! Starts a supervisor and waits for its first word.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::targets::local::client::Client;
use crate::targets::local::layout::Layout;
use crate::targets::local::parent_death::{SELF, inherited};
use crate::targets::local::protocol::Handshake;

/// How long a supervisor may take to come up, clearing away what a crash left included.
const LIMIT: Duration = Duration::from_secs(20);

/// Starts a supervisor that outlives this process.
///
/// # Errors
/// When it does not come up, with its own reason.
pub(crate) async fn launch(layout: &Layout) -> Result<Client> {
    layout.make()?;
    let log = layout.logs().join("supervisor.log");
    let stderr = files::append_private(&log).map_err(|error| files::failure(&log, error, "cannot open"))?;
    let mut command = Command::new(SELF);
    command.arg0("appforge").arg("supervise").arg("--state").arg(layout.root());
    // The environment of a command may hold secrets, and that of a process can be read as long as it lives.
    command.env_clear().envs(inherited());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).current_dir("/");
    let mut child = command.spawn().context("cannot start the supervisor")?;
    let stdout = child.stdout.take().context("the supervisor has no stdout")?;
    let mut line = String::new();
    let read = tokio::time::timeout(LIMIT, BufReader::new(stdout).read_line(&mut line)).await;
    match read {
        Err(_) => {
            child.kill().await.context("cannot end an unresponsive supervisor")?;
            return Err(Failure::new(ExitStatus::TimedOut, "the supervisor did not start in time")
                .hint(format!("read `{}`", log.display()))
                .into());
        }
        Ok(read) => read.context("cannot wait for the supervisor")?,
    };
    match serde_json::from_str(&line) {
        Ok(Handshake::Ready) => {}
        Ok(Handshake::Failed { report }) => return Err(report.into()),
        Err(_) => {
            return Err(Failure::new(ExitStatus::Failed, "the supervisor exited during startup")
                .hint(format!("read `{}`", log.display()))
                .into());
        }
    }
    let found = Client::find(layout).await?;
    found.map(|(client, _)| client).context("the supervisor exited during startup")
}
