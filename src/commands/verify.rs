//! `verify`.

use anyhow::Result;

use crate::cli::VerifyArgs;
use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, target, wanted};
use crate::error::ExitStatus;
use crate::output::Format;
use crate::targets::Target;
use crate::targets::compose::Compose;
use crate::targets::kubernetes::Kubernetes;
use crate::targets::local::Client;
use crate::verify::{AUTOSCALER, Switch, redis_down, verify};

impl Switch for Client {
    async fn redis(&self, on: bool) -> Result<()> {
        self.switch_redis(on).await
    }
}

impl Switch for Compose {
    async fn redis(&self, on: bool) -> Result<()> {
        if on { self.start_store("redis").await } else { self.stop_store("redis").await }
    }
}

impl Switch for Kubernetes {
    async fn redis(&self, on: bool) -> Result<()> {
        self.switch_redis(on).await
    }
}

/// Does the checks, and the drill when asked; exit 6 when one fails.
pub async fn run(context: &Context, args: VerifyArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml, Format::Junit])?;
    let (resolved, replicas) = wanted(context, None, "")?;
    let kind = resolved.stack.target;
    // What was scaled since is what is wanted.
    let stack = resolved.stack.with_replicas_on(kind, replicas);
    let target = target(context, &stack)?;
    let mut subject = target.subject(&stack, replicas).await?;
    let progress = Progress::new(context);
    let work = async {
        let asked = args.check.is_empty() || args.check.iter().any(|check| check == AUTOSCALER);
        if let (Target::Kubernetes(kubernetes), true) = (&target, asked) {
            progress.step("waiting for the autoscaler to look");
            subject.autoscaler = kubernetes.settled_autoscaler().await?;
        }
        let mut report = verify(&stack, &subject, &args.check, |name| progress.step(name)).await?;
        if args.drill.is_some() {
            progress.step("redis-down");
            report.push(match &target {
                Target::Local(local) => redis_down(&stack, &subject, &local.running().await?).await,
                Target::Compose(compose) => redis_down(&stack, &subject, compose.as_ref()).await,
                Target::Kubernetes(kubernetes) => redis_down(&stack, &subject, kubernetes.as_ref()).await,
            });
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
