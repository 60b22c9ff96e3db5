//! Two runs side by side. A difference counts only when it is larger than what the runs themselves vary by. Pure.
//!
//! The band of a latency or a rate holds 19 of 20 differences of runs that differ by chance alone, judged by how the
//! stretches of both runs vary (batch means, Student's distribution); that of a share is two standard errors of the
//! difference of two proportions. Never below
//! [`FLOOR`]. A difference that a wider band hides is neither a change nor the absence of one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::float;
use crate::load::generator::Ended;
use crate::load::report::{Comparison, PointReport, Report, Row};

/// Even quiet machines differ by this much from run to run.
const FLOOR: f64 = 0.05;
/// The same for the share of failed requests: a hundredth of a percent is within what any network loses.
const SHARE_FLOOR: f64 = 0.0001;
/// A run is no shorter than another when it took this share of its time.
const LENGTH: f64 = 0.9;
/// The least length of a stretch, in seconds: users who think in step make shorter ones swing by themselves.
const STRETCH: f64 = 2.0;
/// Most stretches that are told apart: longer ones depend less on each other.
const STRETCHES: f64 = 20.0;

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

/// Whether `before` can stand for the service in a comparison with a run of this length: it was played to its end, took as
/// long, and met the service's limit rather than the generator's.
pub fn is_sound(before: &Report, length: Duration) -> bool {
    let complete = before.ended == Ended::Completed.name();
    complete && !before.generator.saturated && before.duration_s >= length.as_secs_f64() * LENGTH
}

fn row(
    metric: &str,
    unit: &str,
    [before, now]: [Option<f64>; 2],
    band: Option<f64>,
    less_is_better: bool,
) -> Row {
    let change = match (before, now) {
        (Some(before), Some(now)) if before > 0.0 => Some(now / before - 1.0),
        _ => None,
    };
    let verdict = verdict(change, band, FLOOR, less_is_better);
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
    let band = (2.0 * (error(before) + error(now)).sqrt()).max(SHARE_FLOOR);
    let verdict = verdict(change, Some(band), SHARE_FLOOR, true);
    Row {
        metric: "failed".into(),
        unit: "ratio".into(),
        before: values[0],
        now: values[1],
        change,
        band: Some(band),
        verdict,
    }
}

/// What a change means whose noise is `band`, which is never below `floor`.
fn verdict(change: Option<f64>, band: Option<f64>, floor: f64, less_is_better: bool) -> String {
    match change.zip(band) {
        None => "not enough data",
        Some((change, band)) if change.abs() <= band && band > floor => "not enough data",
        Some((change, band)) if change.abs() <= band => "same",
        Some((change, _)) if (change < 0.0) == less_is_better => "better",
        Some(_) => "worse",
    }
    .to_owned()
}

/// What the difference of two means may be by chance, relative to the earlier mean; `None` when the runs are too short
/// to show how they vary.
fn band(before: &Report, now: &Report, of: fn(&PointReport) -> Option<f64>) -> Option<f64> {
    let [one, two] = [before, now].map(|report| stretches(&report.series, of));
    let ((mean, error), (_, other_error)) = (spread(&one), spread(&two));
    let freedom = (one.len() + two.len()).saturating_sub(2);
    // The spread of one stretch is not zero but unknown.
    if one.len() < 2 || two.len() < 2 || mean <= 0.0 {
        return None;
    }
    let errors = student(freedom)?;
    Some((errors * (error + other_error).sqrt() / mean).max(FLOOR))
}

/// The means of stretches of a run, without its ramps: these vary by design, not by noise.
fn stretches(series: &[PointReport], of: fn(&PointReport) -> Option<f64>) -> Vec<f64> {
    let peak = series.iter().map(|point| point.level).fold(0.0, f64::max);
    let steady: Vec<&PointReport> = series.iter().filter(|point| point.level >= peak * 0.95).collect();
    let (Some(first), Some(last)) = (steady.first(), steady.last()) else { return Vec::new() };
    let length = ((last.t - first.t) / STRETCHES).max(STRETCH);
    let mut stretches: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in &steady {
        let values = stretches.entry(float::to_u64((point.t - first.t) / length)).or_default();
        values.extend(of(point));
    }
    let means = stretches.values().filter(|values| !values.is_empty());
    means.map(|values| values.iter().sum::<f64>() / float::from_usize(values.len())).collect()
}

/// How many standard errors hold 19 of 20 cases, by the degrees of freedom (Student's distribution).
fn student(freedom: usize) -> Option<f64> {
    const FEW: [f64; 10] = [12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23];
    match freedom {
        0 => None,
        1..=10 => FEW.get(freedom - 1).copied(),
        11..=20 => Some(2.15),
        _ => Some(2.0),
    }
}

/// The mean, and the square of its standard error.
fn spread(values: &[f64]) -> (f64, f64) {
    let count = float::from_usize(values.len());
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
        ("load", peak(before), peak(now)),
        ("duration", seconds(before), seconds(now)),
        ("end", before.ended.clone(), now.ended.clone()),
        ("limit", limit(before), limit(now)),
    ]
    .into_iter()
    .filter(|(_, was, is)| was != is)
    .map(|(what, was, is)| format!("{what}: {was}, now {is}"))
    .collect()
}

fn seconds(report: &Report) -> String {
    format!("{:.0} s", report.duration_s)
}

fn limit(report: &Report) -> String {
    if report.generator.saturated { "the generator" } else { "the service" }.to_owned()
}

fn peak(report: &Report) -> String {
    let unit = if report.model == "open" { "req/s" } else { "users" };
    format!("{:.0} {unit}", report.peak())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_within_the_band_is_the_same_and_beyond_it_has_a_direction() {
        for (change, less_is_better, word) in
            [(0.04, true, "same"), (-0.2, true, "better"), (0.2, true, "worse"), (0.2, false, "better")]
        {
            assert_eq!(verdict(Some(change), Some(FLOOR), FLOOR, less_is_better), word);
        }
    }

    #[test]
    fn noise_above_the_difference_is_not_enough_data() {
        for (change, band) in
            [(Some(0.2), Some(0.3)), (Some(-0.01), Some(0.06)), (Some(9.0), None), (None, Some(FLOOR))]
        {
            assert_eq!(verdict(change, band, FLOOR, true), "not enough data", "{change:?} {band:?}");
        }
        assert_eq!(verdict(Some(0.4), Some(0.3), FLOOR, true), "worse");
    }

    fn point(t: f64, rate: f64) -> PointReport {
        let none = None;
        PointReport {
            t,
            rate,
            failed: 0.0,
            limited: 0.0,
            level: 9.0,
            p50: none,
            p95: none,
            p99: none,
            max: none,
        }
    }

    #[test]
    fn users_who_think_in_step_do_not_hide_a_change() {
        // All requests of a second come in one half of it.
        let beat: Vec<PointReport> =
            (0..20).map(|i| point(f64::from(i) * 0.5, if i % 2 == 0 { 200.0 } else { 0.0 })).collect();
        assert_eq!(stretches(&beat, |point| Some(point.rate)), [100.0; 5]);
    }

    #[test]
    fn few_stretches_prove_little() {
        assert_eq!(student(0), None);
        assert!(student(1) > student(5) && student(5) > student(30));
    }

    #[test]
    fn the_spread_of_noisy_intervals_widens_the_band() {
        let (mean, error) = spread(&[9.0, 11.0, 9.0, 11.0]);
        assert!((mean - 10.0).abs() < 1e-9 && (error - 1.0 / 3.0).abs() < 1e-9, "{mean} {error}");
        assert_eq!(spread(&[5.0]), (5.0, 0.0));
    }
}
