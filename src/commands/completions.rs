//! `completions` and `man`: made from the command line's own definition, so that they cannot drift.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::commands::Context;
use crate::error::ExitStatus;

/// Prints a completion script.
pub(super) fn completions(context: &Context, shell: Shell) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "appforge", &mut script);
    context.out.text(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Done)
}

/// Prints the manual page, in roff.
pub(super) fn man(context: &Context) -> Result<ExitStatus> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    context.out.text(&String::from_utf8_lossy(&page))?;
    Ok(ExitStatus::Done)
}
