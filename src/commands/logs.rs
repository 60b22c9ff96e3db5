//! `logs`.

use std::str::FromStr;
use std::time::SystemTime;

use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::LogsArgs;
use crate::commands::Context;
use crate::commands::target::{interruptible, target};
use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::output::{Format, Output};
use crate::stack::values::Span;
use crate::targets::Target;
use crate::targets::local::logs::{Line, Reader, Watch, components};
use crate::targets::logs::{self, LogsRequest};

/// Room for the names of components whose number is not known before.
const WIDTH: usize = "service-10".len();

/// Prints what the components said.
pub async fn run(context: &Context, args: LogsArgs) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json])?;
    let stack = context.running_stack()?.stack;
    let target = match target(context, &stack)? {
        Target::Local(local) => local,
        other => return elsewhere(context, &other, args).await,
    };
    let folder = target.layout().logs();
    let known = components(&folder)?;
    let wanted = wanted(&args.components, &known)?;
    let since = args.since.as_deref().map(moment).transpose()?;
    let fits = |line: &Line| {
        since.is_none_or(|since| line.time >= since)
            && args.grep.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
    };
    // The watch begins before the first reading, so that nothing falls between.
    let mut watch = if args.follow {
        target.layout().make()?;
        Some(Watch::new(&folder)?)
    } else {
        None
    };
    let mut reader = Reader::new(&folder, wanted);
    let mut lines: Vec<Line> = reader.fresh_lines()?.into_iter().filter(&fits).collect();
    if let Some(tail) = args.tail {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    if known.is_empty() && !args.follow {
        // Logs outlive the stack; without any it must be up.
        target.running().await?;
    }
    let width = known.iter().map(String::len).max().unwrap_or(0);
    let mut there = print(&context.out, &lines, width)?;
    let Some(watch) = watch.as_mut() else { return Ok(ExitStatus::Done) };
    let follow = async {
        while there {
            watch.changed().await?;
            let lines: Vec<Line> = reader.fresh_lines()?.into_iter().filter(&fits).collect();
            there = print(&context.out, &lines, width)?;
        }
        Ok(ExitStatus::Done)
    };
    interruptible(follow, "the stack goes on; `appforge down` stops it").await
}

/// The same where an engine or a cluster keeps what components said.
async fn elsewhere(context: &Context, target: &Target, args: LogsArgs) -> Result<ExitStatus> {
    let request = LogsRequest {
        components: args.components,
        follow: args.follow,
        since: args.since.as_deref().map(moment).transpose()?,
        tail: args.tail,
    };
    let sink = |line: logs::Line| {
        if args.grep.as_ref().is_some_and(|text| !line.text.contains(text.as_str())) {
            return Ok(true);
        }
        let line = Line { time: line.time, component: line.component, text: line.text };
        print(&context.out, &[line], WIDTH)
    };
    let work = async {
        match target {
            Target::Compose(compose) => compose.logs(&request, sink).await,
            Target::Kubernetes(kubernetes) => kubernetes.logs(&request, sink).await,
            Target::Local(_) => Ok(()),
        }
    };
    interruptible(work, "the stack goes on; `appforge down` stops it").await?;
    Ok(ExitStatus::Done)
}

/// The logs that are meant; `service` is every replica.
fn wanted(asked: &[String], known: &[String]) -> Result<Vec<String>> {
    let mut wanted = Vec::new();
    for name in asked {
        let meant = |known: &&String| *known == name || (name == "service" && known.starts_with("service-"));
        let found: Vec<String> = known.iter().filter(meant).cloned().collect();
        if found.is_empty() {
            let failure = Failure::new(ExitStatus::Usage, format!("there is no log of `{name}`"));
            let near = nearest(name, known.iter().map(String::as_str));
            return Err(match near {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => failure.hint("appforge up"),
                None => failure.hint(format!("there are: {}", known.join(", "))),
            }
            .into());
        }
        wanted.extend(found);
    }
    Ok(wanted)
}

fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        Failure::new(ExitStatus::Usage, format!("`{text}` is no time"))
            .hint("write an age such as `10m` or a time such as `2026-01-31T12:00:00Z`")
    };
    let age = Span::from_str(text).map_err(|_| wrong())?;
    let then = SystemTime::now().checked_sub(age.0).ok_or_else(wrong)?;
    Ok(Timestamp::try_from(then)?)
}

fn print(out: &Output, lines: &[Line], width: usize) -> Result<bool> {
    let mut text = String::new();
    for line in lines {
        if out.format == Format::Json {
            let value =
                json!({"time": line.time.to_string(), "component": line.component, "message": line.text});
            text.push_str(&value.to_string());
            text.push('\n');
        } else {
            text.push_str(&format!("{:width$} | {:.3} {}\n", line.component, line.time, line.text));
        }
    }
    out.stream(&text)
}
