//! `scale`.

use anyhow::Result;

use crate::cli::ScaleArgs;
use crate::commands::Context;
use crate::commands::outcome::print_outcome;
use crate::commands::plan::refuse_unfit;
use crate::commands::target::open_with;
use crate::error::{ExitStatus, Failure};
use crate::stack::validate::MAX_REPLICAS;
use crate::stack::{Stack, TargetKind};
use crate::targets::change::{Change, only_on};

/// Sets the number of replicas and remembers it. Only a stack that is up can be scaled; `up --replicas` starts one.
pub(crate) async fn run(context: &Context, args: ScaleArgs) -> Result<ExitStatus> {
    let resolved = context.stack(&[])?;
    if args.max.is_some() {
        only_on(TargetKind::Kubernetes, &resolved.stack, "`--max`")?;
    }
    let (target, most) = open_with(context, resolved, args.number(), args.timeout.0, false).await?;
    let mut stack = target.stack().clone();
    raise(context, &mut stack, &args, most)?;
    let target = target.with_stack(stack);
    refuse_unfit(context, &target)?;
    let change = Change { explicit: true, max: args.max, ..Change::within(args.timeout.0) };
    let outcome = target.scale(&change).await?;
    print_outcome(context, &outcome, false)?;
    Ok(ExitStatus::Done)
}

/// With autoscaling the number is its floor, and `--max` or the `most` so far its ceiling.
fn raise(context: &Context, stack: &mut Stack, args: &ScaleArgs, most: Option<u32>) -> Result<()> {
    let (Some(autoscaling), Some(most)) = (&mut stack.kubernetes.autoscaling, most) else {
        return match args.max {
            None => Ok(()),
            Some(_) => Err(Failure::new(
                ExitStatus::Usage,
                "`--max` requires autoscaling, which is not enabled for this stack",
            )
            .hint("leave `--max` out, or set `kubernetes.autoscaling` in the stack file")
            .into()),
        };
    };
    let (replicas, most) = (args.number(), args.max.unwrap_or(most));
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
