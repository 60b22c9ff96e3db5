//! The verbs: one file, one async fn each. They read the configuration, call the engine room and say what happened.

mod alerts;
mod completions;
mod config;
mod context;
mod cost;
mod doctor;
mod documents;
mod down;
mod drain;
mod exporter;
mod help;
mod image;
mod init;
mod load;
mod logs;
mod monitor;
mod outcome;
mod plan;
mod proposal;
mod proxies;
mod reach;
mod render;
mod restart;
mod revisions;
mod scale;
mod serve;
mod status;
mod store;
mod target;
mod top;
mod up;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

pub use context::{Context, Project};

use crate::cli::{Cli, Verb};
use crate::error::{ExitStatus, Failure};
use crate::monitoring::Chronicle;
use crate::output::Output;
use crate::targets::local::{guard, parent_death, supervisor};

/// Runs the verb of `cli`.
pub async fn run(cli: Cli, out: Output) -> Result<ExitStatus> {
    if let Some(topic) = cli.topic.filter(|topic| !topic.formats.is_empty()) {
        out.supports(topic.formats)?;
    }
    let file = cli.global.config.clone().filter(|file| !file.as_os_str().is_empty());
    let context = Context::new(cli.global, out)?;
    if context.every_target && !matches!(cli.verb, Verb::Render(_)) {
        return Err(Failure::new(ExitStatus::Usage, "`--target all` is for `render` only").into());
    }
    match cli.verb {
        Verb::Image(verb) => image::run(&context, &verb).await,
        Verb::Init(args) => init::run(&context, &args, file),
        Verb::Render(args) => render::run(&context, &args).await,
        Verb::Load(args) => load::run(&context, *args).await,
        Verb::Up(args) => up::run(&context, args).await,
        Verb::Scale(args) => scale::run(&context, args).await,
        Verb::Status { watch } => status::run(&context, watch).await,
        Verb::Monitor(args) => monitor::run(&context, args).await,
        Verb::Top => top::run(&context).await,
        Verb::Logs(args) => logs::run(&context, args).await,
        Verb::Restart { timeout } => restart::run(&context, timeout).await,
        Verb::History => revisions::history(&context).await,
        Verb::Rollback { revision, timeout } => revisions::rollback(&context, revision, timeout).await,
        Verb::Diff { force_conflicts } => plan::diff(&context, force_conflicts).await,
        Verb::Verify(args) => verify::run(&context, args).await,
        Verb::Down { volumes } => down::run(&context, volumes).await,
        Verb::Serve(args) => serve::serve(args).await,
        Verb::Healthcheck { port } => serve::healthcheck(port).await,
        Verb::Reach { timeout } => reach::run(&context, timeout).await,
        Verb::Drain { after } => drain::run(after).await,
        Verb::Exporter => exporter::run().await,
        Verb::Store(args) => store::run(args).await,
        Verb::StoreContainer(args) => store::run_container(args).await,
        Verb::Supervise { state } => {
            serve::log_to_file();
            supervisor::run(&state, Arc::new(Chronicle::default())).await
        }
        Verb::Supervised { parent, guard: None, program } => parent_death::become_program(parent, &program),
        Verb::Supervised { parent, guard: Some(grace), program } => {
            guard::run(parent, Duration::from_millis(grace), &program).await
        }
        Verb::Alerts(args) => alerts::run(&context, args),
        Verb::Cost(args) => cost::run(&context, &args),
        Verb::Doctor => doctor::run(&context).await,
        Verb::Config(verb) => config::run(&context, verb).await,
        Verb::Completions { shell } => completions::completions(&context, shell),
        Verb::Man => completions::man(&context),
        Verb::Help { topic } => help::help(&context, &topic),
        Verb::Version => help::version(&context),
    }
}
