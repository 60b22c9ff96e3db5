//! `help` and `version`.

use anyhow::Result;

use crate::cli::help;
use crate::commands::Context;
use crate::document::nearest;
use crate::error::{ExitStatus, Failure};

/// Prints help about a verb, the common options, or all verbs.
pub(super) fn help(context: &Context, topic: &[String]) -> Result<ExitStatus> {
    let Some(text) = help::text(topic) else {
        let asked = topic.join(" ");
        let hint = match nearest(&asked, help::topics()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "appforge help".to_owned(),
        };
        return Err(Failure::new(ExitStatus::Usage, format!("no help about `{asked}`")).hint(hint).into());
    };
    context.out.text(&text)?;
    Ok(ExitStatus::Done)
}

/// Prints the version.
pub(super) fn version(context: &Context) -> Result<ExitStatus> {
    context.out.text(concat!("appforge ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(ExitStatus::Done)
}
