//! `restart`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::outcome::status_text;
use crate::commands::target::open;
use crate::document::counted;
use crate::error::ExitStatus;
use crate::stack::values::Span;
use crate::targets::change::Change;

/// Replaces every replica, one after the other.
pub(crate) async fn run(context: &Context, timeout: Span) -> Result<ExitStatus> {
    let target = open(context, context.running_stack()?.stack, false)?;
    let outcome = target.restart(&Change::within(timeout.0)).await?;
    let (replaced, seconds) = (outcome.plan.steps.len(), outcome.took.as_secs_f64());
    context.out.say(format!("replaced {} in {seconds:.1}s", counted(replaced, "replica")));
    let value = json!({"changed": true, "plan": outcome.plan, "status": outcome.status});
    context.out.data(&value, || status_text(&outcome.status))?;
    Ok(ExitStatus::Done)
}
