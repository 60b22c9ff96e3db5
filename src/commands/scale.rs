//! `scale`.

use anyhow::Result;
use serde_json::json;

use crate::cli::ScaleArgs;
use crate::commands::Context;
use crate::commands::target::{remember, status_text, target, wanted};
use crate::commands::up::converge;
use crate::error::ExitStatus;
use crate::output::Format;
use crate::target::Target;

/// Sets the number of replicas and remembers it.
pub async fn run(context: &Context, args: ScaleArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let (resolved, replicas) = wanted(context, Some(args.replicas), "--replicas")?;
    let stack = resolved.stack;
    // Only a stack that is up can be scaled; `up --replicas` starts one.
    match target(context, &stack)? {
        Target::Local(local) => drop(local.running().await?),
        Target::Compose(compose) => compose.running().await?,
    }
    let (plan, status) = converge(context, &stack, replicas, args.timeout, "scale").await?;
    remember(context, &stack, replicas)?;
    context.out.data(&json!({"changed": !plan.is_empty(), "plan": plan, "status": status}), || {
        status_text(&status)
    })?;
    Ok(ExitStatus::Done)
}
