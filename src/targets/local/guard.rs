//! `appforge supervised --guard`: the parent of a program of another maker and of every process that the program leaves behind.
//!
//! Such a program may be a wrapper script whose server outlives it. The kernel gives that server to this process, which ends it
//! after the program, and at once when the supervisor dies. Starts nothing else.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::error::ExitStatus;
use crate::targets::local::leftovers::children;
use crate::targets::local::parent_death::{SELF, tie_to};

/// Asks a guard to end everything at once; the kernel sends it when the supervisor dies.
pub(crate) const END_ALL: Signal = Signal::USR1;

/// What a shell adds to the number of the signal that ended a program.
pub(crate) const ENDED_BY_SIGNAL: i32 = 128;

/// Runs `program` until it and all that it left behind have ended; what it left behind has `grace` after it. Ends the process
/// with the exit status of the program, or 128 and the number of the signal that ended it.
///
/// # Errors
/// When the supervisor is gone already, or the program cannot be run.
pub(crate) async fn run(parent: u32, grace: Duration, program: &[String]) -> Result<ExitStatus> {
    // Signals to the whole group are for the program; this process stays until all of it has ended.
    let _group =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    let (mut ended, mut end_all) = (signal(SignalKind::child())?, signal(SignalKind::user_defined1())?);
    tie_to(parent, END_ALL)?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own))
        .context("cannot adopt the child processes of a program")?;
    let own = own.as_raw_nonzero().get().to_string();
    let mut command = Command::new(SELF);
    command.arg0("appforge").args(["supervised", "--parent", &own, "--"]).args(program);
    let main = command.spawn().context("cannot start a program")?.id();

    let mut status = None;
    let mut last_moment = None;
    let mut at_once = false;
    while reap(main, &mut status)? {
        if at_once {
            signal_children(Signal::KILL)?;
        } else if status.is_some() && last_moment.is_none() {
            signal_children(Signal::TERM)?;
            last_moment = Some(Instant::now() + grace);
        }
        tokio::select! {
            _ = ended.recv() => {}
            _ = end_all.recv() => at_once = true,
            () = sleep_until(last_moment.unwrap_or_else(Instant::now)), if last_moment.is_some() && !at_once => {
                at_once = true;
            }
        }
    }
    let status = status.context("the exit status of the program is unknown")?;
    let signal = status.terminating_signal().map(|signal| ENDED_BY_SIGNAL + signal);
    #[expect(clippy::disallowed_methods, reason = "passes on the status of the program, whatever it is")]
    std::process::exit(status.exit_status().or(signal).unwrap_or(1))
}

/// Takes in the children that ended; whether there are others. Keeps the status of the program.
fn reap(main: u32, status: &mut Option<WaitStatus>) -> Result<bool> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, how))) if pid.as_raw_nonzero().get().unsigned_abs() == main => *status = Some(how),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(true),
            Err(rustix::io::Errno::CHILD) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for a program"),
        }
    }
}

/// Those of the children that end give their own children to this process, which is called again for these.
fn signal_children(signal: Signal) -> Result<()> {
    for pid in children(std::process::id())? {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // A child that ended meanwhile is not reaped yet, so its id is not that of another process.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    Ok(())
}
