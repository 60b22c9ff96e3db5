//! What is wrong with a stack now, each with the next command. Pure.

use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::figures::{Field, Figures};
use super::reading::Reading;
use crate::document::counted;
use crate::rules::{self, Facts, Feature, Rule};
use crate::stack::ComponentKind;
use crate::targets::status::{ComponentState, Status};

/// More failures than this count, and a larger share of the requests: one failure of five requests at night wakes too many.
const FAILURES: (u64, f64) = (10, 0.01);
/// A pool with more of its connections in use has no reserve.
const POOL_FULL: f64 = 0.9;

/// The alerts, for their severity and next command; those of a stack that has all that replicas report.
static ALERTS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules::rules(&Facts {
        stack: String::new(),
        p95: Duration::from_millis(500),
        p99: Duration::from_secs(1),
        error_rate: FAILURES.1,
        features: vec![Feature::Bundled, Feature::RateLimit, Feature::Redis, Feature::Mongodb],
        runbooks: String::new(),
        disabled: Vec::new(),
    })
});

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// One sentence.
    pub(crate) text: String,
    /// The next command to run.
    pub(crate) command: String,
    /// The alert about the same, as `appforge alerts` lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alert: Option<String>,
}

impl Problem {
    /// One without an alert.
    pub(super) fn new(severity: Severity, text: String, command: impl Into<String>) -> Self {
        Self { severity, text, command: command.into(), alert: None }
    }

    /// One with the severity and the next command of an alert.
    fn of_alert(id: &str, text: String) -> Self {
        let rule = ALERTS.iter().find(|rule| rule.id == id);
        let is_critical = rule.is_some_and(|rule| rule.severity == rules::Severity::Critical);
        Self {
            severity: if is_critical { Severity::Critical } else { Severity::Warning },
            text,
            command: rule.map_or("appforge status", |rule| rule.next).to_owned(),
            alert: Some(id.to_owned()),
        }
    }

    /// The same with a command that leads further here than that of the alert.
    fn with_command(self, command: String) -> Self {
        Self { command, ..self }
    }
}

/// How bad it is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Users meet it, or data is at risk.
    Critical,
    /// It should be looked at.
    Warning,
}

impl Severity {
    /// The word for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// What problems are found by.
pub(super) struct Evidence<'a> {
    pub(super) status: &'a Status,
    /// What each replica reported last; without those that did not answer.
    pub(super) readings: &'a [(String, Reading)],
    /// Replicas that were asked and did not answer.
    pub(super) silent: &'a [String],
    /// Whether any was asked yet.
    pub(super) was_asked: bool,
    /// The last minute.
    pub(super) minute: &'a Figures,
}

/// The problems, the worst first.
pub(super) fn problems(evidence: &Evidence<'_>) -> Vec<Problem> {
    if evidence.status.url.is_none() {
        return vec![Problem::new(Severity::Critical, "the stack is down".into(), "appforge up")];
    }
    let (readings, silent, status) = (evidence.readings, evidence.silent, evidence.status);
    let logs = |name: &str| format!("appforge logs {name} --tail 50");
    let mut found = Vec::new();
    if readings.is_empty() && evidence.was_asked {
        let absent = Problem::of_alert("AppforgeServiceAbsent", "no replica answers".into());
        found.push(absent.with_command(logs("service")));
    }
    for name in silent.iter().filter(|_| !readings.is_empty()) {
        let text = format!("{name} does not answer");
        found.push(Problem::of_alert("AppforgeReplicaDown", text).with_command(logs(name)));
    }
    found.extend(components(status, silent));
    let missing = (status.replicas.desired as usize).saturating_sub(readings.len() + silent.len());
    if missing > 0 && !readings.is_empty() {
        let text = format!("{missing} of {} missing", counted(status.replicas.desired as usize, "replica"));
        found.push(Problem::of_alert("AppforgeReplicasMissing", text));
    }
    found.extend(reported(readings));
    found.extend(measured(evidence.minute));
    found.sort_by_key(|problem| problem.severity);
    found
}

/// Components that do not work.
fn components<'a>(status: &'a Status, silent: &'a [String]) -> impl Iterator<Item = Problem> + 'a {
    status.components.iter().filter(|component| !silent.contains(&component.name)).filter_map(|component| {
        let what = match component.state {
            ComponentState::Crashed => "ended by itself and is started again",
            ComponentState::Unresponsive => "does not answer",
            ComponentState::Stopped => "is stopped",
            _ => return None,
        };
        let severity = match component.kind {
            ComponentKind::Service | ComponentKind::Front => Severity::Warning,
            _ => Severity::Critical,
        };
        let name = &component.name;
        Some(Problem::new(severity, format!("{name} {what}"), format!("appforge logs {name} --tail 50")))
    })
}

/// What replicas report of the stores and of the app.
fn reported(readings: &[(String, Reading)]) -> Vec<Problem> {
    let count = |is: fn(&Reading) -> bool| readings.iter().filter(|(_, reading)| is(reading)).count();
    let of_all = |number: usize| format!("{number} of {}", counted(readings.len(), "replica"));
    let mut found = Vec::new();
    let mongodb = count(|reading| reading.mongodb_up == Some(false));
    if mongodb > 0 {
        let text = format!("MongoDB does not answer {}", of_all(mongodb));
        found.push(Problem::of_alert("AppforgeMongodbDown", text));
    }
    let redis = count(|reading| reading.redis_up == Some(false));
    if redis > 0 {
        found
            .push(Problem::of_alert("AppforgeRedisDown", format!("Redis does not answer {}", of_all(redis))));
    }
    let local = count(|reading| reading.limit_shared == Some(false));
    if local > 0 {
        let text = format!("the rate limit is not shared: {} count on their own", of_all(local));
        found.push(Problem::of_alert("AppforgeLimitNotShared", text));
    }
    let app = count(|reading| reading.app_up == Some(false));
    if app > 0 {
        let text = format!("the app behind {} does not answer", of_all(app));
        found.push(Problem::new(Severity::Critical, text, "appforge logs service --tail 50"));
    }
    found
}

/// What the last minute shows.
fn measured(minute: &Figures) -> Vec<Problem> {
    let mut found = Vec::new();
    let share = minute.share(Field::Failed, &[Field::Ok]).unwrap_or_default();
    if minute.get(Field::Failed) > FAILURES.0 && share > FAILURES.1 {
        let text = format!("{:.1}% of the requests failed in the last minute", share * 100.0);
        let burns = Problem::of_alert("AppforgeBudgetBurn", text);
        found.push(burns.with_command("appforge logs service --since 2m".to_owned()));
    }
    let pool = minute.share_of(Field::PoolInUse, Field::PoolMax);
    if let Some(share) = pool.filter(|share| *share > POOL_FULL) {
        let text = format!("{:.0}% of the MongoDB connections are in use", share * 100.0);
        found.push(Problem::of_alert("AppforgePoolSaturated", text));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::status::{Component, Replicas};

    fn status(desired: u32, redis: ComponentState) -> Status {
        let component = Component {
            name: "redis".into(),
            kind: ComponentKind::Redis,
            state: redis,
            endpoint: None,
            restarts: 0,
            version: None,
            detail: String::new(),
            pid: None,
        };
        Status {
            stack: "shop".into(),
            target: "local".into(),
            url: Some("http://localhost:5000".into()),
            replicas: Replicas { desired, ready: desired },
            components: vec![component],
            cluster: None,
        }
    }

    fn found(
        status: &Status,
        readings: &[Reading],
        silent: &[&str],
        minute: &Figures,
    ) -> Vec<(Severity, String)> {
        let readings: Vec<(String, Reading)> = readings
            .iter()
            .enumerate()
            .map(|(number, reading)| (format!("service-{number}"), reading.clone()))
            .collect();
        let silent: Vec<String> = silent.iter().copied().map(str::to_owned).collect();
        let evidence = Evidence { status, readings: &readings, silent: &silent, was_asked: true, minute };
        problems(&evidence).into_iter().map(|problem| (problem.severity, problem.text)).collect()
    }

    #[test]
    fn healthy_stack_has_none_and_a_stopped_one_says_so() {
        let well = Reading { limit_shared: Some(true), redis_up: Some(true), ..Reading::default() };
        let mut status = status(1, ComponentState::Ready);
        assert_eq!(found(&status, std::slice::from_ref(&well), &[], &Figures::NONE), []);
        status.url = None;
        let down = (Severity::Critical, "the stack is down".to_owned());
        assert_eq!(found(&status, &[], &[], &Figures::NONE), [down]);
    }

    #[test]
    fn no_replica_is_missed_before_any_was_asked() {
        let status = status(2, ComponentState::Ready);
        let evidence = Evidence {
            status: &status,
            readings: &[],
            silent: &[],
            was_asked: false,
            minute: &Figures::NONE,
        };
        assert_eq!(problems(&evidence), []);
        let texts = found(&status, &[], &["service-1", "service-2"], &Figures::NONE);
        assert_eq!(texts, [(Severity::Critical, "no replica answers".to_owned())]);
    }

    #[test]
    fn every_problem_with_an_alert_has_one_that_is_listed() {
        let source = include_str!("problems.rs");
        let code = source.split("#[cfg(test)]").next().unwrap();
        let ids: Vec<&str> =
            code.split("of_alert(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.len(), 8);
        for id in ids {
            assert!(ALERTS.iter().any(|rule| rule.id == id), "{id}");
        }
        let redis = Problem::of_alert("AppforgeRedisDown", String::new());
        assert_eq!(
            (redis.severity, redis.command.as_str()),
            (Severity::Critical, "appforge logs redis --since 10m")
        );
    }

    #[test]
    fn worst_problem_is_the_first() {
        let local = Reading { limit_shared: Some(false), redis_up: Some(false), ..Reading::default() };
        let shared = Reading { limit_shared: Some(true), redis_up: Some(true), ..Reading::default() };
        let texts =
            found(&status(4, ComponentState::Crashed), &[local, shared], &["service-9"], &Figures::NONE);
        let expected = [
            (Severity::Critical, "redis ended by itself and is started again"),
            (Severity::Critical, "Redis does not answer 1 of 2 replicas"),
            (Severity::Warning, "service-9 does not answer"),
            (Severity::Warning, "1 of 4 replicas missing"),
            (Severity::Warning, "the rate limit is not shared: 1 of 2 replicas count on their own"),
        ];
        assert_eq!(texts, expected.map(|(severity, text)| (severity, text.to_owned())));
    }

    #[test]
    fn refusals_hide_no_failures_and_three_failures_are_none() {
        use crate::monitoring::reading::Totals;
        let minute = |ok, limited, failed| {
            let totals = Totals { ok, limited, failed, ..Totals::default() };
            Figures::of(&Reading::default(), Some((60_000, &totals)))
        };
        let (status, well) = (status(1, ComponentState::Ready), [Reading::default()]);
        assert_eq!(found(&status, &well, &[], &minute(2, 0, 3)), []);
        assert_eq!(found(&status, &well, &[], &minute(10_000, 0, 60)), []);
        let expected = (Severity::Critical, "20.0% of the requests failed in the last minute".to_owned());
        assert_eq!(found(&status, &well, &[], &minute(240, 50_000, 60)), [expected]);
    }
}
