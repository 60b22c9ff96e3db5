//! The report of a run as data, and how it is made of what was measured.
//!
//! `metrics` has the names, the shape and the units (ms) of k6's summary, so that what reads k6's file reads ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::float;
use crate::load::capacity::Capacity;
use crate::load::connection::ErrorKind;
use crate::load::environment::Environment;
use crate::load::generator::{Ended, Measured, Point};
use crate::load::report::comparison::Comparison;
use crate::load::report::metrics;
use crate::load::scenario::Scenario;
use crate::load::thresholds::Threshold;
use crate::load::units::{in_ms, percent, rounded};

/// The report of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of this shape.
    pub version: u32,
    /// Whether every threshold holds and the run was not interrupted.
    pub passed: bool,
    /// The name of the scenario.
    pub scenario: String,
    /// `closed` or `open`.
    pub model: String,
    /// Scheme, host and port that were loaded.
    pub url: String,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// What rates are over, in seconds: the scheduled time, or the elapsed one of a run that was cut.
    pub duration_s: f64,
    /// `completed`, `interrupted` or `aborted`.
    pub ended: String,
    /// Simulated clients; 0 when requests were not signed.
    pub simulated_clients: u64,
    /// k6's metrics.
    pub metrics: Map<String, Value>,
    /// The thresholds and what was observed.
    pub thresholds: Vec<Judged>,
    /// Each step.
    pub routes: Vec<RouteReport>,
    /// Each check.
    pub checks: Vec<CheckReport>,
    /// Answers by status.
    pub statuses: BTreeMap<String, u64>,
    /// Requests without an answer, by kind.
    pub errors: BTreeMap<String, u64>,
    /// The run over time.
    pub series: Vec<PointReport>,
    /// What the generator used.
    pub generator: GeneratorReport,
    /// Where it took place.
    pub environment: Environment,
    /// What a reader should know before believing the numbers.
    pub warnings: Vec<String>,
    /// What the search for the capacity found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Against an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// A threshold and what was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// As it was written.
    pub expression: String,
    /// In the unit; `null` without samples.
    pub observed: Option<f64>,
    /// `ms`, `ratio` or `per_second`.
    pub unit: String,
    /// The same for people.
    pub shown: String,
    /// Whether it holds.
    pub passed: bool,
}

/// One step; times in ms.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteReport {
    /// The step.
    pub name: String,
    /// Method and path.
    pub request: String,
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were limited.
    pub limited: u64,
    /// The median.
    pub p50: Option<f64>,
    /// 95 of 100 were faster.
    pub p95: Option<f64>,
    /// 99 of 100 were faster.
    pub p99: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// How often it held.
    pub passes: u64,
    /// How often not.
    pub fails: u64,
}

/// One interval; times in ms, rates per second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PointReport {
    /// Its end, in seconds since the begin.
    pub t: f64,
    /// Requests that ended.
    pub rate: f64,
    /// Failed ones.
    pub failed: f64,
    /// Limited ones.
    pub limited: f64,
    /// Users or rate asked for.
    pub level: f64,
    /// The median.
    pub p50: Option<f64>,
    /// 95 of 100 were faster.
    pub p95: Option<f64>,
    /// 99 of 100 were faster.
    pub p99: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

/// What the generator used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GeneratorReport {
    /// Worker threads.
    pub threads: usize,
    /// Cores used.
    pub cpu_cores: f64,
    /// The share of a core that the busiest thread used.
    pub busiest_thread: f64,
    /// The share of all cores of the machine that anyone used.
    pub machine_cpu: Option<f64>,
    /// How late one of a hundred sends was, in ms.
    pub late_p99: Option<f64>,
    /// Whether it, not the service, was the limit.
    pub saturated: bool,
}

/// What a report needs beside the measurements.
pub struct About<'a> {
    /// The scenario that ran.
    pub scenario: &'a Scenario,
    /// What must hold.
    pub thresholds: &'a [Threshold],
    /// Scheme, host and port.
    pub url: &'a str,
    /// When the run began, RFC 3339.
    pub started_at: String,
    /// Whether requests were signed.
    pub simulated: bool,
    /// Where.
    pub environment: Environment,
}

impl Report {
    /// Puts a run into the shape that is kept.
    pub fn new(measured: &Measured, about: About<'_>) -> Self {
        let tally = &measured.tally;
        let steps = &about.scenario.steps;
        let judge = |threshold: &Threshold| Judged::from(threshold.judge(tally, steps, measured.period));
        let thresholds: Vec<Judged> = about.thresholds.iter().map(judge).collect();
        let held = thresholds.iter().all(|judged| judged.passed);
        let routes = steps.iter().zip(&tally.routes).map(|(step, route)| RouteReport {
            name: step.name.clone(),
            request: format!("{} {}", step.method, step.path),
            requests: route.requests,
            failed: route.failed,
            limited: route.limited,
            p50: route.duration.quantile(0.5).map(in_ms),
            p95: route.duration.quantile(0.95).map(in_ms),
            p99: route.duration.quantile(0.99).map(in_ms),
            max: route.duration.max().map(in_ms),
        });
        let checks = steps.iter().zip(&tally.routes).flat_map(|(step, route)| {
            step.checks.iter().zip(&route.checks).map(|(check, (passes, fails))| CheckReport {
                name: check.name.clone(),
                passes: *passes,
                fails: *fails,
            })
        });
        let kinds = ErrorKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), tally.errors_of(kind)));
        let effort = &measured.effort;
        Self {
            version: 1,
            passed: held && tally.requests > tally.limited && measured.ended == Ended::Completed,
            scenario: about.scenario.name.clone(),
            model: about.scenario.model.name().to_owned(),
            url: about.url.to_owned(),
            started_at: about.started_at,
            duration_s: rounded(measured.period.as_secs_f64()),
            ended: measured.ended.name().to_owned(),
            simulated_clients: tally.clients,
            metrics: metrics::metrics(measured, about.scenario),
            thresholds,
            routes: routes.collect(),
            checks: checks.collect(),
            statuses: tally.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            errors: kinds.filter(|(_, count)| *count > 0).collect(),
            series: measured.series.iter().map(PointReport::from).collect(),
            generator: GeneratorReport {
                threads: effort.threads,
                cpu_cores: rounded(effort.cores),
                busiest_thread: rounded(effort.busiest),
                machine_cpu: effort.machine.map(rounded),
                late_p99: effort.late_p99.map(in_ms),
                saturated: !effort.saturated.is_empty(),
            },
            environment: about.environment,
            warnings: warnings(measured, about.simulated),
            capacity: None,
            comparison: None,
        }
    }

    /// The most users, or the highest rate, that was asked for.
    pub fn peak(&self) -> f64 {
        self.metric("arrival_rate_max", "value").or_else(|| self.metric("vus_max", "value")).unwrap_or(0.0)
    }

    /// A number among the metrics, such as `("http_req_duration", "p(95)")`.
    pub fn metric(&self, name: &str, field: &str) -> Option<f64> {
        self.metrics.get(name)?.get(field)?.as_f64()
    }
}

/// What the limiter answers, which is counted apart.
const TOO_MANY: u16 = 429;

fn warnings(measured: &Measured, simulated: bool) -> Vec<String> {
    let tally = &measured.tally;
    let mut warnings = Vec::new();
    if tally.requests == 0 {
        warnings.push("no request finished within the run: nothing was measured".into());
    }
    for reason in &measured.effort.saturated {
        warnings.push(format!("the generator was the limit, not the service alone: {reason}"));
    }
    if tally.limited > 0 {
        let share = percent(float::from_u64(tally.limited) / float::from_u64(tally.requests.max(1)));
        let why = if simulated { "" } else { ", since all requests came from one client" };
        warnings.push(format!(
            "{} of {} requests ({share}) were refused by the rate limiter{why}; latencies and errors exclude them",
            tally.limited, tally.requests
        ));
    }
    // What is not there cannot be loaded.
    let refused = |status: u16| (400..500).contains(&status) && status != TOO_MANY;
    if let Some((status, count)) =
        tally.statuses.iter().find(|(status, count)| refused(**status) && **count * 2 > tally.requests)
    {
        warnings.push(format!(
            "{count} of {} requests were answered {status}: set `service.health` to a path of the app that answers 200, or name what to request with `--scenario FILE`",
            tally.requests
        ));
    }
    let unsent = tally.errors_of(ErrorKind::NeverSent);
    if unsent > 0 {
        warnings.push(format!(
            "{unsent} requests were not sent because no connection was free; they count as failed"
        ));
    } else if tally.queued * 100 > tally.requests {
        let share = percent(float::from_u64(tally.queued) / float::from_u64(tally.requests.max(1)));
        warnings.push(format!("{share} of the requests were sent late because every connection was busy; their latency includes the wait"));
    }
    warnings
}

impl From<crate::load::thresholds::Verdict> for Judged {
    fn from(verdict: crate::load::thresholds::Verdict) -> Self {
        use crate::load::thresholds::Unit;
        let unit = match verdict.unit {
            Unit::Ms => "ms",
            Unit::Ratio => "ratio",
            Unit::PerSecond => "per_second",
        };
        Self {
            shown: verdict.observed(),
            expression: verdict.expression,
            observed: verdict.observed.map(rounded),
            unit: unit.to_owned(),
            passed: verdict.passed,
        }
    }
}

impl From<&Point> for PointReport {
    fn from(point: &Point) -> Self {
        Self {
            t: rounded(point.at.as_secs_f64()),
            rate: rounded(point.rate),
            failed: rounded(point.failed),
            limited: rounded(point.limited),
            level: rounded(point.level),
            p50: point.p50.map(in_ms),
            p95: point.p95.map(in_ms),
            p99: point.p99.map(in_ms),
            max: point.max.map(in_ms),
        }
    }
}
