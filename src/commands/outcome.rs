//! What the verbs of a stack print: what was changed, what runs, what to know of it.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::output::table;
use crate::stack::Stack;
use crate::stack::model::OnRedisFailure;
use crate::targets::change::Outcome;
use crate::targets::status::{ClusterStatus, Condition, Status};

/// Prints what `up` or `scale` did. With `strict`, stores that do not answer are the error of the command.
pub(crate) fn print_outcome(context: &Context, outcome: &Outcome, strict: bool) -> Result<()> {
    context.out.say(if outcome.plan.is_empty() {
        "nothing to change: the stack is up to date".to_owned()
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
            "\nautoscaler: {} replicas, desired {}, min {}, max {}; {}\n",
            scaler.current,
            scaler.desired,
            scaler.min,
            scaler.max,
            metrics.collect::<Vec<_>>().join(", ")
        ));
    }
    for budget in &cluster.budgets {
        text.push_str(&format!(
            "disruption budget: {} allows {} disruptions now, {} of {} required pods are healthy\n",
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
    if cluster.autoscaler.as_ref().is_some_and(|scaler| scaler.inactive().is_some()) {
        text.push_str("hint: `appforge doctor` checks the metrics of the autoscaler\n");
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
            .push("rate_limit.on_redis_failure is `open`: without Redis no request is limited".to_owned());
    }
    cautions
}
