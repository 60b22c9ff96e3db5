//! `verify`.

use anyhow::Result;

use crate::cli::VerifyArgs;
use crate::commands::Context;
use crate::commands::target::open_scaled;
use crate::error::ExitStatus;
use crate::output::Format;
use crate::targets::change::LOOK;
use crate::targets::interrupt::interruptible;
use crate::targets::progress::Progress;
use crate::verify::{CheckKind, verify};

/// Does the checks, and the drill when asked; exit 6 when one fails.
pub(crate) async fn run(context: &Context, args: VerifyArgs) -> Result<ExitStatus> {
    // A number that `scale` set is the expected one.
    let resolved = context.stack(&[])?;
    let checks = CheckKind::chosen(&args.check, &resolved.stack)?;
    let target = open_scaled(context, resolved, LOOK).await?;
    let stack = target.stack();
    let mut subject = target.subject().await?;
    let progress = Progress::new(context.out);
    let work = async {
        if checks.contains(&CheckKind::Autoscaler) {
            subject.autoscaler = target.settled_autoscaler(&|line| progress.step(line)).await?;
        }
        let mut report = verify(stack, &subject, &checks, |name| progress.step(name)).await;
        if let Some(drill) = args.drill {
            progress.step(drill.as_str());
            report.push(drill.run(stack, &subject, &target).await);
        }
        Ok(report)
    };
    let report = interruptible(work, "`appforge verify --check NAME` runs a single check").await?;
    drop(progress);
    match context.out.format {
        Format::Junit => context.out.text(&report.junit())?,
        _ => context.out.data(&report, || report.text())?,
    }
    Ok(if report.passed { ExitStatus::Done } else { ExitStatus::CheckFailed })
}
