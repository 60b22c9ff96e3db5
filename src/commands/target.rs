//! What the verbs of a running stack have in common: which target, how many replicas, how progress is shown.

use std::cell::RefCell;
use std::future::Future;

use anyhow::Result;
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::context::invalid;
use crate::commands::{Context, own_templates};
use crate::document::Origin;
use crate::error::{ExitStatus, Failure};
use crate::output::table;
use crate::stack::model::OnRedisFailure;
use crate::stack::{Resolved, Stack, TargetKind};
use crate::state::State;
use crate::targets::Target;
use crate::targets::compose::Compose;
use crate::targets::kubernetes::{Announcer, Kubernetes};
use crate::targets::local::Local;
use crate::targets::local::layout::Layout;
use crate::targets::ownership::Claim;
use crate::targets::status::{ClusterStatus, Condition, Status};

/// The stack of the project on its target.
///
/// # Errors
/// When the project's own templates cannot be read, or a flag is of another target.
pub fn target(context: &Context, stack: &Stack) -> Result<Target> {
    if context.cluster.is_some() {
        kubernetes_only(stack, "`--context`")?;
    }
    let claim = claim(context, stack)?;
    let state = context.project.state_folder()?;
    let target = match stack.target {
        TargetKind::Local => {
            let layout = Layout::new(&state);
            Target::Local(Local::new(layout, stack.name.as_str()))
        }
        TargetKind::Compose => {
            let templates = own_templates(&context.project.folder)?;
            Target::Compose(Box::new(Compose::new(&state, stack, templates)))
        }
        TargetKind::Kubernetes => {
            let templates = own_templates(&context.project.folder)?;
            let out = context.out;
            let announcer = Announcer::new(move |title| out.say(title));
            let cluster = context.cluster.clone();
            let kubernetes = Kubernetes::new(&state, stack, templates, cluster, announcer);
            Target::Kubernetes(Box::new(kubernetes))
        }
    };
    Ok(target.claimed(claim))
}

/// What this project has to say for itself when it asks for the stack.
///
/// # Errors
/// When the state folder is not the caller's own.
pub fn claim(context: &Context, stack: &Stack) -> Result<Claim> {
    let project = &context.project;
    let state = project.state_folder()?;
    Ok(Claim::new(&project.folder, &state, stack.id.clone(), project.file.is_some()))
}

/// Refuses a flag that only the target kubernetes has.
///
/// # Errors
/// Exit 2, with the way out.
pub fn kubernetes_only(stack: &Stack, what: &str) -> Result<()> {
    if stack.target == TargetKind::Kubernetes {
        return Ok(());
    }
    let message =
        format!("{what} is for the target kubernetes, and this stack is on `{}`", stack.target.as_str());
    Err(Failure::new(ExitStatus::Usage, message).hint("add `--target kubernetes`").into())
}

/// The configuration, and the number of replicas that the file, the flag or an earlier `scale` asks for.
///
/// # Errors
/// When the configuration is invalid, the memory cannot be read, or it holds a number that the flag could not have.
pub fn wanted(context: &Context, replicas: Option<u32>, flag: &str) -> Result<(Resolved, u32)> {
    settled(context, context.stack(&[])?, replicas, flag)
}

/// The same for a verb that shows what runs; see [`Context::running_stack`].
///
/// # Errors
/// As [`wanted`].
pub fn wanted_running(context: &Context) -> Result<(Resolved, u32)> {
    settled(context, context.running_stack()?, None, "")
}

fn settled(
    context: &Context,
    mut resolved: Resolved,
    replicas: Option<u32>,
    flag: &str,
) -> Result<(Resolved, u32)> {
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
    Ok((resolved, replicas))
}

/// Remembers the number of replicas that was asked for.
///
/// # Errors
/// When the memory cannot be written.
pub fn remember(context: &Context, stack: &Stack, replicas: u32, max: Option<u32>) -> Result<()> {
    let folder = context.project.state_folder()?;
    let before = State::load(&folder, |notice| context.out.warn(notice))?;
    let mut state = before.clone();
    state.remember(stack.target, stack, replicas, max);
    if state == before {
        return Ok(());
    }
    state.save(&folder).map_err(|error| {
        let message = format!("there are {replicas} replicas now, which cannot be remembered");
        Failure::new(ExitStatus::Failed, message)
            .hint(format!("mend that, then `appforge scale --replicas {replicas}`"))
            .caused_by(error)
            .into()
    })
}

/// Shows progress: on a terminal in one line that vanishes, elsewhere as lines.
pub struct Progress<'a> {
    context: &'a Context,
    bar: RefCell<Option<ProgressBar>>,
}

impl<'a> Progress<'a> {
    /// Nothing is shown before the first message.
    pub fn new(context: &'a Context) -> Self {
        Self { context, bar: RefCell::new(None) }
    }

    /// Shows a message.
    pub fn show(&self, message: &str) {
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| self.context.out.spinner(""));
        if bar.is_hidden() {
            self.context.out.say(message);
        } else {
            bar.set_message(message.to_owned());
        }
    }
}

impl Progress<'_> {
    /// Shows a step, on a terminal only: what is done is said at the end.
    pub fn step(&self, name: &str) {
        let mut bar = self.bar.borrow_mut();
        bar.get_or_insert_with(|| self.context.out.spinner("")).set_message(name.to_owned());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// Runs `work` until Ctrl-C or SIGTERM, which lead to exit 130 and `hint`.
///
/// # Errors
/// Those of `work`, and the interruption.
pub async fn interruptible<T>(work: impl Future<Output = Result<T>>, hint: &str) -> Result<T> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = work => outcome,
        _ = int.recv() => Err(interrupted(hint)),
        _ = term.recv() => Err(interrupted(hint)),
    }
}

fn interrupted(hint: &str) -> anyhow::Error {
    Failure::new(ExitStatus::Interrupted, "interrupted").hint(hint).into()
}

/// The status for people.
pub fn status_text(status: &Status) -> String {
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
pub fn cautions(stack: &Stack) -> Vec<String> {
    let mut cautions = Vec::new();
    if stack.rate_limit.on_redis_failure == OnRedisFailure::Open {
        cautions
            .push("rate_limit.on_redis_failure is `open`: while Redis is away nothing is limited".to_owned());
    }
    cautions
}
