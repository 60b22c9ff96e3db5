//! appforge: takes a MongoDB + Redis backed HTTP service from a laptop to Kubernetes, and proves each step.
//! Wiring only: reads the command line, brings up the runtime, runs one verb, turns its outcome into an exit status.

pub mod cli;
pub mod commands;
pub mod cost;
mod document;
pub mod error;
pub mod files;
mod float;
pub mod load;
mod markup;
mod monitoring;
pub mod output;
pub mod owner;
pub mod prompt;
mod relative;
pub mod render;
pub mod rules;
pub mod secrets;
pub mod stack;
pub mod state_folder;
pub mod targets;
pub mod trust;
pub mod verify;

use crate::error::{ExitStatus, Failure};
use crate::output::{Output, Talk};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitStatus {
    let cli = match cli::help::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { ExitStatus::Usage } else { ExitStatus::Done };
            // Nothing is left to tell the user when the stream itself is closed.
            let _ = error.print();
            return status;
        }
    };
    let talk = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Talk::Quiet,
        (_, true) => Talk::Verbose,
        _ => Talk::Normal,
    };
    let out = Output::new(cli.global.output, talk, cli.global.no_color);
    let outcome = start().and_then(|runtime| {
        let outcome = runtime.block_on(commands::run(cli, out));
        // A blocking read of a terminal must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(status) => status,
        Err(error) => {
            out.error(&error);
            error::status_of(&error)
        }
    }
}

/// One thread is enough: replicas are how the service scales, and the other verbs wait on IO.
fn start() -> anyhow::Result<tokio::runtime::Runtime> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::new(ExitStatus::Failed, "a second TLS provider was installed").into());
    }
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
