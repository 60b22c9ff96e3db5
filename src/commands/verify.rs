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
use crate::verify::{AUTOSCALER, known, redis_down, verify};

/// Does the checks, and the drill when asked; exit 6 when one fails.
pub(crate) async fn run(context: &Context, args: VerifyArgs) -> Result<ExitStatus> {
    known(&args.check)?;
    // A number that `scale` set is the expected one.
    let target = open_scaled(context, context.stack(&[])?, LOOK, false).await?;
    let stack = target.stack();
    let mut subject = target.subject().await?;
    let progress = Progress::new(context.out);
    let work = async {
        if args.check.is_empty() || args.check.iter().any(|check| check == AUTOSCALER) {
            subject.autoscaler = target.settled_autoscaler(&|line| progress.step(line)).await?;
        }
        let mut report = verify(stack, &subject, &args.check, |name| progress.step(name)).await;
        if args.drill.is_some() {
            progress.step("redis-down");
            report.push(redis_down(stack, &subject, &target).await);
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
