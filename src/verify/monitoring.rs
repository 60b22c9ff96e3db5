//! `monitoring`: Prometheus reaches every target and evaluates every rule, the watchdog fires, and no notification has failed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::report::Finding;
use crate::document::counted;
use crate::rules::{self, WATCHDOG};
use crate::stack::{Stack, monitoring};
use crate::targets::admin;
use crate::targets::subject::{Monitoring, Subject};

/// How often a stack that just started is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// What scrapes and evaluations of a first round may take on top of their interval.
const MARGIN: Duration = Duration::from_secs(5);
/// The counter of notifications that failed, by receiver.
const FAILED: &str = "alertmanager_notifications_failed_total{";

/// An answer of the API of Prometheus.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    labels: Labels,
    health: String,
    last_error: String,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    component: String,
    #[serde(default)]
    instance: String,
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: String,
    health: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    last_error: String,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

/// What was seen at once.
#[derive(Default)]
struct Seen {
    targets: usize,
    rules: usize,
    receivers: Vec<String>,
    troubles: Vec<String>,
}

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let Some(places) = &subject.monitoring else {
        return Ok(Finding::skipped("monitoring.enabled is false, or the target has no monitoring"));
    };
    let sends = !stack.alerts.receivers().is_empty();
    let facts = monitoring::facts(stack);
    let rules = rules::rules(&facts).len() + rules::recordings(&facts).len();
    // Two rounds: one for the first scrape, one for the rules that follow it.
    let deadline = Instant::now() + 2 * stack.monitoring.scrape_interval.0 + MARGIN;
    let mut ticks = interval(AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Seen::default();
    loop {
        let look = async {
            ticks.tick().await;
            look(places, sends, subject.replicas.len(), rules).await
        };
        match timeout_at(deadline, look).await {
            Ok(seen) => last = seen,
            Err(_) if last.troubles.is_empty() => last.troubles.push("no answer in time".to_owned()),
            Err(_) => {}
        }
        if last.troubles.is_empty() || Instant::now() >= deadline {
            break;
        }
    }
    let heard = if sends { "no failed notification" } else { "no receiver" };
    let expected = format!("every target up, {}, the watchdog, {heard}", counted(rules, "rule"));
    let mut observed = format!("{}, {}", counted(last.targets, "target"), counted(last.rules, "rule"));
    if !last.troubles.is_empty() {
        observed.push_str(&format!(": {}", last.troubles.join("; ")));
    }
    let finding = Finding::of(last.troubles.is_empty(), expected, observed);
    Ok(finding.with("targets", last.targets).with("rules", last.rules).with("receivers", last.receivers))
}

async fn look(places: &Monitoring, sends: bool, replicas: usize, rules: usize) -> Seen {
    let mut seen = Seen::default();
    let prometheus = match &places.prometheus {
        Some(base) => seen.prometheus(base, replicas, rules).await,
        None => Err(anyhow!("does not run")),
    };
    let alertmanager = match &places.alertmanager {
        Some(base) => seen.alertmanager(base).await,
        None if sends => Err(anyhow!("does not run")),
        None => Ok(()),
    };
    for (name, outcome) in [("prometheus", prometheus), ("alertmanager", alertmanager)] {
        seen.troubles.extend(outcome.err().map(|error| format!("{name}: {error:#}")));
    }
    seen
}

impl Seen {
    async fn prometheus(&mut self, base: &str, replicas: usize, rules: usize) -> Result<()> {
        let Answer { data } = get::<Answer<Targets>>(base, "/api/v1/targets?state=active").await?;
        self.targets = data.active_targets.len();
        for target in data.active_targets.iter().filter(|target| target.health != "up") {
            let Labels { component, instance } = &target.labels;
            let why = if target.last_error.is_empty() { "not scraped yet" } else { &target.last_error };
            self.troubles.push(format!("{component} at {instance}: {why}"));
        }
        let counted =
            data.active_targets.iter().filter(|target| target.labels.component == "service").count();
        if counted != replicas {
            self.troubles.push(format!("{counted} of {replicas} replicas are scraped"));
        }
        let Answer { data } = get::<Answer<Groups>>(base, "/api/v1/rules").await?;
        let loaded: Vec<Rule> = data.groups.into_iter().flat_map(|group| group.rules).collect();
        self.rules = loaded.len();
        if self.rules != rules {
            self.troubles.push(format!("{} of {rules} rules are loaded", self.rules));
        }
        for rule in loaded.iter().filter(|rule| rule.health == "err") {
            self.troubles.push(format!("{}: {}", rule.name, rule.last_error));
        }
        if !loaded.iter().any(|rule| rule.name == WATCHDOG && rule.state == "firing") {
            self.troubles.push(format!("{WATCHDOG} does not fire"));
        }
        Ok(())
    }

    async fn alertmanager(&mut self, base: &str) -> Result<()> {
        let receivers: Vec<Receiver> = get(base, "/api/v2/receivers").await?;
        self.receivers = receivers.into_iter().map(|receiver| receiver.name).collect();
        let metrics = admin::get(base, "/metrics").await?;
        self.troubles.extend(failures(&String::from_utf8_lossy(&metrics)));
        Ok(())
    }
}

/// The notifications that failed since Alertmanager started, a line for each kind of receiver.
fn failures(metrics: &str) -> Vec<String> {
    let failed = metrics.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(FAILED)?.rsplit_once(' ')?;
        let count: f64 = value.parse().ok().filter(|count| *count > 0.0)?;
        let kind = labels.split('"').nth(1)?;
        Some(format!("{count} notifications to {kind} failed"))
    });
    failed.collect()
}

async fn get<T: DeserializeOwned>(base: &str, path: &str) -> Result<T> {
    let body = admin::get(base, path).await?;
    serde_json::from_slice(&body).with_context(|| format!("{path} has the format of another version"))
}

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn failed_notifications_are_counted_by_receiver() {
        let metrics = "# TYPE alertmanager_notifications_failed_total counter\n\
                       alertmanager_notifications_failed_total{integration=\"email\"} 0\n\
                       alertmanager_notifications_failed_total{integration=\"slack\"} 3\n\
                       alertmanager_notifications_total{integration=\"slack\"} 5\n";
        assert_eq!(failures(metrics), ["3 notifications to slack failed"]);
    }
}
