//! `up`.

use anyhow::Result;

use crate::cli::{DryRun, UpArgs};
use crate::commands::Context;
use crate::commands::outcome::{cautions, print_outcome};
use crate::commands::plan::{print, refuse_unfit};
use crate::commands::target::{open_fit, open_with};
use crate::error::{ExitStatus, Failure};
use crate::stack::TargetKind;
use crate::targets::change::{Change, Judge, Outcome, only_on};

/// Brings the stack to what the file says.
pub(crate) async fn run(context: &Context, args: UpArgs) -> Result<ExitStatus> {
    let resolved = context.stack(&[])?;
    if args.force_conflicts {
        only_on(TargetKind::Kubernetes, &resolved.stack, "`--force-conflicts`")?;
    }
    if args.message.is_some() {
        only_on(TargetKind::Kubernetes, &resolved.stack, "`--message`")?;
    }
    if args.accept_loss {
        only_on(TargetKind::Local, &resolved.stack, "`--accept-loss`")?;
    }
    let (patience, take_over) = (args.timeout.0, args.take_over);
    let target = match args.replicas {
        Some(replicas) => {
            let (target, _) = open_with(context, resolved, replicas, patience, take_over).await?;
            refuse_unfit(context, &target)?;
            target
        }
        None => open_fit(context, resolved, patience, take_over).await?,
    };
    let change = Change {
        timeout: args.timeout.0,
        force: args.force_conflicts,
        explicit: args.replicas.is_some(),
        max: None,
        message: args.message,
        strict: args.strict,
        accept_loss: args.accept_loss,
    };
    if let Some(by) = args.dry_run {
        let judge = if by == DryRun::Server { Judge::Server } else { Judge::Client };
        print(context, &target.plan(&change, judge).await?)?;
        return Ok(ExitStatus::Done);
    }
    let outcome = target.up(&change).await?;
    for caution in cautions(target.stack()) {
        context.out.warn(caution);
    }
    print_outcome(context, &outcome, args.strict)?;
    if args.strict { refuse_unreachable(&outcome) } else { Ok(ExitStatus::Done) }
}

fn refuse_unreachable(outcome: &Outcome) -> Result<ExitStatus> {
    if outcome.unreachable.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let lines: String = outcome.unreachable.iter().map(|line| format!("\n  {line}")).collect();
    let message = format!("the stack is up, but external stores do not answer:{lines}");
    Err(Failure::new(ExitStatus::Failed, message).hint("without `--strict` this is a warning").into())
}
