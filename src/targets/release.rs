//! What every target says of `service.release`.

use anyhow::anyhow;

use crate::error::{ExitStatus, Failure};
use crate::stack::values::CommandLine;

/// The progress of a release command.
pub(crate) fn running(command: &CommandLine) -> String {
    format!("running {}", named(command))
}

/// The failure of a release command; `what` follows its name, such as `ended with exit status 1`, and `printed` are its last
/// lines.
pub(crate) fn failure(command: &CommandLine, status: ExitStatus, what: &str, printed: &[String]) -> Failure {
    let mut failure = Failure::new(status, format!("{} {what}", named(command)));
    if !printed.is_empty() {
        failure = failure.caused_by(anyhow!("it printed:\n  {}", printed.join("\n  ")));
    }
    failure.hint("correct it, then run `appforge up`; the replicas that run were not changed")
}

/// The failure of a command that waited for a release command until its own time was up.
pub(crate) fn still_running(command: &CommandLine, place: &str) -> Failure {
    Failure::new(ExitStatus::TimedOut, format!("{} is still running{place}", named(command)))
        .hint("`appforge up` waits for it again; `--timeout` sets the time limit")
}

fn named(command: &CommandLine) -> String {
    format!("the release command `{}`", command.texts().join(" "))
}
