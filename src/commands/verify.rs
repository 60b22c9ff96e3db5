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
    // What was scaled since is what is wanted.
    let target = open_scaled(context, context.stack(&[])?, LOOK, false).await?;
    let stack = target.stack();
    let mut subject = target.subject().await?;
    let progress = Progress::new(context.out);
    let work = async {
        let checks = CheckKind::chosen(&args.check, stack.target)?;
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
    let report = interruptible(work, "`appforge verify --check NAME` does one check only").await?;
    drop(progress);
    match context.out.format {
        Format::Junit => context.out.text(&report.junit())?,
        _ => context.out.data(&report, || report.text())?,
    }
    Ok(if report.passed { ExitStatus::Done } else { ExitStatus::CheckFailed })
}
