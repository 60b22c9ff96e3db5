//! `logs`.

use std::str::FromStr;
use std::time::SystemTime;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::LogsArgs;
use crate::commands::Context;
use crate::commands::target::open;
use crate::error::{ExitStatus, Failure};
use crate::output::{Format, Output, stdout_is_terminal};
use crate::stack::values::Span;
use crate::targets::interrupt::interruptible;
use crate::targets::logs::{Line, LogsRequest};

/// Room for the names of components.
const WIDTH: usize = "service-10".len();

/// Prints what the components said.
pub(crate) async fn run(context: &Context, args: LogsArgs) -> Result<ExitStatus> {
    let target = open(context, context.running_stack()?.stack, false)?;
    let request = LogsRequest {
        since: args.since.as_deref().map(moment).transpose()?,
        components: args.components,
        follow: args.follow,
        tail: args.tail,
        grep: args.grep,
    };
    // A file or a program gets what the component wrote; a terminal would obey it.
    let raw = args.raw || !stdout_is_terminal();
    let work = target.logs(&request, |lines| print(&context.out, &lines, raw));
    interruptible(work, "the stack keeps running; `appforge down` stops it").await?;
    Ok(ExitStatus::Done)
}

fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        Failure::new(ExitStatus::Usage, format!("invalid time `{text}`"))
            .hint("write an age such as `10m` or a time such as `2026-01-31T12:00:00Z`")
    };
    let age = Span::from_str(text).map_err(|_| wrong())?;
    let then = SystemTime::now().checked_sub(age.0).ok_or_else(wrong)?;
    Ok(Timestamp::try_from(then).map_err(|_| wrong())?)
}

fn print(out: &Output, lines: &[Line], raw: bool) -> Result<bool> {
    let mut text = String::new();
    for line in lines {
        if out.format == Format::Json {
            let value =
                json!({"time": line.time.to_string(), "component": line.component, "message": line.text});
            text.push_str(&value.to_string());
            text.push('\n');
        } else {
            text.push_str(&format!("{:WIDTH$} | {:.3} {}\n", line.component, line.time, line.text));
        }
    }
    if raw { out.raw(&text) } else { out.stream(&text) }
}
