//! `diff`, and the plan as `up --dry-run` prints it.

use std::time::Duration;

use anyhow::Result;

use crate::commands::Context;
use crate::commands::documents::judge;
use crate::commands::target::open_fit;
use crate::error::ExitStatus;
use crate::stack::TargetKind;
use crate::targets::Target;
use crate::targets::change::{Change, Judge, LOOK, only_on};
use crate::targets::plan::Plan;

/// Shows what `up` would do; exit 5 when there is something.
pub(crate) async fn diff(context: &Context, force_conflicts: bool) -> Result<ExitStatus> {
    let resolved = context.stack(&[])?;
    if force_conflicts {
        only_on(TargetKind::Kubernetes, &resolved.stack, "`--force-conflicts`")?;
    }
    let target = open_fit(context, resolved, LOOK, false).await?;
    let change = Change { force: force_conflicts, ..Change::within(Duration::ZERO) };
    let plan = target.plan(&change, Judge::Server).await?;
    print(context, &plan)?;
    Ok(if plan.is_empty() { ExitStatus::Done } else { ExitStatus::Differs })
}

/// Prints what does not fit in the documents, and refuses what cannot work.
pub(crate) fn refuse_unfit(context: &Context, target: &Target) -> Result<()> {
    judge(context, &target.findings()?)
}

/// Prints a plan.
pub(crate) fn print(context: &Context, plan: &Plan) -> Result<()> {
    context.out.data(plan, || if plan.is_empty() { "nothing to change\n".into() } else { plan.text() })
}
