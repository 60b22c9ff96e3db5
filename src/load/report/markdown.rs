//! A run as Markdown, for the summary page of a CI system.

use std::fmt::Write;

use crate::load::connection::ErrorKind;
use crate::load::report::data::Report;
use crate::load::units::ms;

/// The report.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let verdict = if report.passed { "passed" } else { "**failed**" };
    let _ = writeln!(text, "## Load test {} {verdict}\n", code(&report.scenario));
    let rate = report.metric("http_reqs", "rate").unwrap_or(0.0);
    let count = report.metric("http_reqs", "count").unwrap_or(0.0);
    let _ = writeln!(
        text,
        "{count:.0} requests in {:.1} s ({rate:.1}/s) to {}, {}.\n",
        report.duration_s,
        cell(&report.url),
        report.ended
    );
    text.push_str("| threshold | observed | verdict |\n|---|---:|---|\n");
    for judged in &report.thresholds {
        let verdict = if judged.passed { "pass" } else { "**fail**" };
        let _ = writeln!(text, "| {} | {} | {verdict} |", code(&judged.expression), judged.shown);
    }
    text.push_str("\n| route | requests | failed | limited | p50 | p95 | p99 | max |\n|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for route in &report.routes {
        let [p50, p95, p99, max] =
            [route.p50, route.p95, route.p99, route.max].map(|value| value.map_or("-".into(), ms));
        let (name, requests, failed, limited) =
            (cell(&route.name), route.requests, route.failed, route.limited);
        let _ =
            writeln!(text, "| {name} | {requests} | {failed} | {limited} | {p50} | {p95} | {p99} | {max} |");
    }
    answers(&mut text, report);
    if let Some(capacity) = &report.capacity {
        let _ = writeln!(text, "\nCapacity: {}\n", cell(&capacity.shown()));
        text.push_str("| requests per second | result |\n|---:|---|\n");
        for trial in &capacity.trials {
            let _ = writeln!(text, "| {:.0} | {} |", trial.rate, cell(trial.verdict()));
        }
    }
    if let Some(comparison) = &report.comparison {
        let _ = writeln!(text, "\nCompared with {}:\n", cell(&comparison.with));
        text.push_str(
            "| metric | before | now | change | noise | verdict |\n|---|---:|---:|---:|---:|---|\n",
        );
        for row in &comparison.rows {
            let (before, now, change) = (row.before_shown(), row.now_shown(), row.change_shown());
            let _ = writeln!(
                text,
                "| {} | {before} | {now} | {change} | {} | {} |",
                row.metric,
                row.band_shown(),
                row.verdict
            );
        }
        for difference in &comparison.differences {
            let _ = writeln!(text, "\n> differs: {}", cell(difference));
        }
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "\n> {}", cell(warning));
    }
    let environment = &report.environment;
    let commit =
        environment.commit.as_deref().map(|commit| format!(", commit `{commit}`")).unwrap_or_default();
    let _ = writeln!(
        text,
        "\n{}, target {}, {}{commit}",
        report.started_at, environment.target, environment.machine
    );
    text
}

fn answers(text: &mut String, report: &Report) {
    text.push_str("\n| answer | times |\n|---|---:|\n");
    for (status, count) in &report.statuses {
        let _ = writeln!(text, "| status {} | {count} |", cell(status));
    }
    for (name, count) in &report.errors {
        let _ = writeln!(text, "| {} | {count} |", cell(ErrorKind::meaning_of(name)));
    }
}

/// A name must not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}

/// The same as code, where no other escape is known.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('`', "'"))
}
