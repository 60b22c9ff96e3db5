//! One start of a process: its command line below our own program, signals to it, how it ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus as ProcessStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::targets::local::guard;
use crate::targets::local::leftovers::MARK;
use crate::targets::local::parent_death::SELF;

/// How long the guard of a program may take to end all that the program started.
const ALL_GONE: Duration = Duration::from_secs(5);

/// What runs.
pub(super) struct Start {
    pub(super) program: Vec<String>,
    /// All of it.
    pub(super) environment: BTreeMap<String, String>,
    /// The folder and the port of an app; others run in the state folder.
    pub(super) place: Option<(PathBuf, u16)>,
}

impl Start {
    /// Runs the program in its own group, which ends with the supervisor. `guard` is for a program of another maker: how
    /// long what it leaves behind may take to end.
    pub(super) fn command(&self, guard: Option<Duration>, mark: &str) -> Command {
        let mut command = Command::new(SELF);
        command.arg0("appforge").args(["supervised", "--parent", &std::process::id().to_string()]);
        if let Some(grace) = guard {
            command.args(["--guard", &grace.as_millis().to_string()]);
        }
        command.arg("--").args(&self.program).env_clear().envs(&self.environment).env(MARK, mark);
        if let Some((folder, _)) = &self.place {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }
}

pub(super) fn kill_group(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // A group that is gone already is what we want.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

fn signal_process(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // A child that is gone already is what we want; until it is reaped its id is its own.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Ends a process in order: SIGTERM to its group, then after `grace` SIGKILL; with a guard, to all that it left behind too. Whether
/// it ended by itself.
pub(super) async fn end(mut child: Child, grace: Duration, guarded: bool) -> bool {
    let pid = child.id();
    kill_group(pid, Signal::TERM);
    // A process that was stopped gets the signal only once it runs again.
    kill_group(pid, Signal::CONT);
    let in_time = timeout(grace, child.wait()).await.is_ok();
    if !in_time && guarded {
        signal_process(pid, guard::END_ALL);
        // What is left after that is killed below.
        let _ = timeout(ALL_GONE, child.wait()).await;
    }
    kill_group(pid, Signal::KILL);
    // `kill` also reaps; a child that is gone already is what we want.
    let _ = child.kill().await;
    in_time
}

/// How a process ended by itself.
pub(super) fn outcome(status: ProcessStatus, guarded: bool) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) if guarded && code > guard::ENDED_BY_SIGNAL => {
            format!("was ended by signal {}", code - guard::ENDED_BY_SIGNAL)
        }
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
