//! `history` and `rollback`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{open, print_data};
use crate::error::ExitStatus;
use crate::output::table;
use crate::stack::TargetKind;
use crate::stack::values::Span;
use crate::targets::Target;
use crate::targets::change::{Change, only_on};
use crate::targets::interrupt::interruptible;
use crate::targets::revision::Revision;

/// Lists the revisions.
pub(crate) async fn history(context: &Context) -> Result<ExitStatus> {
    list(context, &target(context, "`history`")?).await.map(|_| ExitStatus::Done)
}

/// Goes back to a revision, or lists them.
pub(crate) async fn rollback(context: &Context, revision: Option<u64>, timeout: Span) -> Result<ExitStatus> {
    let target = target(context, "`rollback`")?;
    let Some(number) = revision else {
        let revisions = list(context, &target).await?;
        let before = revisions.iter().rev().find(|revision| !revision.current);
        context.out.say(match before {
            Some(before) => format!("\nto roll back: appforge rollback {}", before.number),
            None => "\nno earlier revision to roll back to".to_owned(),
        });
        return Ok(ExitStatus::Done);
    };
    let outcome = target.rollback(number, &Change::within(timeout.0)).await?;
    if outcome.plan.is_empty() {
        context.out.say(format!("nothing to change: revision {number} is running"));
    } else {
        let seconds = outcome.took.as_secs_f64();
        context.out.say(format!("rolled back to revision {number} in {seconds:.1}s"));
        context.out.say("the stack file is unchanged: the next `appforge up` rolls forward again");
    }
    for warning in &outcome.unreachable {
        context.out.warn(warning);
    }
    print_data(context, &outcome)?;
    Ok(ExitStatus::Done)
}

fn target(context: &Context, verb: &str) -> Result<Target> {
    let stack = context.stack(&[])?.stack;
    only_on(TargetKind::Kubernetes, &stack, verb)?;
    open(context, stack, false)
}

async fn list(context: &Context, target: &Target) -> Result<Vec<Revision>> {
    let revisions = interruptible(target.history(), "`appforge history` starts over").await?;
    context.out.data(&json!({"revisions": revisions}), || text(&revisions))?;
    Ok(revisions)
}

fn text(revisions: &[Revision]) -> String {
    let rows = revisions.iter().map(|revision| {
        vec![
            revision.number.to_string(),
            if revision.current { "current".to_owned() } else { String::new() },
            revision.ready.to_string(),
            revision.created.map_or_else(|| "-".to_owned(), |time| time.to_string()),
            revision.image.clone(),
        ]
    });
    table(&["revision", "", "ready", "created", "image"], rows.collect())
}
