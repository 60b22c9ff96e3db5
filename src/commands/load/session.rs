//! One call of `load`: runs scenarios against one subject, shows how it goes, writes what came of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::subject::Subject;
use super::watch::Watch;
use crate::cli::load::LoadArgs;
use crate::commands::Context;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::load::Clients;
use crate::load::connection::Endpoint;
use crate::load::environment::Environment;
use crate::load::generator::{self, Measured, Next, Plan, Progress};
use crate::load::history::History;
use crate::load::report::{self, About, Report};
use crate::load::scenario::{Model, Scenario};
use crate::load::step::Step;
use crate::load::thresholds::Threshold;
use crate::stack::Stack;
use crate::targets::interrupt::Interrupts;

/// A threshold is not held against the first moments of a run.
const ABORT_AFTER: Duration = Duration::from_secs(2);
/// Nor against a handful of requests.
const ABORT_SAMPLES: u64 = 50;

/// What all runs of one call share.
pub(crate) struct Session<'a> {
    pub(crate) context: &'a Context,
    pub(crate) args: &'a LoadArgs,
    pub(crate) stack: &'a Stack,
    pub(crate) subject: &'a Subject,
    pub(crate) endpoint: Endpoint,
    pub(crate) thresholds: Vec<Threshold>,
}

/// What one run measured, and when it began (RFC 3339).
pub(crate) struct Run {
    pub(crate) measured: Measured,
    pub(crate) started_at: String,
}

impl Session<'_> {
    /// Runs a scenario, showing how it goes.
    pub(crate) async fn measure(&self, scenario: Scenario, abort_on_fail: bool) -> Result<Run> {
        let out = self.context.out;
        let total = scenario.model.duration();
        let open = matches!(scenario.model, Model::Open { .. });
        let steps = scenario.steps.clone();
        let threads = self.args.threads.map_or_else(|| Plan::threads(&scenario), usize::from);
        let plan = Plan {
            endpoint: self.endpoint.clone(),
            scenario,
            clients: Clients::new(self.subject.probe_secret.clone(), run_id()?, self.requests_per_client()),
            timeout: self.args.timeout.0,
            threads,
        };
        let mut watch = Watch::new(out, total, open);
        let mut aborted = None;
        let started_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let observe = |progress: &Progress<'_>| {
            watch.show(progress);
            let enough =
                progress.elapsed >= ABORT_AFTER.min(total / 4) && progress.tally.requests >= ABORT_SAMPLES;
            aborted = (abort_on_fail && enough).then(|| self.missed(progress, &steps)).flatten();
            if aborted.is_some() { Next::Abort } else { Next::GoOn }
        };
        let measured = generator::run(plan, interrupted(), observe).await;
        watch.end();
        if let Some(line) = aborted {
            out.say(line);
        }
        Ok(Run { measured: measured?, started_at })
    }

    /// The report of a run.
    pub(crate) async fn report(&self, scenario: &Scenario, run: &Run) -> Report {
        let (folder, subject) = (&self.context.project.folder, self.subject);
        let about = About {
            scenario,
            thresholds: &self.thresholds,
            url: self.endpoint.base(),
            started_at: run.started_at.clone(),
            simulated: subject.probe_secret.is_some(),
            environment: Environment::read(folder, &subject.target, subject.replicas).await,
        };
        Report::new(&run.measured, about)
    }

    /// Prints, writes and keeps a report.
    pub(crate) fn publish(&self, report: &Report, history: &History) -> Result<()> {
        let out = self.context.out;
        let kept = history.keep(report)?;
        for path in &self.args.reports {
            let text = writer(path)?(report)?;
            files::write(path, text.as_bytes())?;
            out.say(format!("wrote {}", path.display()));
        }
        for warning in &report.warnings {
            out.warn(warning);
        }
        out.detail(format!("kept as {}", kept.display()));
        out.data(report, || report::table(report))
    }

    /// One client may send what the limit allows; people send fewer.
    fn requests_per_client(&self) -> u64 {
        let usual = self.stack.cost.requests_per_user.min(self.stack.rate_limit.requests);
        self.args.requests_per_client.unwrap_or(u64::from(usual))
    }

    fn missed(&self, progress: &Progress<'_>, steps: &[Step]) -> Option<String> {
        let judged = self.thresholds.iter().map(|one| one.judge(progress.tally, steps, progress.elapsed));
        // What has no samples yet may still get some.
        let verdict = judged.filter(|verdict| verdict.observed.is_some()).find(|verdict| !verdict.passed)?;
        Some(format!("aborted: `{}` was missed with {}", verdict.expression, verdict.observed()))
    }
}

type Writer = fn(&Report) -> Result<String>;

/// What writes a report of this name.
pub(crate) fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => Ok(|report| Ok(report::html(report))),
        Some("md") => Ok(|report| Ok(report::markdown(report))),
        Some("json") => Ok(|report| Ok(serde_json::to_string_pretty(report)? + "\n")),
        _ => {
            let text = format!("`{}` must end in .html, .md or .json", path.display());
            Err(Failure::new(ExitStatus::Usage, text).into())
        }
    }
}

/// Resolves when the user wants the run to end.
async fn interrupted() {
    match Interrupts::listen() {
        Ok(mut interrupts) => interrupts.next().await,
        // Without a handler a signal ends the process.
        Err(_) => std::future::pending().await,
    }
}

fn run_id() -> Result<String> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).context("cannot create the id of the run")?;
    Ok(hex::encode(bytes))
}
