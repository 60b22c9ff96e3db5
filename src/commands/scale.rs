//! `scale`.

use anyhow::Result;

use crate::cli::ScaleArgs;
use crate::commands::Context;
use crate::commands::plan::refuse_unfit;
use crate::commands::target::{open, print_outcome, remember, wanted};
use crate::error::{ExitStatus, Failure};
use crate::stack::validate::MAX_REPLICAS;
use crate::stack::{Stack, TargetKind};
use crate::targets::change::{Change, only_on};

/// Sets the number of replicas and remembers it. Only a stack that is up can be scaled; `up --replicas` starts one.
pub(crate) async fn run(context: &Context, args: ScaleArgs) -> Result<ExitStatus> {
    let mut wanted = wanted(context, Some(args.number()), "--replicas")?;
    if args.max.is_some() {
        only_on(TargetKind::Kubernetes, &wanted.stack, "`--max`")?;
    }
    raise(context, &mut wanted.stack, args.number(), args.max)?;
    let target = open(context, wanted.scaled(), false)?;
    refuse_unfit(context, &target)?;
    let outcome = target.scale(&Change { explicit: true, ..Change::within(args.timeout.0) }).await?;
    remember(context, &wanted, args.max)?;
    print_outcome(context, &outcome, false)?;
    Ok(ExitStatus::Done)
}

/// With autoscaling the number is its floor, which `max` may have to make room for.
fn raise(context: &Context, stack: &mut Stack, replicas: u32, max: Option<u32>) -> Result<()> {
    let Some(autoscaling) =
        stack.kubernetes.autoscaling.as_mut().filter(|_| stack.target == TargetKind::Kubernetes)
    else {
        return match max {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                ExitStatus::Usage,
                "`--max` requires autoscaling, which is not enabled for this stack",
            )
            .hint("leave `--max` out, or set `kubernetes.autoscaling` in the stack file")
            .into()),
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
            format!("{replicas} replicas exceed the autoscaling maximum of {most}"),
        )
        .hint(format!("appforge scale --replicas {replicas} --max {replicas}"))
        .into());
    }
    autoscaling.max = most;
    context.out.say(format!("autoscaling: at least {replicas} replicas now, at most {most}"));
    Ok(())
}
