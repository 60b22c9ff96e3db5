//! `history` and `rollback`.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, kubernetes_only, status_text, target};
use crate::commands::up::{ROLLS_ON, outcome_json};
use crate::error::ExitStatus;
use crate::output::{Format, table};
use crate::stack::values::Span;
use crate::targets::Target;
use crate::targets::kubernetes::Kubernetes;
use crate::targets::revision::Revision;

/// Lists the revisions.
pub async fn history(context: &Context) -> Result<ExitStatus> {
    let kubernetes = kubernetes(context, "`history`")?;
    list(context, &kubernetes).await.map(|_| ExitStatus::Done)
}

/// Goes back to a revision, or lists them.
pub async fn rollback(context: &Context, revision: Option<u64>, timeout: Span) -> Result<ExitStatus> {
    let kubernetes = kubernetes(context, "`rollback`")?;
    let Some(number) = revision else {
        let revisions = list(context, &kubernetes).await?;
        let before = revisions.iter().rev().find(|revision| !revision.current);
        context.out.say(match before {
            Some(before) => format!("\nto go back: appforge rollback {}", before.number),
            None => "\nthere is no earlier revision to go back to".to_owned(),
        });
        return Ok(ExitStatus::Done);
    };
    let since = Instant::now();
    let progress = Progress::new(context);
    let say = |message: &str| progress.show(message);
    let outcome = interruptible(kubernetes.rollback(number, timeout.0, &say), ROLLS_ON).await?;
    drop(progress);
    if outcome.plan.is_empty() {
        context.out.say(format!("nothing to change: revision {number} is the one that runs"));
    } else {
        context.out.say(format!("went back to revision {number} in {:.1}s", since.elapsed().as_secs_f64()));
        context.out.say("the stack file still says otherwise: the next `appforge up` goes forward again");
    }
    for warning in &outcome.unreachable {
        context.out.warn(warning);
    }
    context.out.data(&outcome_json(&outcome), || status_text(&outcome.status))?;
    Ok(ExitStatus::Done)
}

fn kubernetes(context: &Context, verb: &str) -> Result<Box<Kubernetes>> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let stack = context.stack(&[])?.stack;
    kubernetes_only(&stack, verb)?;
    match target(context, &stack)? {
        Target::Kubernetes(kubernetes) => Ok(kubernetes),
        Target::Local(_) | Target::Compose(_) => anyhow::bail!("{verb} is for the target kubernetes"),
    }
}

async fn list(context: &Context, kubernetes: &Kubernetes) -> Result<Vec<Revision>> {
    let revisions = interruptible(kubernetes.history(), "`appforge history` begins anew").await?;
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
    table(&["revision", "", "ready", "made", "image"], rows.collect())
}
