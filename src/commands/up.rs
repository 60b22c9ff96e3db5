//! `up` and `diff`.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{DryRun, UpArgs};
use crate::commands::Context;
use crate::commands::render::judge;
use crate::commands::target::{
    Progress, cautions, claim, interruptible, kubernetes_only, remember, status_text, target, wanted,
};
use crate::error::{ExitStatus, Failure};
use crate::output::Format;
use crate::stack::Stack;
use crate::targets::Target;
use crate::targets::kubernetes::{Asking, Options};
use crate::targets::local::addresses;
use crate::targets::outcome::Outcome;
use crate::targets::plan::Plan;

/// What Ctrl-C during a change means.
pub const GOES_ON: &str =
    "the change goes on; `appforge status` shows where it stands, `appforge down` ends it";

/// What Ctrl-C during a change means where nobody goes on with it.
pub const STOPS: &str = "what was done stays; `appforge up` goes on from there, `appforge down` ends it";

/// What Ctrl-C during a rollout means: the cluster goes on with it.
pub const ROLLS_ON: &str = "the cluster goes on; `appforge status` shows where it stands";

/// Brings the stack to what the file says.
pub async fn run(context: &Context, args: UpArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let (resolved, replicas) = wanted(context, args.replicas, "--replicas")?;
    let stack = resolved.stack;
    if args.force_conflicts {
        kubernetes_only(&stack, "`--force-conflicts`")?;
    }
    if let Some(by) = args.dry_run {
        let asking = Asking {
            server: by == DryRun::Server,
            explicit: args.replicas.is_some(),
            force: args.force_conflicts,
        };
        let plan = plan(context, &stack, replicas, asking).await?;
        context.out.data(&plan, || plan_text(&plan))?;
        return Ok(ExitStatus::Done);
    }
    let target = target(context, &stack)?.claimed(claim(context, &stack)?.taking_over(args.take_over));
    if args.accept_loss {
        accept_loss(context, &target).await?;
    }
    let options = Options {
        timeout: args.timeout.0,
        force_conflicts: args.force_conflicts,
        explicit: args.replicas.is_some(),
        strict: args.strict,
    };
    let outcome = converge(context, &target, &stack, replicas, options, "up").await?;
    if args.replicas.is_some() {
        remember(context, &stack, replicas, None)?;
    }
    for caution in cautions(&stack) {
        context.out.warn(caution);
    }
    context.out.data(&outcome_json(&outcome), || status_text(&outcome.status))?;
    if args.strict && !outcome.unreachable.is_empty() {
        let lines: Vec<String> = outcome.unreachable.iter().map(|line| format!("\n  {line}")).collect();
        let message =
            format!("the stack is up, but not all of its external stores answer:{}", lines.concat());
        return Err(Failure::new(ExitStatus::Failed, message)
            .hint("without `--strict` this is a warning")
            .into());
    }
    Ok(ExitStatus::Done)
}

/// What a change did, for `-o json`.
pub fn outcome_json(outcome: &Outcome) -> Value {
    json!({
        "changed": !outcome.plan.is_empty(), "plan": outcome.plan, "status": outcome.status,
        "unreachable": outcome.unreachable, "left": outcome.left,
    })
}

/// Accepts what embedded stores lost, once: a later loss is refused again.
async fn accept_loss(context: &Context, target: &Target) -> Result<()> {
    let Target::Local(local) = target else {
        let message = "`--accept-loss` is for embedded stores, which only the target local has";
        return Err(Failure::new(ExitStatus::Usage, message).hint("remove `--accept-loss`").into());
    };
    let _lock = local.lock("up", |message| context.out.say(message)).await?;
    for line in local.accept_loss().await? {
        context.out.say(line);
    }
    Ok(())
}

/// Brings the stack to `replicas` replicas of what `stack` says, and says what was done.
pub async fn converge(
    context: &Context,
    target: &Target,
    stack: &Stack,
    replicas: u32,
    options: Options,
    verb: &str,
) -> Result<Outcome> {
    let since = Instant::now();
    let progress = Progress::new(context);
    let say = |message: &str| progress.show(message);
    let outcome = match target {
        Target::Local(local) => {
            let _lock = local.lock(verb, say).await?;
            let desired = local.desired(stack, replicas)?;
            let addresses = local.addresses(stack, &desired).await?;
            if addresses.iter().any(|address| address.changed) {
                let tried = local.try_addresses(stack).await;
                if let Some(refusal) = tried.refusal(&addresses, addresses::FROM) {
                    return Err(refusal.into());
                }
            }
            local.keep_addresses(stack)?;
            let (plan, status) = interruptible(local.apply(&desired, options.timeout, say), GOES_ON).await?;
            let mut outcome = Outcome::new(plan, status);
            if !addresses.is_empty() {
                outcome.unreachable = local.try_addresses(stack).await.warnings(&addresses, addresses::FROM);
            }
            outcome
        }
        Target::Compose(compose) => {
            let work = async {
                let (plan, status) = compose.up(replicas, options.timeout, &say).await?;
                let mut outcome = Outcome::new(plan, status);
                outcome.unreachable = compose.unreachable(options.strict, &say).await?;
                Ok(outcome)
            };
            interruptible(work, STOPS).await?
        }
        Target::Kubernetes(kubernetes) => {
            judge(context, &kubernetes.findings(replicas)?)?;
            interruptible(kubernetes.up(replicas, options, &say), STOPS).await?
        }
    };
    drop(progress);
    context.out.say(if outcome.plan.is_empty() {
        "nothing to change: the stack is as it should be".to_owned()
    } else {
        format!("ready after {:.1}s", since.elapsed().as_secs_f64())
    });
    for line in &outcome.left {
        context.out.say(line);
    }
    // With `--strict` they are the error.
    for warning in outcome.unreachable.iter().filter(|_| !options.strict) {
        context.out.warn(warning);
    }
    Ok(outcome)
}

/// Shows what `up` would do.
pub async fn diff(context: &Context) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let (resolved, replicas) = wanted(context, None, "")?;
    let asking = Asking { server: true, explicit: false, force: false };
    let plan = plan(context, &resolved.stack, replicas, asking).await?;
    context.out.data(&plan, || plan_text(&plan))?;
    Ok(if plan.is_empty() { ExitStatus::Done } else { ExitStatus::Differs })
}

async fn plan(context: &Context, stack: &Stack, replicas: u32, asking: Asking) -> Result<Plan> {
    match target(context, stack)? {
        Target::Local(local) => {
            let desired = local.desired(stack, replicas)?;
            local.plan(&desired).await
        }
        Target::Compose(compose) => compose.diff(replicas).await,
        Target::Kubernetes(kubernetes) => {
            judge(context, &kubernetes.findings(replicas)?)?;
            kubernetes.diff(replicas, asking, &|note| context.out.say(note)).await
        }
    }
}

fn plan_text(plan: &Plan) -> String {
    if plan.is_empty() { "nothing to change\n".into() } else { plan.text() }
}
