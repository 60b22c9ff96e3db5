//! What the verbs of a running stack have in common: which target, how many replicas, what they print.

use anyhow::Result;
use serde_json::json;

use crate::commands::context::invalid;
use crate::commands::{Context, own_templates};
use crate::document::Origin;
use crate::error::{ExitStatus, Failure};
use crate::output::table;
use crate::stack::model::OnRedisFailure;
use crate::stack::{Resolved, Stack, TargetKind};
use crate::state::State;
use crate::targets::change::{Outcome, only_on};
use crate::targets::status::{ClusterStatus, Condition, Status};
use crate::targets::{Place, Target};

/// What the configuration says, and how many replicas the flag or an earlier `scale` asks for.
pub(crate) struct Wanted {
    /// The stack as it is configured, with the bounds of an earlier `scale`.
    pub(crate) stack: Stack,
    /// How many replicas there should be.
    pub(crate) replicas: u32,
}

impl Wanted {
    /// The stack with its replicas.
    pub(crate) fn scaled(&self) -> Stack {
        self.stack.clone().with_replicas_on(self.stack.target, self.replicas)
    }
}

/// The stack of the project on its target.
///
/// # Errors
/// When the project's own templates cannot be read, or a flag is of another target.
pub(crate) fn open(context: &Context, stack: Stack, take_over: bool) -> Result<Target> {
    if context.cluster.is_some() {
        only_on(TargetKind::Kubernetes, &stack, "`--context`")?;
    }
    let project = &context.project;
    let place = Place {
        folder: project.folder.clone(),
        state_folder: project.state_folder()?,
        has_file: project.file.is_some(),
        take_over,
        context: context.cluster.clone(),
        out: context.out,
    };
    Target::open(place, stack, || own_templates(&project.folder))
}

/// The configuration, and the number of replicas that the file, the flag or an earlier `scale` asks for.
///
/// # Errors
/// When the configuration is invalid, the memory cannot be read, or it holds a number that the flag could not have.
pub(crate) fn wanted(context: &Context, replicas: Option<u32>, flag: &str) -> Result<Wanted> {
    settled(context, context.stack(&[])?, replicas, flag)
}

/// The same for a verb that shows what runs; see [`Context::running_stack`].
///
/// # Errors
/// As [`wanted`].
pub(crate) fn wanted_running(context: &Context) -> Result<Wanted> {
    settled(context, context.running_stack()?, None, "")
}

fn settled(context: &Context, mut resolved: Resolved, replicas: Option<u32>, flag: &str) -> Result<Wanted> {
    let target = resolved.stack.target;
    let state = State::load(&context.project.state_folder()?, |notice| context.out.warn(notice))?;
    let remembered = state.recall(target, &resolved.stack);
    let (remembered, replicas) = match replicas {
        Some(replicas) => {
            let origin = Origin::Flag(flag.to_owned());
            resolved.clone().scaled(replicas, None, &origin).map_err(|problems| invalid(&problems))?;
            // A remembered number that cannot be is about to be replaced.
            (remembered.unwrap_or_default(), replicas)
        }
        None => {
            let remembered = remembered?;
            (remembered, remembered.map_or(resolved.stack.replicas_on(target), |scaled| scaled.replicas))
        }
    };
    let max = remembered.and_then(|scaled| scaled.max);
    if let (Some(autoscaling), Some(max)) = (&mut resolved.stack.kubernetes.autoscaling, max) {
        autoscaling.max = max;
    }
    Ok(Wanted { stack: resolved.stack, replicas })
}

/// Remembers the number of replicas that was asked for.
///
/// # Errors
/// When the memory cannot be written.
pub(crate) fn remember(context: &Context, wanted: &Wanted, max: Option<u32>) -> Result<()> {
    let (folder, replicas) = (context.project.state_folder()?, wanted.replicas);
    let before = State::load(&folder, |notice| context.out.warn(notice))?;
    let mut state = before.clone();
    state.remember(wanted.stack.target, &wanted.stack, replicas, max);
    if state == before {
        return Ok(());
    }
    state.save(&folder).map_err(|error| {
        let message = format!("there are {replicas} replicas now, which cannot be remembered");
        Failure::new(ExitStatus::Failed, message)
            .hint(format!("fix that, then `appforge scale --replicas {replicas}`"))
            .caused_by(error)
            .into()
    })
}

/// Prints what `up` or `scale` did. With `strict`, stores that do not answer are the error of the command.
pub(crate) fn print_outcome(context: &Context, outcome: &Outcome, strict: bool) -> Result<()> {
    context.out.say(if outcome.plan.is_empty() {
        "nothing to change: the stack is as it should be".to_owned()
    } else {
        format!("ready after {:.1}s", outcome.took.as_secs_f64())
    });
    for line in &outcome.left {
        context.out.say(line);
    }
    for warning in outcome.unreachable.iter().filter(|_| !strict) {
        context.out.warn(warning);
    }
    print_data(context, outcome)
}

/// Prints an outcome on stdout.
pub(crate) fn print_data(context: &Context, outcome: &Outcome) -> Result<()> {
    let value = json!({
        "changed": !outcome.plan.is_empty(), "plan": outcome.plan, "status": outcome.status,
        "unreachable": outcome.unreachable, "left": outcome.left,
    });
    context.out.data(&value, || status_text(&outcome.status))
}

/// The status for people.
pub(crate) fn status_text(status: &Status) -> String {
    let mut text = match &status.url {
        Some(url) => format!(
            "stack {} on {} at {url}, {} of {} replicas ready\n\n",
            status.stack, status.target, status.replicas.ready, status.replicas.desired
        ),
        None => return format!("stack {} on {} is down\n", status.stack, status.target),
    };
    let rows = status.components.iter().map(|component| {
        let version = component.version.clone().unwrap_or_else(|| "-".into());
        let endpoint = component.endpoint.clone().unwrap_or_else(|| "-".into());
        let (state, restarts) = (component.state.as_str().to_owned(), component.restarts.to_string());
        vec![component.name.clone(), state, restarts, endpoint, version, component.detail.clone()]
    });
    text.push_str(&table(&["name", "state", "restarts", "endpoint", "version", "detail"], rows.collect()));
    if let Some(cluster) = &status.cluster {
        text.push_str(&cluster_text(cluster));
    }
    text
}

/// What only a cluster has, for people: the autoscaler, budgets, and conditions that do not hold.
fn cluster_text(cluster: &ClusterStatus) -> String {
    let mut text = String::new();
    if let Some(scaler) = &cluster.autoscaler {
        let metrics = scaler.metrics.iter().map(|metric| {
            let percent =
                |share: Option<u32>| share.map_or_else(|| "?".to_owned(), |share| format!("{share}%"));
            format!("{} {} of {}", metric.name, percent(metric.current), percent(metric.target))
        });
        text.push_str(&format!(
            "\nautoscaler: {} replicas, wants {}, {} to {}; {}\n",
            scaler.current,
            scaler.desired,
            scaler.min,
            scaler.max,
            metrics.collect::<Vec<_>>().join(", ")
        ));
    }
    for budget in &cluster.budgets {
        text.push_str(&format!(
            "disruptions: {} may lose {} pods now, {} of {} needed are healthy\n",
            budget.name, budget.allowed, budget.healthy, budget.wanted
        ));
    }
    let scaler = cluster.autoscaler.iter().flat_map(|scaler| &scaler.conditions);
    for condition in cluster.conditions.iter().chain(scaler).filter(|condition| is_bad(condition)) {
        let holds = if condition.holds { "" } else { "not " };
        text.push_str(&format!("{}: {holds}{}: {}", condition.object, condition.name, condition.reason));
        let message = condition.message.lines().next().unwrap_or_default();
        text.push_str(&if message.is_empty() { "\n".to_owned() } else { format!(": {message}\n") });
    }
    text
}

/// Whether people should read a condition: failures are good when they do not hold.
fn is_bad(condition: &Condition) -> bool {
    match condition.name.as_str() {
        "ReplicaFailure" => condition.holds,
        // At its floor an autoscaler is limited as well, as it should be.
        "ScalingLimited" => condition.holds && condition.reason == "TooManyReplicas",
        _ => !condition.holds,
    }
}

/// What a user should know about a stack before relying on it.
pub(crate) fn cautions(stack: &Stack) -> Vec<String> {
    let mut cautions = Vec::new();
    if stack.rate_limit.on_redis_failure == OnRedisFailure::Open {
        cautions
            .push("rate_limit.on_redis_failure is `open`: while Redis is away nothing is limited".to_owned());
    }
    cautions
}
