//! `appforge supervised`: makes the kernel end this process with its supervisor, then becomes the real program.
//!
//! A program of someone else cannot ask for that itself, but the wish survives `exec`. Every child goes this way.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::error::{ExitStatus, Failure};

/// Becomes `program`; ends with the process `parent`. Returns only when that fails.
///
/// # Errors
/// When the supervisor is gone already, or the program cannot be run.
pub fn become_program(parent: u32, program: &[String]) -> Result<ExitStatus> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("while tying this process to its supervisor")?;
    // The supervisor may have died before the line above.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(Failure::new(ExitStatus::Failed, "the supervisor is gone").into());
    }
    let (name, arguments) = program.split_first().context("no program to run")?;
    let mut command = Command::new(name);
    if name == SELF {
        command.arg0("appforge");
    }
    let error = command.args(arguments).exec();
    Err(error).with_context(|| format!("while starting `{name}`"))
}

/// This program, also after its file was replaced.
pub const SELF: &str = "/proc/self/exe";
