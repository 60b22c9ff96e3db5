//! `monitor`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::cli::monitor::MonitorArgs;
use crate::commands::Context;
use crate::commands::target::open_scaled;
use crate::error::ExitStatus;
use crate::files;
use crate::load::history::{self as loads, Run};
use crate::monitoring::history::{Event, EventKind, Window};
use crate::monitoring::page::{Page, report};
use crate::monitoring::source::Source;
use crate::monitoring::text;
use crate::monitoring::view::Question;
use crate::secrets::Secrets;
use crate::targets::change::LOOK;
use crate::targets::interrupt::{Interrupts, interruptible};

/// The port of the page, when it is free.
const PORT: u16 = 5080;
/// The secret that opens the page.
const TOKEN: &str = "monitor";
/// How often results of load tests are looked for.
const LOADS: Duration = Duration::from_secs(5);

/// Serves the page until interrupted, or shows once what is known; exit 4 when the stack is not up.
pub(crate) async fn run(context: &Context, args: MonitorArgs) -> Result<ExitStatus> {
    let target = open_scaled(context, context.running_stack()?, LOOK).await?;
    let state_folder = context.project.state_folder()?;
    let source = Source::open(target).await?;
    source.set_more(load_events(&state_folder)?);
    if args.once || args.report.is_some() {
        return interruptible(once(context, &source, args.report.as_deref()), "appforge monitor").await;
    }
    files::make_private_folder(&state_folder)?;
    let token = Secrets::of(&state_folder).get_or_make(TOKEN)?;
    let page = Page::open(args.port, PORT, token).await?;
    let mut interrupts = Interrupts::listen()?;
    let url = page.url();
    context.out.data(&json!({ "url": url }), || format!("{url}\n"))?;
    context.out.say("open this address in a browser of this machine; Ctrl-C ends");
    tokio::select! {
        () = page.serve(&source) => {}
        () = source.observe() => {}
        () = follow_loads(&source, &state_folder) => {}
        () = interrupts.next() => {}
    }
    Ok(ExitStatus::Done)
}

async fn once(context: &Context, source: &Source, file: Option<&Path>) -> Result<ExitStatus> {
    let first = source.first_view(Question::default()).await?;
    if let Some(file) = file {
        let mut views = BTreeMap::new();
        for window in Window::ALL {
            views.insert(window.as_str(), source.view(Question { window, since: 0 }).await?);
        }
        files::write(file, report(&views)?.as_bytes())?;
        context.out.say(format!("wrote {}", file.display()));
        return Ok(ExitStatus::Done);
    }
    context.out.data(&first, || text::now(&first))?;
    Ok(if first.url.is_some() { ExitStatus::Done } else { ExitStatus::Unreachable })
}

/// Never returns.
async fn follow_loads(source: &Source, state_folder: &Path) {
    loop {
        tokio::time::sleep(LOADS).await;
        // Marks on the charts are worth no failure.
        if let Ok(events) = load_events(state_folder) {
            source.set_more(events);
        }
    }
}

/// The beginnings and ends of load tests of this project.
pub(super) fn load_events(state_folder: &Path) -> Result<Vec<Event>> {
    let event = |at, text| Event { at, kind: EventKind::Load, text };
    let both = |run: Run| {
        let verdict = if run.passed { "passed" } else { "failed" };
        let begins = event(run.started, format!("load test `{}` began", run.scenario));
        [begins, event(run.ended, format!("load test `{}` {verdict}", run.scenario))]
    };
    Ok(loads::History::new(state_folder).runs()?.into_iter().flat_map(both).collect())
}
