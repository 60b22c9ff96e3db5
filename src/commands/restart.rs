//! `restart`.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, status_text, target};
use crate::commands::up::{GOES_ON, ROLLS_ON, STOPS};
use crate::error::ExitStatus;
use crate::output::Format;
use crate::stack::values::Span;
use crate::targets::Target;

/// Replaces every replica, one after the other.
pub async fn run(context: &Context, timeout: Span) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let stack = context.running_stack()?.stack;
    let since = Instant::now();
    let progress = Progress::new(context);
    let say = |message: &str| progress.show(message);
    let (plan, status) = match target(context, &stack)? {
        Target::Local(local) => {
            let client = local.running().await?;
            let _lock = local.lock("restart", say).await?;
            interruptible(client.restart(timeout.0, say), GOES_ON).await?
        }
        Target::Compose(compose) => interruptible(compose.restart(timeout.0, &say), STOPS).await?,
        Target::Kubernetes(kubernetes) => {
            interruptible(kubernetes.restart(timeout.0, &say), ROLLS_ON).await?
        }
    };
    drop(progress);
    context.out.say(format!(
        "replaced {} replicas in {:.1}s",
        plan.steps.len(),
        since.elapsed().as_secs_f64()
    ));
    context.out.data(&json!({"changed": true, "plan": plan, "status": status}), || status_text(&status))?;
    Ok(ExitStatus::Done)
}
