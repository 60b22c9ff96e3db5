//! `down`.

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::open;
use crate::error::ExitStatus;
use crate::prompt;
use crate::targets::change::Loss;

/// The command that asks nothing.
const CONFIRMED: &str = "appforge down --volumes --yes";

/// Stops the stack; with `volumes` removes its data, once the user has seen what that is.
pub(crate) async fn run(context: &Context, volumes: bool) -> Result<ExitStatus> {
    let target = open(context, context.running_stack()?.stack, false)?;
    let Some(stopped) = target.down(volumes, |loss| confirm(context, loss)).await? else {
        context.out.say("nothing was changed");
        return Ok(ExitStatus::Done);
    };
    context.out.say(match (stopped.count, stopped.removed.len()) {
        (0, 0) => "nothing to stop: the stack is down",
        (_, 0) if stopped.kept => "the stack is down; its data is kept",
        (_, 0) => "the stack is down; there was no data",
        _ => "the stack is down; its data is removed",
    });
    context.out.data(&json!({"stopped": stopped.count, "removed": stopped.removed}), String::new)?;
    Ok(ExitStatus::Done)
}

fn confirm(context: &Context, loss: &Loss) -> Result<bool> {
    for line in &loss.lines {
        context.out.say(line);
    }
    match &loss.typed {
        _ if context.yes => Ok(true),
        None => prompt::confirm("Remove this data permanently?", false, CONFIRMED),
        Some(word) => {
            let question = format!("Type `{word}` to remove this permanently:");
            prompt::typed(&question, word, CONFIRMED)
        }
    }
}
