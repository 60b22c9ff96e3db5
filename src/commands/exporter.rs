//! `exporter`: metrics of the stores, for monitoring. Runs in a container of the stack.

use anyhow::Result;
use appforge_service::exporter::{Settings, export};

use crate::error::{ExitStatus, Failure};

/// Runs the exporter until SIGTERM.
pub(super) async fn run() -> Result<ExitStatus> {
    // A variable that is not text cannot be one of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings =
        Settings::from_env(variables, |path| std::fs::read_to_string(path)).map_err(|problems| {
            Failure::new(ExitStatus::Config, appforge_service::settings::report(&problems))
        })?;
    export(settings).await?;
    Ok(ExitStatus::Done)
}
