//! `load`: puts users or a rate on the service, judges, reports, remembers.

mod capacity;
mod choice;
mod session;
mod subject;
mod watch;

use anyhow::Result;

use self::choice::Choice;
use self::session::Session;
use self::subject::subject;
use crate::cli::load::LoadArgs;
use crate::commands::Context;
use crate::error::ExitStatus;
use crate::load::compare::compare;
use crate::load::connection::Endpoint;
use crate::load::generator::Ended;
use crate::load::history::{self, History};
use crate::load::report::Report;

/// Runs `load`.
pub(crate) async fn run(context: &Context, args: LoadArgs) -> Result<ExitStatus> {
    for path in &args.reports {
        session::writer(path)?;
    }
    let stack = context.stack(&[])?.stack;
    // What is wrong with a scenario is said before anything is looked for on the network.
    let mut choice = Choice::read(&args, &stack)?;
    let thresholds = choice::thresholds(&args, &stack, &choice.scenario)?;
    let subject = subject(context, &stack, &args).await?;
    let endpoint = Endpoint::prepare(&subject.url).await?;
    choice.narrow(&endpoint)?;
    let history = History::new(&context.project.state_folder()?);
    let baseline = baseline(&args.compare, &history, &choice, endpoint.base())?;
    if subject.probe_secret.is_none() {
        let limit = stack.rate_limit.requests;
        context.out.warn(format!(
            "without a probe secret all requests come from one client, and the rate limit refuses all after {limit}"
        ));
    }
    let session = Session { context, args: &args, stack: &stack, subject: &subject, endpoint, thresholds };
    let (mut report, ended) = if choice.capacity {
        capacity::search(&session, &choice.scenario).await?
    } else {
        let run = session.measure(choice.scenario.clone(), args.abort_on_fail).await?;
        (session.report(&choice.scenario, &run).await, run.measured.ended)
    };
    report.comparison = baseline.map(|before| compare(&before, &report));
    session.publish(&report, &history)?;
    Ok(match ended {
        Ended::Interrupted => ExitStatus::Interrupted,
        _ if report.passed => ExitStatus::Done,
        _ => ExitStatus::ThresholdMissed,
    })
}

fn baseline(wish: &str, history: &History, choice: &Choice, url: &str) -> Result<Option<Report>> {
    let model = &choice.scenario.model;
    // More users are not a slower service. What a search ends with is what it is about.
    let alike = |report: &Report| {
        choice.capacity || (report.model == model.name() && (report.peak() - model.peak()).abs() < 1e-6)
    };
    match wish {
        "none" => Ok(None),
        "last" => history.last(&choice.scenario.name, |report| report.url == url && alike(report)),
        file => history::read(file.as_ref()).map(Some),
    }
}
