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
use crate::document::counted;
use crate::error::ExitStatus;
use crate::load::compare::{compare, is_sound};
use crate::load::connection::Endpoint;
use crate::load::generator::Ended;
use crate::load::history::{self, History};
use crate::load::report::Report;
use crate::targets::certificates::Accept;

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
    let accept = if args.insecure { &Accept::Any } else { &subject.service.accept };
    let endpoint = Endpoint::prepare(&subject.service.url, accept).await?;
    choice.narrow(&endpoint)?;
    let history = History::new(&context.project.state_folder()?);
    let baseline = baseline(context, &args.compare, &history, &choice, endpoint.base())?;
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
    // A run that was cut says something of a file that was asked for, but not how the service has changed since.
    let comparable = ended == Ended::Completed || args.compare != "last";
    report.comparison = baseline.filter(|_| comparable).map(|before| compare(&before, &report));
    session.publish(&report, &history)?;
    Ok(match ended {
        Ended::Interrupted => ExitStatus::Interrupted,
        _ if report.passed => ExitStatus::Done,
        _ => ExitStatus::ThresholdMissed,
    })
}

fn baseline(
    context: &Context,
    wish: &str,
    history: &History,
    choice: &Choice,
    url: &str,
) -> Result<Option<Report>> {
    let model = &choice.scenario.model;
    // More users are not a slower service. What a search ends with is what it is about.
    let alike = |report: &Report| {
        choice.capacity || (report.model == model.name() && (report.peak() - model.peak()).abs() < 1e-6)
    };
    match wish {
        "none" => Ok(None),
        "last" => {
            let mut skipped = 0;
            let found = history.last(&choice.scenario.name, |report| {
                let alike = report.url == url && alike(report);
                let sound = is_sound(report, choice.length());
                skipped += usize::from(alike && !sound);
                alike && sound
            })?;
            if skipped > 0 {
                let runs = counted(skipped, "later run");
                context.out.say(format!(
                    "not comparing with {runs}: interrupted, shorter, or limited by the generator"
                ));
            }
            Ok(found)
        }
        file => history::read(file.as_ref()).map(Some),
    }
}
