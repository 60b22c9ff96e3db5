//! A run for people at a terminal.

use std::fmt::Write;
use std::time::Duration;

use crate::load::connection::ErrorKind;
use crate::load::generator::Progress;
use crate::load::report::data::Report;
use crate::load::units::{bytes, ms, percent};
use crate::output;

/// The whole report.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let count = |name: &str| report.metric(name, "count").unwrap_or(0.0);
    let rate = |name: &str| report.metric(name, "rate");
    let trend = |name: &str, field: &str| report.metric(name, field).map_or("-".to_owned(), ms);
    let users = report.metric("vus_max", "value").unwrap_or(0.0);
    let how = match report.metric("arrival_rate_max", "value") {
        Some(peak) => format!("up to {peak:.0} req/s over {users:.0} connections (open)"),
        None => format!("up to {users:.0} users (closed)"),
    };
    line(
        &mut text,
        "scenario",
        &format!("{}, {how}, {:.1} s, {}", report.scenario, report.duration_s, report.ended),
    );
    line(&mut text, "url", &report.url);
    let clients = match report.simulated_clients {
        0 => "1 (requests are not signed)".to_owned(),
        n => format!("{n} simulated"),
    };
    line(&mut text, "clients", &clients);
    let per_second = rate("http_reqs").unwrap_or(0.0);
    line(&mut text, "requests", &format!("{:.0}, {per_second:.1}/s", count("http_reqs")));
    let latency = ["med", "p(90)", "p(95)", "p(99)", "p(99.9)", "max"]
        .map(|field| {
            format!("{} {}", if field == "med" { "p50" } else { field }, trend("http_req_duration", field))
        })
        .join("  ")
        .replace(['(', ')'], "");
    line(&mut text, "latency", &latency);
    let failed = report.metric("http_req_failed", "passes").unwrap_or(0.0);
    line(
        &mut text,
        "failed",
        &format!("{failed:.0}, {}", rate("http_req_failed").map_or("-".into(), percent)),
    );
    let limited = report.metric("http_req_limited", "passes").unwrap_or(0.0);
    let share = rate("http_req_limited").map_or("-".into(), percent);
    line(&mut text, "limited (429)", &format!("{limited:.0}, {share}"));
    let checks = rate("checks").map_or("-".into(), percent);
    line(&mut text, "checks", &format!("{checks} of {:.0}", checks_total(report)));
    let (received, sent) = (count("data_received"), count("data_sent"));
    line(&mut text, "data", &format!("{} received, {} sent", bytes(received), bytes(sent)));
    let generator = &report.generator;
    let late = generator.late_p99.map_or(String::new(), |late| format!(", p99 of late sends {}", ms(late)));
    let noun = if generator.threads == 1 { "thread" } else { "threads" };
    let effort =
        format!("{} of one core on {} {noun}{late}", percent(round(generator.cpu_cores)), generator.threads);
    line(&mut text, "generator", &effort);
    for (name, number) in &report.errors {
        line(&mut text, "error", &format!("{number} x {}", ErrorKind::meaning_of(name)));
    }
    let statuses: Vec<String> =
        report.statuses.iter().map(|(status, number)| format!("{number} x {status}")).collect();
    if !statuses.is_empty() {
        line(&mut text, "status", &statuses.join(", "));
    }
    if let Some(capacity) = &report.capacity {
        line(&mut text, "capacity", &capacity.shown());
    }
    text.push('\n');
    text.push_str(&routes(report));
    if let Some(comparison) = &report.comparison {
        let _ = writeln!(text, "\ncompared with {}", comparison.with);
        let rows = comparison.rows.iter().map(|row| {
            vec![
                row.metric.clone(),
                row.before_shown(),
                row.now_shown(),
                row.change_shown(),
                row.band_shown(),
                row.verdict.clone(),
            ]
        });
        text.push_str(&output::table(
            &["metric", "before", "now", "change", "noise", "verdict"],
            rows.collect(),
        ));
        for difference in &comparison.differences {
            let _ = writeln!(text, "differs: {difference}");
        }
    }
    text.push('\n');
    text.push_str(&thresholds(report));
    text
}

/// How things stand, with what only a look at several moments tells.
pub struct Now<'a> {
    /// How things stand.
    pub progress: &'a Progress<'a>,
    /// Requests per second lately.
    pub rate: f64,
    /// How long the run will take.
    pub total: Duration,
    /// Whether the model is the open one.
    pub open: bool,
}

/// How far a run is and how fast it goes.
pub fn pace(now: &Now<'_>) -> String {
    let level = if now.open {
        format!("of {:.0} requested", now.progress.level)
    } else {
        format!("{:.0} users", now.progress.level)
    };
    let (elapsed, total) = (now.progress.elapsed.as_secs_f64(), now.total.as_secs_f64());
    format!("{:>3.0}s/{total:.0}s  {:.1} req/s  {level}", elapsed.min(total), now.rate)
}

/// The latencies of the whole run so far, and what went wrong.
pub fn latencies(now: &Now<'_>) -> String {
    let tally = now.progress.tally;
    let shown = |quantile: f64| {
        tally.duration.quantile(quantile).map_or("-".to_owned(), |value| ms(value.as_secs_f64() * 1e3))
    };
    let (p50, p95, p99) = (shown(0.5), shown(0.95), shown(0.99));
    format!("p50 {p50}  p95 {p95}  p99 {p99}  failed {}  limited {}", tally.failed, tally.limited)
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<15}{value}");
}

fn routes(report: &Report) -> String {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), ms);
    let rows = report.routes.iter().map(|route| {
        vec![
            route.name.clone(),
            route.requests.to_string(),
            route.failed.to_string(),
            route.limited.to_string(),
            shown(route.p50),
            shown(route.p95),
            shown(route.p99),
            shown(route.max),
        ]
    });
    output::table(&["route", "requests", "failed", "limited", "p50", "p95", "p99", "max"], rows.collect())
}

fn thresholds(report: &Report) -> String {
    let rows = report.thresholds.iter().map(|judged| {
        let verdict = if judged.passed { "pass" } else { "FAIL" };
        vec![judged.expression.clone(), judged.shown.clone(), verdict.to_owned()]
    });
    output::table(&["threshold", "observed", "verdict"], rows.collect())
}

fn checks_total(report: &Report) -> f64 {
    ["passes", "fails"].iter().filter_map(|field| report.metric("checks", field)).sum()
}

/// To a tenth of a percent.
fn round(share: f64) -> f64 {
    (share * 1e3).round() / 1e3
}
