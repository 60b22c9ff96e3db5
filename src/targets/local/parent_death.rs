//! `appforge supervised`: makes the kernel end this process with its supervisor, then becomes the real program.
//!
//! A program of someone else cannot ask for that itself, but the wish survives `exec`. Every child goes this way.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::error::{ExitStatus, Failure};

/// What the processes of a stack may see of the environment of the command that started it. The rest may hold secrets.
/// The files of certificates are those that `doctor` and `up` trust a store by.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_BACKTRACE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SUDO_UID",
    "SUDO_GID",
];

/// This program, also after its file was replaced.
pub(crate) const SELF: &str = "/proc/self/exe";

/// The part of the environment that the supervisor and its children may see.
pub(crate) fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|known| name == known))
}

/// Becomes `program`; ends with the process `parent`. Returns only when that fails.
///
/// # Errors
/// When the supervisor exited already, or the program cannot be run.
pub(crate) fn become_program(parent: u32, program: &[String]) -> Result<ExitStatus> {
    tie_to(parent, Signal::KILL)?;
    let (name, arguments) = program.split_first().context("no program to run")?;
    let mut command = Command::new(name);
    if name == SELF {
        command.arg0("appforge");
    }
    if std::env::var_os("LISTEN_FDS").is_some() {
        // The sockets are for the process that this one becomes, and for no child of it.
        command.env("LISTEN_PID", std::process::id().to_string());
    }
    let error = command.args(arguments).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        let place = if name.contains('/') { "" } else { " on PATH" };
        bail!("cannot find the program `{name}`{place}, or the interpreter that it names");
    }
    Err(error).with_context(|| format!("cannot start `{name}`"))
}

/// Has the kernel send `signal` to this process when the process `parent` ends.
///
/// # Errors
/// When it has ended already.
pub(super) fn tie_to(parent: u32, signal: Signal) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(signal))
        .context("cannot bind this process to its supervisor")?;
    // The supervisor may have died before the line above.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(Failure::new(ExitStatus::Failed, "the supervisor exited").into());
    }
    Ok(())
}
