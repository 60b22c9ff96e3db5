//! The verbs: one file, one async fn each. They read the configuration, call the engine room and say what happened.

mod completions;
mod config;
mod context;
mod image;
mod init;
mod load;
mod render;

use anyhow::Result;

pub use context::{Context, Project};
pub use render::own_templates;

use crate::cli::{Cli, Verb};
use crate::error::{ExitStatus, Failure};
use crate::output::Output;

/// Runs the verb of `cli`.
pub async fn run(cli: Cli, out: Output) -> Result<ExitStatus> {
    let file = cli.global.config.clone();
    let context = Context::new(cli.global, out)?;
    if context.every_target && !matches!(cli.verb, Verb::Render(_)) {
        return Err(Failure::new(ExitStatus::Usage, "`--target all` is for `render` only").into());
    }
    match cli.verb {
        Verb::Image(verb) => image::run(&context, &verb).await,
        Verb::Init(args) => init::run(&context, &args, file),
        Verb::Render(args) => render::run(&context, &args),
        Verb::Load(args) => load::run(&context, *args).await,
        Verb::Config(verb) => config::run(&context, verb),
        Verb::Completions { shell } => completions::completions(&context, shell),
        Verb::Man => completions::man(&context),
    }
}
