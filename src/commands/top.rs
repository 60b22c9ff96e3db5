//! `top`.

use std::time::Duration;

use anyhow::Result;

use crate::commands::Context;
use crate::commands::target::open_scaled;
use crate::error::ExitStatus;
use crate::monitoring::source::Source;
use crate::monitoring::text;
use crate::monitoring::view::{Question, View};
use crate::output::{Format, Screen, stdout_is_terminal};
use crate::targets::change::LOOK;
use crate::targets::interrupt::Interrupts;

/// How often it is shown; the replicas are read as often.
const EVERY: Duration = Duration::from_secs(2);

/// Shows the stack and its replicas until interrupted: a table that is drawn again on a terminal, a line of JSON elsewhere.
pub(crate) async fn run(context: &Context) -> Result<ExitStatus> {
    let target = open_scaled(context, context.running_stack()?, LOOK).await?;
    let source = Source::open(target).await?;
    let mut interrupts = Interrupts::listen()?;
    let screen =
        (stdout_is_terminal() && context.out.format == Format::Table).then(Screen::open).transpose()?;
    tokio::select! {
        shown = show(context, &source, screen.as_ref()) => shown,
        () = source.observe() => Ok(ExitStatus::Done),
        // To end it is how it is used.
        () = interrupts.next() => Ok(ExitStatus::Done),
    }
}

async fn show(context: &Context, source: &Source, screen: Option<&Screen>) -> Result<ExitStatus> {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let view = source.view(Question::default()).await?;
        let is_read = match screen {
            Some(screen) => screen.draw(&text::screen(&view))?,
            None => context.out.stream(&(line(&view)? + "\n"))?,
        };
        if !is_read {
            return Ok(ExitStatus::Done);
        }
    }
}

/// What is known now, without the history.
fn line(view: &View) -> Result<String> {
    Ok(serde_json::to_string(&serde_json::json!({
        "now": view.now, "stack": view.stack, "target": view.target, "url": view.url, "replicas": view.replicas,
        "current": view.current, "rows": view.rows, "problems": view.problems,
    }))?)
}
