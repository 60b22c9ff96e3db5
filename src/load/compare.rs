//! Two runs side by side. A difference counts only when it is larger than what the runs themselves vary by. Pure.
//!
//! The band of a latency or a rate is two standard errors of the difference of the means of the intervals of both
//! runs, the band of a share two standard errors of the difference of two proportions; never below [`FLOOR`].

use serde::{Deserialize, Serialize};

use crate::load::report::{PointReport, Report, ms, percent};

/// Even quiet machines differ by this much from run to run.
const FLOOR: f64 = 0.05;

/// A run against an earlier one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// When the earlier run began, and its commit when known.
    pub with: String,
    /// Each compared metric.
    pub rows: Vec<Row>,
    /// What makes the two hard to compare, such as another machine.
    pub differences: Vec<String>,
}

/// One metric of both runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The metric.
    pub metric: String,
    /// `ms`, `per_second` or `ratio`.
    pub unit: String,
    /// The earlier value.
    pub before: Option<f64>,
    /// The value now.
    pub now: Option<f64>,
    /// The relative change; for a share the difference.
    pub change: Option<f64>,
    /// Changes within it are noise; in the unit of `change`.
    pub band: f64,
    /// `same`, `better`, `worse`, or `unknown`.
    pub verdict: String,
}

/// Compares `now` with `before`.
pub fn compare(before: &Report, now: &Report) -> Comparison {
    let latency = |metric: &str, field: &str, of: fn(&PointReport) -> Option<f64>| {
        let values = [before, now].map(|report| report.metric("http_req_duration", field));
        row(metric, "ms", values, band(before, now, of), true)
    };
    let rates = [before, now].map(|report| report.metric("http_reqs", "rate"));
    let mut rows = vec![
        row("requests per second", "per_second", rates, band(before, now, |point| Some(point.rate)), false),
        latency("p50", "med", |point| point.p50),
        latency("p95", "p(95)", |point| point.p95),
        latency("p99", "p(99)", |point| point.p99),
    ];
    rows.push(failures(before, now));
    let commit =
        before.environment.commit.as_deref().map(|commit| format!(" at {commit}")).unwrap_or_default();
    Comparison {
        with: format!("the run of {}{commit}", before.started_at),
        rows,
        differences: differences(before, now),
    }
}

fn row(metric: &str, unit: &str, [before, now]: [Option<f64>; 2], band: f64, less_is_better: bool) -> Row {
    let change = match (before, now) {
        (Some(before), Some(now)) if before > 0.0 => Some(now / before - 1.0),
        _ => None,
    };
    let verdict = verdict(change, band, less_is_better);
    Row { metric: metric.to_owned(), unit: unit.to_owned(), before, now, change, band, verdict }
}

fn failures(before: &Report, now: &Report) -> Row {
    let values = [before, now].map(|report| report.metric("http_req_failed", "rate"));
    let error = |report: &Report| {
        let rate = report.metric("http_req_failed", "rate").unwrap_or(0.0);
        let count: f64 = ["passes", "fails"].iter().filter_map(|f| report.metric("http_req_failed", f)).sum();
        rate * (1.0 - rate) / count.max(1.0)
    };
    let change = values[0].zip(values[1]).map(|(before, now)| now - before);
    // A hundredth of a percent of requests is within what any network loses.
    let band = (2.0 * (error(before) + error(now)).sqrt()).max(0.0001);
    let verdict = verdict(change, band, true);
    Row {
        metric: "failed".into(),
        unit: "ratio".into(),
        before: values[0],
        now: values[1],
        change,
        band,
        verdict,
    }
}

fn verdict(change: Option<f64>, band: f64, less_is_better: bool) -> String {
    match change {
        None => "unknown",
        Some(change) if change.abs() <= band => "same",
        Some(change) if (change < 0.0) == less_is_better => "better",
        Some(_) => "worse",
    }
    .to_owned()
}

/// Two standard errors of the difference of the interval means, relative to the earlier mean.
fn band(before: &Report, now: &Report, of: fn(&PointReport) -> Option<f64>) -> f64 {
    let [(mean, one), (_, two)] = [before, now].map(|report| {
        let peak = report.series.iter().map(|point| point.level).fold(0.0, f64::max);
        // Ramps vary by design, not by noise.
        let steady = report.series.iter().filter(|point| point.level >= peak * 0.95);
        spread(&steady.filter_map(of).collect::<Vec<f64>>())
    });
    if mean > 0.0 { (2.0 * (one + two).sqrt() / mean).max(FLOOR) } else { FLOOR }
}

/// The mean, and the square of its standard error.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    if values.len() < 2 {
        return (values.first().copied().unwrap_or(0.0), 0.0);
    }
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

fn differences(before: &Report, now: &Report) -> Vec<String> {
    let (was, is) = (&before.environment, &now.environment);
    let text = |value: &Option<u32>| value.map_or("unknown".to_owned(), |value| value.to_string());
    [
        ("scenario", before.scenario.clone(), now.scenario.clone()),
        ("model", before.model.clone(), now.model.clone()),
        ("machine", was.machine.clone(), is.machine.clone()),
        ("target", was.target.clone(), is.target.clone()),
        ("replicas", text(&was.replicas), text(&is.replicas)),
        ("users", peak(before), peak(now)),
    ]
    .into_iter()
    .filter(|(_, was, is)| was != is)
    .map(|(what, was, is)| format!("{what}: {was}, now {is}"))
    .collect()
}

fn peak(report: &Report) -> String {
    format!("{:.0}", report.series.iter().map(|point| point.level).fold(0.0, f64::max))
}

impl Row {
    /// The earlier value for people.
    pub fn before_shown(&self) -> String {
        self.shown(self.before)
    }

    /// The value now for people.
    pub fn now_shown(&self) -> String {
        self.shown(self.now)
    }

    /// The change for people.
    pub fn change_shown(&self) -> String {
        self.change.map_or("-".to_owned(), |change| format!("{:+.1} %", change * 100.0))
    }

    fn shown(&self, value: Option<f64>) -> String {
        match (value, self.unit.as_str()) {
            (None, _) => "-".to_owned(),
            (Some(value), "ms") => ms(value),
            (Some(value), "ratio") => percent(value),
            (Some(value), _) => format!("{value:.1}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_within_the_band_is_the_same_and_beyond_it_has_a_direction() {
        for (change, less_is_better, word) in
            [(0.04, true, "same"), (-0.2, true, "better"), (0.2, true, "worse"), (0.2, false, "better")]
        {
            assert_eq!(verdict(Some(change), 0.05, less_is_better), word);
        }
        assert_eq!(verdict(None, 0.05, true), "unknown");
    }

    #[test]
    fn the_spread_of_noisy_intervals_widens_the_band() {
        let (mean, error) = spread(&[9.0, 11.0, 9.0, 11.0]);
        assert!((mean - 10.0).abs() < 1e-9 && (error - 1.0 / 3.0).abs() < 1e-9, "{mean} {error}");
        assert_eq!(spread(&[5.0]), (5.0, 0.0));
    }
}
