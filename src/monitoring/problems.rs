//! What is wrong with a stack now, each with the next command. Pure.

use serde::{Deserialize, Serialize};

use super::figures::{Field, Figures};
use super::reading::Reading;
use crate::document::counted;
use crate::stack::ComponentKind;
use crate::targets::status::{ComponentState, Status};

/// More failures than this count, and a larger share of the requests: one failure of five requests at night wakes too many.
const FAILURES: (u64, f64) = (10, 0.01);
/// A pool with more of its connections in use has no reserve.
const POOL_FULL: f64 = 0.9;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// One sentence.
    pub(crate) text: String,
    /// The next command to run.
    pub(crate) command: String,
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
        return vec![Problem {
            severity: Severity::Critical,
            text: "the stack is down".into(),
            command: "appforge up".into(),
        }];
    }
    let mut found = Vec::new();
    let mut add = |severity, text: String, command: String| found.push(Problem { severity, text, command });
    let (readings, silent) = (evidence.readings, evidence.silent);
    let status = evidence.status;
    if readings.is_empty() && evidence.was_asked {
        add(Severity::Critical, "no replica answers".into(), "appforge logs service --tail 50".into());
    }
    for name in silent.iter().filter(|_| !readings.is_empty()) {
        add(Severity::Warning, format!("{name} does not answer"), format!("appforge logs {name} --tail 50"));
    }
    components(status, silent, &mut add);
    let missing = (status.replicas.desired as usize).saturating_sub(readings.len() + silent.len());
    if missing > 0 && !readings.is_empty() {
        let text = format!("{} of {} missing", missing, counted(status.replicas.desired as usize, "replica"));
        add(Severity::Warning, text, "appforge status".into());
    }
    stores(readings, &mut add);
    let (failed, share) = (
        evidence.minute.get(Field::Failed),
        evidence.minute.share(Field::Failed, &[Field::Ok]).unwrap_or_default(),
    );
    if failed > FAILURES.0 && share > FAILURES.1 {
        let text = format!("{:.1}% of the requests failed in the last minute", share * 100.0);
        add(Severity::Critical, text, "appforge logs service --since 2m".into());
    }
    let pool = evidence.minute.share_of(Field::PoolInUse, Field::PoolMax);
    if let Some(share) = pool.filter(|share| *share > POOL_FULL) {
        let text = format!("{:.0}% of the MongoDB connections are in use", share * 100.0);
        add(Severity::Warning, text, "appforge verify --check mongodb-connections".into());
    }
    found.sort_by_key(|problem| problem.severity);
    found
}

/// Components that do not work.
fn components(status: &Status, silent: &[String], add: &mut impl FnMut(Severity, String, String)) {
    for component in &status.components {
        let what = match component.state {
            ComponentState::Crashed => "ended by itself and is started again",
            ComponentState::Unresponsive => "does not answer",
            ComponentState::Stopped => "is stopped",
            _ => continue,
        };
        if silent.contains(&component.name) {
            continue;
        }
        let severity = match component.kind {
            ComponentKind::Service | ComponentKind::Front => Severity::Warning,
            _ => Severity::Critical,
        };
        let name = &component.name;
        add(severity, format!("{name} {what}"), format!("appforge logs {name} --tail 50"));
    }
}

/// What replicas report of the stores and of the app.
fn stores(readings: &[(String, Reading)], add: &mut impl FnMut(Severity, String, String)) {
    let count = |is: fn(&Reading) -> bool| readings.iter().filter(|(_, reading)| is(reading)).count();
    let of_all = |number: usize| format!("{number} of {}", counted(readings.len(), "replica"));
    let mongodb = count(|reading| reading.mongodb_up == Some(false));
    if mongodb > 0 {
        let text = format!("MongoDB does not answer {}", of_all(mongodb));
        add(Severity::Critical, text, "appforge logs mongodb --tail 50".into());
    }
    let redis = count(|reading| reading.redis_up == Some(false));
    if redis > 0 {
        let text = format!("Redis does not answer {}", of_all(redis));
        add(Severity::Critical, text, "appforge logs redis --tail 50".into());
    }
    let local = count(|reading| reading.limit_shared == Some(false));
    if local > 0 {
        let text = format!("the rate limit is not shared: {} count on their own", of_all(local));
        add(Severity::Warning, text, "appforge verify --check rate-limit".into());
    }
    let app = count(|reading| reading.app_up == Some(false));
    if app > 0 {
        let text = format!("the app behind {} does not answer", of_all(app));
        add(Severity::Critical, text, "appforge logs service --tail 50".into());
    }
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
