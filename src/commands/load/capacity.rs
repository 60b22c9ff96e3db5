//! `load --scenario capacity`: tries rates until the highest that holds the thresholds is known, proves it with a longer
//! run, and keeps it for `cost`.

use std::time::Duration;

use anyhow::Result;

use super::choice::{self, PROOF};
use super::session::{Run, Session};
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::load::capacity::{Capacity, MOST, Part, Search};
use crate::load::generator::Ended;
use crate::load::report::Report;
use crate::load::scenario::Scenario;
use crate::load::units::ms;
use crate::stack::values::Span;

/// Searches from the rate of `first`. The report is that of the run that proved the answer, or of the last one.
pub(super) async fn search(session: &Session<'_>, first: &Scenario) -> Result<(Report, Ended)> {
    let out = session.context.out;
    let length = first.model.duration();
    let mut search = Search::from(first.model.peak());
    out.say(plan(length));
    loop {
        let trial = search.next();
        let (rate, duration) = match (trial, search.held()) {
            (Some(rate), _) => (rate, length),
            (None, Some(held)) => (held, length * PROOF),
            (None, None) => return Err(nothing(&search).into()),
        };
        let scenario = Scenario { model: choice::constant(session.args, rate, duration), ..first.clone() };
        let run = session.measure(scenario.clone(), false).await?;
        let mut report = session.report(&scenario, &run).await;
        if run.measured.ended != Ended::Completed {
            return Ok((report, run.measured.ended));
        }
        if run.measured.tally.limited > 0 {
            return Err(limited(&run).into());
        }
        let missed = report.thresholds.iter().find(|judged| !judged.passed);
        let reason = missed.map(|judged| format!("{} was {}", judged.expression, judged.shown));
        let p99 = report.metric("http_req_duration", "p(99)").map_or("-".into(), ms);
        let verdict = reason.clone().unwrap_or_else(|| "held".to_owned());
        let what = if trial.is_some() { "" } else { ", proof" };
        out.say(format!("{rate:>8.0} req/s for {:.0}s{what}: p99 {p99}, {verdict}", duration.as_secs_f64()));
        let proved = trial.is_none() && reason.is_none();
        let effort = &run.measured.effort;
        let part = Part { at_limit: effort.at_limit, disturbed: !effort.saturated.is_empty() };
        search.note(rate, reason, part);
        if proved {
            keep(session, &search, rate, &mut report)?;
            return Ok((report, Ended::Completed));
        }
    }
}

/// How long the search takes, before it begins.
fn plan(trial: Duration) -> String {
    let (proof, most) = (trial * PROOF, trial * (u32::from(MOST) + PROOF));
    let (trial, proof, most) = (Span(trial), Span(proof), Span(most));
    format!(
        "searching for the capacity: {trial} for each of up to {MOST} rates, then {proof} of proof; about {most} at most"
    )
}

fn keep(session: &Session<'_>, search: &Search, rate: f64, report: &mut Report) -> Result<()> {
    let replicas = session.subject.replicas.unwrap_or(1);
    if session.subject.replicas.is_none() {
        report
            .warnings
            .push("the number of replicas is unknown; assuming 1 (set it with `--replicas N`)".into());
    }
    let capacity = Capacity {
        requests_per_second_per_replica: (rate / f64::from(replicas) * 10.0).round() / 10.0,
        requests_per_second: (rate * 10.0).round() / 10.0,
        replicas,
        measured_at: report.started_at.clone(),
        machine: report.environment.machine.clone(),
        commit: report.environment.commit.clone(),
        thresholds: report.thresholds.iter().map(|judged| judged.expression.clone()).collect(),
        target: report.environment.target.clone(),
        at_least: search.at_least(),
        trials: search.trials().to_vec(),
    };
    if capacity.at_least {
        report.warnings.push("the service may do more: the generator was the limit".into());
    }
    let folder = session.context.project.state_folder()?;
    files::make_private_folder(&folder)?;
    let text = serde_json::to_string_pretty(&capacity)? + "\n";
    files::write_private(&folder.join("capacity.json"), text.as_bytes(), 0o600)?;
    report.capacity = Some(capacity);
    Ok(())
}

fn nothing(search: &Search) -> Failure {
    let last = search.trials().last();
    let reason = last.and_then(|trial| trial.reason.clone()).unwrap_or_default();
    let rate = last.map_or(0.0, |trial| trial.rate);
    let text = format!("no rate meets the thresholds; at {rate:.1} requests per second {reason}");
    Failure::new(ExitStatus::ThresholdMissed, text)
}

fn limited(run: &Run) -> Failure {
    let (limited, all) = (run.measured.tally.limited, run.measured.tally.requests);
    let text =
        format!("the rate limiter refused {limited} of {all} requests, so the capacity cannot be measured");
    Failure::new(ExitStatus::Failed, text)
        .hint("with --url, add the service's probe secret: `--probe-secret-file FILE`")
        .hint("or lower the requests of each simulated client: `--requests-per-client N`")
}
