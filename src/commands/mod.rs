//! The verbs: one file, one async fn each. They read the configuration, call the engine room and say what happened.

mod completions;
mod config;
mod context;

use anyhow::Result;

pub use context::{Context, Project};

use crate::cli::{Cli, Verb};
use crate::error::ExitStatus;
use crate::output::Output;

/// Runs the verb of `cli`.
pub async fn run(cli: Cli, out: Output) -> Result<ExitStatus> {
    let context = Context::new(cli.global, out)?;
    match cli.verb {
        Verb::Config(verb) => config::run(&context, verb),
        Verb::Completions { shell } => completions::completions(&context, shell),
        Verb::Man => completions::man(&context),
    }
}
