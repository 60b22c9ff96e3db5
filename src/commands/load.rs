//! `load`: puts users or a rate on the service, judges, reports, remembers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cli::load::LoadArgs;
use crate::commands::Context;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::load::Clients;
use crate::load::compare::compare;
use crate::load::connection::Endpoint;
use crate::load::environment::Environment;
use crate::load::generator::{self, Measured, Next, Plan};
use crate::load::history::{self, History};
use crate::load::report::{self, About, Report};
use crate::load::scenario::{self, MAX_USERS, Model, Scenario, Step};
use crate::load::schedule::Schedule;
use crate::load::thresholds::Threshold;
use crate::output::Format;
use crate::spec::Stack;

/// How long the built-in scenarios take unless told.
const DURATION: Duration = Duration::from_secs(60);
/// A threshold is not held against the first moments of a run.
const ABORT_AFTER: Duration = Duration::from_secs(2);
/// Nor against a handful of requests.
const ABORT_SAMPLES: u64 = 50;

/// What is loaded.
pub struct Subject {
    /// Scheme, host, port, and a path when only that is meant.
    pub url: String,
    /// What signs requests of simulated clients.
    pub probe_secret: Option<Vec<u8>>,
    /// The target's name, or `url`.
    pub target: String,
    /// The replicas that serve, when known.
    pub replicas: Option<u32>,
}

/// Runs `load`.
pub async fn run(context: &Context, args: LoadArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json])?;
    for path in &args.reports {
        writer(path)?;
    }
    let stack = context.stack(&[])?.stack;
    let subject = subject(context, &args).await?;
    let endpoint = Endpoint::prepare(&subject.url).await?;
    let scenario = scenario(&args, &stack, &endpoint)?;
    let thresholds = thresholds(&args, &stack, &scenario)?;
    let history = History::new(&context.project.state_folder());
    let baseline = baseline(&args.compare, &history, &scenario, &endpoint)?;
    if subject.probe_secret.is_none() {
        let limit = stack.rate_limit.requests;
        context.out.warn(format!(
            "without a probe secret all requests come from one client; a limit of {limit} requests will refuse the rest"
        ));
    }
    let session = Session { context, args: &args, stack: &stack, subject: &subject, endpoint, thresholds };
    let (measured, started_at) = session.measure(scenario.clone(), args.abort_on_fail).await?;
    let about = About {
        scenario: &scenario,
        thresholds: &session.thresholds,
        url: session.endpoint.base(),
        started_at,
        simulated: subject.probe_secret.is_some(),
        environment: Environment::read(&context.project.folder, &subject.target, subject.replicas).await,
    };
    let mut report = Report::new(&measured, about);
    report.comparison = baseline.map(|before| compare(&before, &report));
    session.tell(&report, &history)?;
    Ok(match measured.ended {
        generator::Ended::Interrupted => ExitStatus::Interrupted,
        _ if report.passed => ExitStatus::Done,
        _ => ExitStatus::ThresholdMissed,
    })
}

struct Session<'a> {
    context: &'a Context,
    args: &'a LoadArgs,
    stack: &'a Stack,
    subject: &'a Subject,
    endpoint: Endpoint,
    thresholds: Vec<Threshold>,
}

impl Session<'_> {
    /// Runs a scenario, showing how it goes. Returns what was measured and when it began.
    async fn measure(&self, scenario: Scenario, abort_on_fail: bool) -> Result<(Measured, String)> {
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
        let bar = out.spinner("connecting");
        let live = !bar.is_hidden();
        // Off a terminal: a line now and then, so that a log shows life without being one.
        let every = (total / 10).max(Duration::from_secs(5));
        let mut next_line = every;
        let mut aborted = None;
        let started_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        let observe = |progress: &generator::Progress<'_>| {
            let line = report::progress_line(progress, total, open);
            if live {
                bar.set_message(line);
            } else if progress.elapsed >= next_line {
                out.say(line);
                next_line = progress.elapsed + every;
            }
            let enough =
                progress.elapsed >= ABORT_AFTER.min(total / 4) && progress.tally.requests >= ABORT_SAMPLES;
            if abort_on_fail && enough {
                let judged =
                    self.thresholds.iter().map(|t| t.judge(progress.tally, &steps, progress.elapsed));
                let missed =
                    judged.filter(|verdict| verdict.observed.is_some()).find(|verdict| !verdict.passed);
                if let Some(verdict) = missed {
                    let (text, observed) = (&verdict.expression, verdict.observed());
                    aborted = Some(format!("ended early: `{text}` was missed with {observed}"));
                    return Next::Abort;
                }
            }
            Next::GoOn
        };
        let measured = generator::run(plan, interrupted(), observe).await;
        bar.finish_and_clear();
        if let Some(line) = aborted {
            out.say(line);
        }
        Ok((measured?, started_at))
    }

    /// One client may send what the limit allows; people send fewer.
    fn requests_per_client(&self) -> u64 {
        let usual = self.stack.cost.requests_per_user.min(self.stack.rate_limit.requests);
        self.args.requests_per_client.unwrap_or(u64::from(usual))
    }

    /// Prints, writes and remembers a report.
    fn tell(&self, report: &Report, history: &History) -> Result<()> {
        let out = self.context.out;
        let kept = history.keep(report)?;
        for path in &self.args.reports {
            let text = writer(path)?(report)?;
            files::write_atomically(path, text.as_bytes(), 0o644)?;
            out.say(format!("wrote {}", path.display()));
        }
        for warning in &report.warnings {
            out.warn(warning);
        }
        out.detail(format!("kept as {}", kept.display()));
        out.data(report, || report::table(report))
    }
}

/// What to load: `--url`, or the running stack.
async fn subject(_context: &Context, args: &LoadArgs) -> Result<Subject> {
    let Some(url) = &args.url else {
        return Err(Failure::new(ExitStatus::Unreachable, "there is no running stack to load")
            .hint("appforge up")
            .hint("appforge load --url http://localhost:5000")
            .into());
    };
    let probe_secret = args.probe_secret_file.as_deref().map(read_secret).transpose()?;
    Ok(Subject { url: url.clone(), probe_secret, target: "url".into(), replicas: args.replicas })
}

fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let invalid = |what: &str| {
        Failure::new(ExitStatus::Config, format!("the probe secret file `{}` {what}", path.display()))
    };
    let text = files::read_if_there(path)?.ok_or_else(|| invalid("is not there"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.len() < 16 {
        return Err(invalid("holds less than 16 bytes").into());
    }
    Ok(text.as_bytes().to_vec())
}

fn scenario(args: &LoadArgs, stack: &Stack, endpoint: &Endpoint) -> Result<Scenario> {
    let built_in = scenario::BUILT_IN.iter().find(|(name, _)| *name == args.scenario);
    let Some((name, users)) = built_in else {
        let names: Vec<&str> = scenario::BUILT_IN.iter().map(|(name, _)| *name).collect();
        let text = format!("there is no scenario `{}`", args.scenario);
        return Err(Failure::new(ExitStatus::Config, text)
            .hint(format!("scenarios: {}", names.join(", ")))
            .into());
    };
    let steps = match endpoint.path() {
        Some(path) => vec![Step::get("url", path, 1)],
        None => scenario::built_in_steps(&stack.service),
    };
    let duration = args.duration.map_or(DURATION, |span| span.0);
    if duration.is_zero() {
        return Err(Failure::new(ExitStatus::Usage, "--duration must be longer than 0s").into());
    }
    let model = match args.rate {
        Some(rate) => Model::Open {
            rate: Schedule::constant(rate, duration),
            connections: args.vus.unwrap_or(connections(rate)),
        },
        None => Model::Closed {
            users: Schedule::ramped(f64::from(args.vus.unwrap_or(*users)), duration),
            think_time: args.think_time.map_or(stack.load.think_time.0, |span| span.0),
        },
    };
    let name = if args.rate.is_some() { "rate" } else { name };
    Ok(Scenario { name: name.to_owned(), model, steps, thresholds: Vec::new() })
}

/// Connections for a rate: enough for answers of a second, within what one replica is asked to hold at stress.
fn connections(rate: f64) -> u32 {
    (rate.ceil() as u32).clamp(10, 350).min(MAX_USERS)
}

fn thresholds(args: &LoadArgs, stack: &Stack, scenario: &Scenario) -> Result<Vec<Threshold>> {
    let file = Threshold::layered(Threshold::of_stack(&stack.load.thresholds), &scenario.thresholds);
    let all = Threshold::layered(file, &args.thresholds);
    for threshold in &all {
        let known = |name: &str| scenario.steps.iter().any(|step| step.name == name);
        if let Some(name) = threshold.step().filter(|name| !known(name)) {
            let names: Vec<&str> = scenario.steps.iter().map(|step| step.name.as_str()).collect();
            let text =
                format!("the threshold `{threshold}` is about `{name}`, which is no step of this scenario");
            return Err(Failure::new(ExitStatus::Usage, text)
                .hint(format!("steps: {}", names.join(", ")))
                .into());
        }
    }
    Ok(all)
}

fn baseline(
    wish: &str,
    history: &History,
    scenario: &Scenario,
    endpoint: &Endpoint,
) -> Result<Option<Report>> {
    match wish {
        "none" => Ok(None),
        "last" => history.last(&scenario.name, endpoint.base()),
        file => history::read(Path::new(file)).map(Some),
    }
}

type Writer = fn(&Report) -> Result<String>;

fn writer(path: &Path) -> Result<Writer> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => Ok(|report| Ok(report::html(report))),
        Some("md") => Ok(|report| Ok(report::markdown(report))),
        Some("json") => Ok(|report| Ok(serde_json::to_string_pretty(report)? + "\n")),
        _ => {
            let text = format!("`{}` ends with none of .html, .md and .json", path.display());
            Err(Failure::new(ExitStatus::Usage, text).into())
        }
    }
}

/// Resolves when the user wants the run to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => if outcome.is_err() { std::future::pending().await },
        _ = term.recv() => {}
    }
}

fn run_id() -> Result<String> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).context("while naming the run")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
