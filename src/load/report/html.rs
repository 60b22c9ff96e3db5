//! A run as one HTML file that needs nothing else: styles and charts are inline, there is no script.

use std::fmt::Write;

use crate::load::connection::ErrorKind;
use crate::load::report::charts::{Line, chart};
use crate::load::report::data::{PointReport, Report};
use crate::load::units::{bytes, ms, percent};
use crate::markup::{escape, fill};

const TEMPLATE: &str = include_str!("../../../templates/load/report.html");

/// The page.
pub fn html(report: &Report) -> String {
    let (class, verdict) = if report.passed { ("pass", "passed") } else { ("fail", "failed") };
    let about = format!(
        "{} · {:.1} s · {} · {}",
        escape(&report.url),
        report.duration_s,
        escape(&report.ended),
        escape(&report.started_at)
    );
    let parts = [
        ("title", escape(&report.scenario)),
        ("class", class.to_owned()),
        ("verdict", verdict.to_owned()),
        ("about", about),
        ("warnings", warnings(report)),
        ("figures", figures(report)),
        ("thresholds", thresholds(report)),
        ("charts", charts(report)),
        ("routes", routes(report)),
        ("comparison", comparison(report)),
        ("capacity", capacity(report)),
        ("answers", answers(report)),
        ("environment", environment(report)),
    ];
    fill(TEMPLATE, &parts)
}

fn warnings(report: &Report) -> String {
    let differences = report.comparison.iter().flat_map(|comparison| &comparison.differences);
    let differences = differences.map(|text| format!("the compared run differs: {text}"));
    let all = report.warnings.iter().cloned().chain(differences);
    all.map(|text| format!("<p class=\"warning\">{}</p>", escape(&text))).collect()
}

fn figures(report: &Report) -> String {
    let rate = |name: &str| report.metric(name, "rate");
    let latency = |field: &str| report.metric("http_req_duration", field).map_or("-".to_owned(), ms);
    let count = |name: &str| format!("{:.0}", report.metric(name, "count").unwrap_or(0.0));
    let figures = [
        ("requests", count("http_reqs")),
        ("requests per second", format!("{:.1}", rate("http_reqs").unwrap_or(0.0))),
        ("p50", latency("med")),
        ("p90", latency("p(90)")),
        ("p95", latency("p(95)")),
        ("p99", latency("p(99)")),
        ("p99.9", latency("p(99.9)")),
        ("slowest", latency("max")),
        ("failed", rate("http_req_failed").map_or("-".into(), percent)),
        ("limited (429)", rate("http_req_limited").map_or("-".into(), percent)),
        ("checks", rate("checks").map_or("-".into(), percent)),
        ("received", bytes(report.metric("data_received", "count").unwrap_or(0.0))),
    ];
    figures.iter().map(|(name, value)| format!("<div><b>{value}</b><span>{name}</span></div>")).collect()
}

fn thresholds(report: &Report) -> String {
    let mut text = head(&["threshold", "observed", "verdict"]);
    for judged in &report.thresholds {
        let verdict = if judged.passed { "pass" } else { "fail" };
        let _ = write!(
            text,
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"{verdict}\">{verdict}</td></tr>",
            escape(&judged.expression),
            escape(&judged.shown)
        );
    }
    text
}

fn charts(report: &Report) -> String {
    let line = |name: &'static str, class: &'static str, of: fn(&PointReport) -> Option<f64>| Line {
        name,
        class,
        points: report.series.iter().map(|point| (point.t, of(point))).collect(),
    };
    let asked = if report.model == "open" { "asked for" } else { "users" };
    let latency = [
        line("p50", "a", |point| point.p50),
        line("p95", "b", |point| point.p95),
        line("p99", "c", |point| point.p99),
        line("slowest", "d", |point| point.max),
    ];
    let rate = [
        line("requests per second", "a", |point| Some(point.rate)),
        line(asked, "d", |point| Some(point.level)),
    ];
    let errors = [
        line("failed per second", "c", |point| Some(point.failed)),
        line("limited (429) per second", "b", |point| Some(point.limited)),
    ];
    [
        chart("Latency", &latency, ms),
        chart("Rate", &rate, |value| format!("{value}")),
        chart("Errors", &errors, |value| format!("{value}")),
    ]
    .concat()
}

fn routes(report: &Report) -> String {
    let mut text = head(&["route", "requests", "failed", "limited", "p50", "p95", "p99", "slowest"]);
    for route in &report.routes {
        let _ = write!(
            text,
            "<tr><td title=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td>",
            escape(&route.request),
            escape(&route.name),
            route.requests,
            route.failed,
            route.limited
        );
        for value in [route.p50, route.p95, route.p99, route.max] {
            let _ = write!(text, "<td>{}</td>", value.map_or("-".into(), ms));
        }
        text.push_str("</tr>");
    }
    text
}

fn comparison(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let mut text = format!("<h2>Compared with {}</h2><div class=\"wide\"><table>", escape(&comparison.with));
    text.push_str(&head(&["metric", "before", "now", "change", "noise", "verdict"]));
    for row in &comparison.rows {
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{verdict}\">{verdict}</td></tr>",
            escape(&row.metric),
            row.before_shown(),
            row.now_shown(),
            row.change_shown(),
            row.band_shown(),
            verdict = escape(&row.verdict)
        );
    }
    text.push_str("</table></div>");
    text
}

fn capacity(report: &Report) -> String {
    let Some(capacity) = &report.capacity else { return String::new() };
    let mut text = format!("<h2>Capacity: {}</h2><div class=\"wide\"><table>", escape(&capacity.shown()));
    text.push_str(&head(&["requests per second", "result"]));
    for trial in &capacity.trials {
        let _ = write!(text, "<tr><td>{:.0}</td><td>{}</td></tr>", trial.rate, escape(trial.verdict()));
    }
    text.push_str("</table></div>");
    text
}

fn answers(report: &Report) -> String {
    let mut text = head(&["what", "times"]);
    let mut row = |what: &str, times: String| {
        let _ = write!(text, "<tr><td>{}</td><td>{}</td></tr>", escape(what), escape(&times));
    };
    for (status, count) in &report.statuses {
        row(&format!("status {status}"), count.to_string());
    }
    for (name, count) in &report.errors {
        row(ErrorKind::meaning_of(name), count.to_string());
    }
    for check in &report.checks {
        row(&format!("check {}", check.name), format!("{} of {}", check.passes, check.passes + check.fails));
    }
    text
}

fn environment(report: &Report) -> String {
    let (environment, generator) = (&report.environment, &report.generator);
    let unknown = || "unknown".to_owned();
    let clients = match report.simulated_clients {
        0 => "1, requests are not signed".to_owned(),
        count => count.to_string(),
    };
    let rows = [
        ("machine", environment.machine.clone()),
        ("system", environment.os.clone()),
        ("target", environment.target.clone()),
        ("replicas", environment.replicas.map_or_else(unknown, |replicas| replicas.to_string())),
        ("commit", environment.commit.clone().unwrap_or_else(unknown)),
        ("appforge", environment.appforge.clone()),
        ("model", report.model.clone()),
        ("simulated clients", clients),
        ("generator", format!("{} threads, {:.2} cores", generator.threads, generator.cpu_cores)),
        ("late sends, p99", generator.late_p99.map_or("-".into(), ms)),
        ("machine busy", generator.machine_cpu.map_or_else(unknown, percent)),
    ];
    rows.iter().map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>", escape(value))).collect()
}

fn head(cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<th>{cell}</th>")).collect();
    format!("<tr>{cells}</tr>")
}
