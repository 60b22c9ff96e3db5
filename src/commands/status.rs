//! `status`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::Context;
use crate::commands::outcome::status_text;
use crate::commands::target::open_scaled;
use crate::error::ExitStatus;
use crate::output::Format;
use crate::targets::Target;
use crate::targets::change::LOOK;
use crate::targets::interrupt::interruptible;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows what runs; exit 4 when nothing does.
pub(crate) async fn run(context: &Context, watch: bool) -> Result<ExitStatus> {
    let target = open_scaled(context, context.running_stack()?, LOOK).await?;
    if watch {
        return interruptible(refresh(context, &target), "`appforge status` shows it once").await;
    }
    let status = target.status().await?;
    context.out.data(&status, || status_text(&status))?;
    if status.url.is_some() {
        return Ok(ExitStatus::Done);
    }
    for (name, pid) in target.leftovers()? {
        context
            .out
            .warn(format!("`{name}` (pid {pid}) is left over from a crash; the next `appforge up` ends it"));
    }
    Ok(ExitStatus::Unreachable)
}

/// Prints the status whenever it has changed: JSON a line each, YAML a document each.
async fn refresh(context: &Context, target: &Target) -> Result<ExitStatus> {
    let mut ticks = tokio::time::interval(EVERY);
    let mut last = None;
    loop {
        ticks.tick().await;
        let status = target.status().await?;
        if last.as_ref() == Some(&status) {
            continue;
        }
        let text = match context.out.format {
            Format::Json => serde_json::to_string(&status)? + "\n",
            Format::Yaml => format!("---\n{}", serde_yaml::to_string(&status)?),
            _ => status_text(&status) + "\n",
        };
        if !context.out.stream(&text)? {
            return Ok(ExitStatus::Done);
        }
        last = Some(status);
    }
}
