//! `history` and `rollback`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::outcome::print_data;
use crate::commands::target::open;
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
    let target = target(context, "`history`")?;
    let revisions = interruptible(target.history(), "`appforge history` starts over").await?;
    context.out.data(&json!({"revisions": revisions}), || text(&revisions))?;
    Ok(ExitStatus::Done)
}

/// Goes back to a revision, by default the previous one.
pub(crate) async fn rollback(context: &Context, revision: Option<u64>, timeout: Span) -> Result<ExitStatus> {
    let target = target(context, "`rollback`")?;
    let outcome = target.rollback(revision, &Change::within(timeout.0)).await?;
    let name =
        revision.map_or_else(|| "the previous revision".to_owned(), |number| format!("revision {number}"));
    if outcome.plan.is_empty() {
        context.out.say(format!("nothing to change: {name} is running"));
    } else {
        let seconds = outcome.took.as_secs_f64();
        context.out.say(format!("rolled back to {name} in {seconds:.1}s"));
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

fn text(revisions: &[Revision]) -> String {
    let rows = revisions.iter().map(|revision| {
        vec![
            revision.number.to_string(),
            if revision.current { "current".to_owned() } else { String::new() },
            revision.ready.to_string(),
            revision.deployed.map_or_else(|| "-".to_owned(), |time| time.to_string()),
            revision.by.clone().unwrap_or_else(|| "-".to_owned()),
            revision.image.clone(),
            revision.message.clone().unwrap_or_default(),
        ]
    });
    table(&["revision", "", "ready", "deployed", "by", "image", "message"], rows.collect())
}
