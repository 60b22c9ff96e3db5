//! Which target the verbs of a stack work on, and with how many replicas: those of the file, of a flag, or of an earlier `scale`.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::commands::Context;
use crate::commands::context::invalid;
use crate::commands::documents::{judge, own_templates};
use crate::document::{Origin, counted, report};
use crate::error::{ExitStatus, Failure};
use crate::render::lint::Level;
use crate::stack::{Resolved, Stack, TargetKind};
use crate::targets::change::only_on;
use crate::targets::ownership::user_at_host;
use crate::targets::scaled::Scaled;
use crate::targets::{Place, Target};

/// How long a verb that only describes waits for a target.
const SOON: Duration = Duration::from_secs(2);

/// The stack of the project on its target.
///
/// # Errors
/// When the project's own templates cannot be read, or a flag is of another target.
pub(crate) fn open(context: &Context, stack: Stack, take_over: bool) -> Result<Target> {
    if context.cluster.is_some() {
        only_on(TargetKind::Kubernetes, &stack, "`--context`")?;
    }
    let project = &context.project;
    let place = Place {
        folder: project.folder.clone(),
        state_folder: project.state_folder()?,
        has_file: project.file.is_some(),
        take_over,
        context: context.cluster.clone(),
        out: context.out,
    };
    Target::open(place, stack, || own_templates(&project.folder))
}

/// The same with the number of replicas that an earlier `scale` set, by whichever clone of the project; it may take `patience`
/// to ask the target for it.
///
/// # Errors
/// When the target cannot be reached, or the number is one that `scale` refuses.
pub(crate) async fn open_scaled(context: &Context, resolved: Resolved, patience: Duration) -> Result<Target> {
    let target = open(context, resolved.stack.clone(), false)?;
    Ok(recall(target, resolved, patience).await?.0)
}

/// The same for a verb that changes the stack. What cannot work is refused before anything is asked.
///
/// # Errors
/// As [`open_scaled`]; exit 3 for what cannot work.
pub(crate) async fn open_fit(
    context: &Context,
    resolved: Resolved,
    patience: Duration,
    take_over: bool,
) -> Result<Target> {
    let target = open(context, resolved.stack.clone(), take_over)?;
    let findings = target.findings()?;
    if findings.iter().any(|finding| finding.level == Level::Error) {
        judge(context, &findings)?;
    }
    let configured = resolved.stack.replicas_on(resolved.stack.target);
    let (target, by) = recall(target, resolved, patience).await?;
    judge(context, &target.findings()?)?;
    if let Some(by) = by.filter(|by| !by.is_empty() && *by != user_at_host()) {
        let replicas = counted(target.stack().replicas_on(target.stack().target) as usize, "replica");
        context.out.say(format!("{replicas}, which {by} set; the stack file says {configured}"));
    }
    Ok(target)
}

/// With who set the number, if an earlier `scale` did.
async fn recall(target: Target, resolved: Resolved, patience: Duration) -> Result<(Target, Option<String>)> {
    match target.scaled(patience).await? {
        Some(scaled) => Ok((target.with_stack(with_scaled(resolved, &scaled)?.stack), Some(scaled.by))),
        None => Ok((target, None)),
    }
}

/// What an earlier `scale` set, for a verb that works without the target too.
///
/// # Errors
/// When the target does not answer soon.
pub(crate) async fn recorded(context: &Context, stack: &Stack) -> Result<Option<Scaled>> {
    let target = open(context, stack.clone(), false)?;
    let asking = tokio::time::timeout(SOON, target.scaled(SOON));
    asking.await.context("the target does not answer")?
}

/// The configuration with the recorded number as its last layer.
///
/// # Errors
/// Exit 3 when `scale` would refuse the number.
pub(crate) fn with_scaled(resolved: Resolved, scaled: &Scaled) -> Result<Resolved> {
    let configured = resolved.stack.replicas_on(resolved.stack.target);
    let origin = Origin::Scaled(scaled.by.clone());
    resolved.scaled(scaled.replicas, scaled.max, &origin).map_err(|problems| {
        let message = report("the number that `appforge scale` recorded is invalid:", &problems);
        let hint = format!("appforge scale --replicas {configured}");
        Failure::new(ExitStatus::Config, message).hint(hint).into()
    })
}

/// The same with the number of replicas that `--replicas` asks for, and with autoscaling the most so far: what an earlier `scale`
/// set, else what the file says.
///
/// # Errors
/// Exit 3 when the file could not have this number either.
pub(crate) async fn open_with(
    context: &Context,
    resolved: Resolved,
    replicas: u32,
    patience: Duration,
    take_over: bool,
) -> Result<(Target, Option<u32>)> {
    let origin = Origin::Flag("--replicas".to_owned());
    let with = |max| resolved.clone().scaled(replicas, max, &origin).map_err(|problems| invalid(&problems));
    let asked = with(None)?;
    let target = open(context, resolved.stack.clone(), take_over)?;
    let autoscaling = resolved.stack.kubernetes.autoscaling.as_ref();
    let Some(most) = autoscaling.filter(|_| asked.stack.target == TargetKind::Kubernetes).map(|it| it.max)
    else {
        return Ok((target.with_stack(asked.stack), None));
    };
    // A record that cannot be is about to be replaced.
    let recorded = target.scaled(patience).await.ok().flatten();
    match recorded.and_then(|scaled| Some((scaled.max?, with(scaled.max).ok()?))) {
        Some((max, both)) => Ok((target.with_stack(both.stack), Some(max))),
        None => Ok((target.with_stack(asked.stack), Some(most))),
    }
}
