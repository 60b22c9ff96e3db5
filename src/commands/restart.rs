//! `restart`.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, local, status_text};
use crate::commands::up::GOES_ON;
use crate::error::ExitStatus;
use crate::output::Format;
use crate::spec::values::Span;

/// Replaces every replica, one after the other.
pub async fn run(context: &Context, timeout: Span) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let stack = context.stack(&[])?.stack;
    let since = Instant::now();
    let progress = Progress::new(context);
    let target = local(context, &stack)?;
    let client = target.running().await?;
    let _lock = target.lock("restart", |owner| progress.show(&format!("waiting for {owner}"))).await?;
    let work = client.restart(timeout.0, |message| progress.show(message));
    let (plan, status) = interruptible(work, GOES_ON).await?;
    drop(progress);
    context.out.say(format!(
        "replaced {} replicas in {:.1}s",
        plan.steps.len(),
        since.elapsed().as_secs_f64()
    ));
    context.out.data(&json!({"changed": true, "plan": plan, "status": status}), || status_text(&status))?;
    Ok(ExitStatus::Done)
}
