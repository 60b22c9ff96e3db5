//! `status`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::Context;
use crate::commands::target::{interruptible, status_text, target, wanted_running};
use crate::error::ExitStatus;
use crate::output::Format;
use crate::targets::Target;
use crate::targets::status::Status;

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Shows what runs; exit 4 when nothing does.
pub async fn run(context: &Context, watch: bool) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let (resolved, replicas) = wanted_running(context)?;
    let target = target(context, &resolved.stack)?;
    if watch {
        return interruptible(again_and_again(context, &target, replicas), "`appforge status` shows it once")
            .await;
    }
    let status = look(&target, replicas).await?;
    context.out.data(&status, || status_text(&status))?;
    let leftovers = match &target {
        Target::Local(local) if status.url.is_none() => local.leftovers()?,
        _ => Vec::new(),
    };
    for (name, pid) in leftovers {
        context.out.warn(format!(
            "`{name}` (pid {pid}) was left over by a crash; the next `appforge up` clears it away"
        ));
    }
    Ok(if status.url.is_some() { ExitStatus::Done } else { ExitStatus::Unreachable })
}

async fn look(target: &Target, replicas: u32) -> Result<Status> {
    match target {
        Target::Local(local) => local.status(replicas).await,
        Target::Compose(compose) => compose.status(replicas).await,
        Target::Kubernetes(kubernetes) => kubernetes.status().await,
    }
}

async fn again_and_again(context: &Context, target: &Target, replicas: u32) -> Result<ExitStatus> {
    let mut ticks = tokio::time::interval(EVERY);
    let mut last = None;
    loop {
        ticks.tick().await;
        let status = look(target, replicas).await?;
        if last.as_ref() == Some(&status) {
            continue;
        }
        let text = match context.out.format {
            Format::Json => serde_json::to_string(&status)? + "\n",
            _ => status_text(&status) + "\n",
        };
        if !context.out.stream(&text)? {
            return Ok(ExitStatus::Done);
        }
        last = Some(status);
    }
}
