//! `scale`.

use anyhow::Result;

use crate::cli::ScaleArgs;
use crate::commands::Context;
use crate::commands::target::{kubernetes_only, remember, status_text, target, wanted};
use crate::commands::up::{converge, outcome_json};
use crate::error::{ExitStatus, Failure};
use crate::output::Format;
use crate::stack::validate::MAX_REPLICAS;
use crate::stack::{Stack, TargetKind};
use crate::targets::Target;
use crate::targets::kubernetes::Options;

/// Sets the number of replicas and remembers it.
pub async fn run(context: &Context, args: ScaleArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let (mut resolved, replicas) = wanted(context, Some(args.number()), "--replicas")?;
    if args.max.is_some() {
        kubernetes_only(&resolved.stack, "`--max`")?;
    }
    raise(context, &mut resolved.stack, replicas, args.max)?;
    let stack = resolved.stack;
    let target = target(context, &stack)?;
    // Only a stack that is up can be scaled; `up --replicas` starts one.
    match &target {
        Target::Local(local) => drop(local.running().await?),
        Target::Compose(compose) => compose.running().await?,
        Target::Kubernetes(kubernetes) => kubernetes.running().await?,
    }
    let options = Options { timeout: args.timeout.0, force_conflicts: false, explicit: true, strict: false };
    let outcome = converge(context, &target, &stack, replicas, options, "scale").await?;
    remember(context, &stack, replicas, args.max)?;
    context.out.data(&outcome_json(&outcome), || status_text(&outcome.status))?;
    Ok(ExitStatus::Done)
}

/// With autoscaling the number is its floor, which `max` may have to make room for.
fn raise(context: &Context, stack: &mut Stack, replicas: u32, max: Option<u32>) -> Result<()> {
    let Some(autoscaling) =
        stack.kubernetes.autoscaling.as_mut().filter(|_| stack.target == TargetKind::Kubernetes)
    else {
        return match max {
            None => Ok(()),
            Some(_) => {
                Err(Failure::new(ExitStatus::Usage, "`--max` needs autoscaling, which this stack has not")
                    .hint("leave `--max` out, or set `kubernetes.autoscaling` in the stack file")
                    .into())
            }
        };
    };
    let most = max.unwrap_or(autoscaling.max);
    if most > MAX_REPLICAS {
        let message = format!("--max must be at most {MAX_REPLICAS}, got {most}");
        return Err(Failure::new(ExitStatus::Usage, message).into());
    }
    if replicas > most {
        return Err(Failure::new(
            ExitStatus::Usage,
            format!("{replicas} replicas are more than the {most} that autoscaling may make"),
        )
        .hint(format!("appforge scale --replicas {replicas} --max {replicas}"))
        .into());
    }
    autoscaling.max = most;
    context.out.say(format!("autoscaling: at least {replicas} replicas now, at most {most}"));
    Ok(())
}
