//! `status`.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::commands::Context;
use crate::commands::outcome::status_text;
use crate::commands::target::open_scaled;
use crate::error::ExitStatus;
use crate::monitoring::source::recorded;
use crate::monitoring::text;
use crate::monitoring::view::{Question, View};
use crate::output::Format;
use crate::targets::Target;
use crate::targets::change::LOOK;
use crate::targets::interrupt::interruptible;
use crate::targets::status::Status;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows what runs; exit 4 when nothing does.
pub(crate) async fn run(context: &Context, watch: bool) -> Result<ExitStatus> {
    let target = open_scaled(context, context.running_stack()?, LOOK).await?;
    if watch {
        return interruptible(refresh(context, &target), "`appforge status` shows it once").await;
    }
    let status = target.status().await?;
    let view = match recorded(&target, Question::default()).await {
        Ok(view) => view.filter(|_| status.url.is_some()),
        // What is measured is a supplement.
        Err(error) => {
            context.out.detail(format!("{error:#}"));
            None
        }
    };
    let measured = || view.as_ref().filter(|view| is_measured(view)).map(text::replicas);
    context.out.data(&with_metrics(&status, view.as_ref())?, || {
        measured().map_or_else(|| status_text(&status), |more| format!("{}\n{more}", status_text(&status)))
    })?;
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

/// Whether there is more to show than that nothing was read yet.
fn is_measured(view: &View) -> bool {
    view.rows.iter().any(|row| row.current.is_some_and(|current| current.rate.is_some()))
}

/// The status, with what replicas measure and the problems where these are recorded.
fn with_metrics(status: &Status, view: Option<&View>) -> Result<Value> {
    let mut value = serde_json::to_value(status)?;
    let Some(view) = view else { return Ok(value) };
    for component in value["components"].as_array_mut().into_iter().flatten() {
        let row = view.rows.iter().find(|row| component["name"] == row.name.as_str());
        if let Some(current) = row.and_then(|row| row.current) {
            component["metrics"] = serde_json::to_value(current)?;
        }
    }
    value["problems"] = serde_json::to_value(&view.problems)?;
    Ok(value)
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
