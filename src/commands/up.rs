//! `up`.

use anyhow::Result;

use crate::cli::{DryRun, UpArgs};
use crate::commands::Context;
use crate::commands::outcome::{cautions, print_outcome};
use crate::commands::plan::{print, refuse_unfit};
use crate::commands::target::{open_fit, open_with};
use crate::error::{ExitStatus, Failure, status_of};
use crate::stack::{Resolved, TargetKind};
use crate::targets::Target;
use crate::targets::change::{Change, Judge, Outcome, only_on};
use crate::targets::interrupt::Interrupts;
use crate::targets::local::Watch;
use crate::targets::plan::{Action, Step};

/// What the names of replicas begin with, on local.
const REPLICA: &str = "service-";

/// Brings the stack to what the file says.
pub(crate) async fn run(context: &Context, args: UpArgs) -> Result<ExitStatus> {
    let resolved = context.stack(&[])?;
    for (given, target, flag) in [
        (args.force_conflicts, TargetKind::Kubernetes, "`--force-conflicts`"),
        (args.message.is_some(), TargetKind::Kubernetes, "`--message`"),
        (args.accept_loss, TargetKind::Local, "`--accept-loss`"),
        (args.watch, TargetKind::Local, "`--watch`"),
    ] {
        if given {
            only_on(target, &resolved.stack, flag)?;
        }
    }
    let target = open(context, resolved, &args).await?;
    let change = change(&args);
    if let Some(by) = args.dry_run {
        let judge = if by == DryRun::Server { Judge::Server } else { Judge::Client };
        print(context, &target.plan(&change, judge).await?)?;
        return Ok(ExitStatus::Done);
    }
    // Begun before the stack starts from these files, so that no change falls between.
    let folder = &context.project.folder;
    let own = context.project.file.clone().into_iter();
    let always = own.chain(target.stack().service.env_file.as_ref().map(|file| folder.join(file)));
    let files = args.watch.then(|| Watch::new(folder, always.collect())).transpose()?;
    let outcome = bring_up(context, &target, &args).await?;
    match files {
        Some(files) => follow(context, &args, files).await,
        None if args.strict => refuse_unreachable(&outcome),
        None => Ok(ExitStatus::Done),
    }
}

async fn open(context: &Context, resolved: Resolved, args: &UpArgs) -> Result<Target> {
    let (patience, take_over) = (args.timeout.0, args.take_over);
    match args.replicas {
        Some(replicas) => {
            let (target, _) = open_with(context, resolved, replicas, patience, take_over).await?;
            refuse_unfit(context, &target)?;
            Ok(target)
        }
        None => open_fit(context, resolved, patience, take_over).await,
    }
}

fn change(args: &UpArgs) -> Change {
    Change {
        timeout: args.timeout.0,
        force: args.force_conflicts,
        explicit: args.replicas.is_some(),
        max: None,
        message: args.message.clone(),
        strict: args.strict,
        accept_loss: args.accept_loss,
    }
}

async fn bring_up(context: &Context, target: &Target, args: &UpArgs) -> Result<Outcome> {
    let outcome = target.up(&change(args)).await?;
    for caution in cautions(target.stack()) {
        context.out.warn(caution);
    }
    print_outcome(context, &outcome, args.strict)?;
    Ok(outcome)
}

/// Replaces the replicas after each burst of changes, until interrupted; the stack stays up. A change of the stack file counts
/// as `up` does.
async fn follow(context: &Context, args: &UpArgs, mut files: Watch) -> Result<ExitStatus> {
    let mut interrupts = Interrupts::listen()?;
    context.out.say("watching the files of the project; Ctrl-C ends this, the stack stays up");
    loop {
        let changed = tokio::select! {
            changed = files.changed() => changed?,
            () = interrupts.next() => return Ok(ExitStatus::Done),
        };
        context.out.say(format!("{} changed", changed.display()));
        // What the user just typed may be wrong; the stack runs on as it was until it is right.
        if let Err(error) = replace(context, args).await {
            if status_of(&error) == ExitStatus::Interrupted {
                return Err(error);
            }
            context.out.error(&error);
        }
    }
}

async fn replace(context: &Context, args: &UpArgs) -> Result<()> {
    let target = open(context, context.stack(&[])?, args).await?;
    let change = change(args);
    let outcome = target.up(&change).await?;
    let replaced = |step: &Step| step.action == Action::Restart && step.component.starts_with(REPLICA);
    // What the stack file says is the same for the replicas, so it is their code that changed.
    let outcome =
        if outcome.plan.steps.iter().any(replaced) { outcome } else { target.restart(&change).await? };
    print_outcome(context, &outcome, args.strict)
}

fn refuse_unreachable(outcome: &Outcome) -> Result<ExitStatus> {
    if outcome.unreachable.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let lines: String = outcome.unreachable.iter().map(|line| format!("\n  {line}")).collect();
    let message = format!("the stack is up, but external stores do not answer:{lines}");
    Err(Failure::new(ExitStatus::Failed, message).hint("without `--strict` this is a warning").into())
}
