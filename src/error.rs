//! Failures, exit codes and the one place that prints an error.
//!
//! Inside the program errors are `anyhow`; where the cause decides what the shell sees or what the user should type
//! next, the edge that knows it attaches a [`Failure`]. Nothing recognises an error by its text.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// What the shell sees. The table is documented in the README; `tests/it/exit_codes.rs` has a test for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ExitStatus {
    /// All was done.
    Done = 0,
    /// The operation failed or is incomplete.
    Failed = 1,
    /// The command line could not be understood.
    Usage = 2,
    /// `appforge.yaml`, an overlay or an `APPFORGE_*` variable is invalid.
    Config = 3,
    /// The target (supervisor, engine, cluster) cannot be reached.
    Unreachable = 4,
    /// Differences were found (`render --check`, `diff`).
    Differs = 5,
    /// A check of `verify` failed.
    CheckFailed = 6,
    /// A threshold of `load` was missed.
    ThresholdMissed = 7,
    /// `cost` is over the budget.
    OverBudget = 8,
    /// A deadline passed.
    TimedOut = 9,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// An error that knows its exit status and what to type next.
#[derive(Debug)]
pub struct Failure {
    status: ExitStatus,
    message: String,
    hints: Vec<String>,
    source: Option<anyhow::Error>,
}

impl Failure {
    /// A failure with the sentence that follows `error:` (no final period).
    pub fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hints: Vec::new(), source: None }
    }

    /// Adds a `hint:` line: the next command to type, or the value to change.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what caused it; printed as `caused by:` lines.
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The exit status that this failure leads to.
    pub fn status(&self) -> ExitStatus {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}

/// The exit status of an error: that of the outermost [`Failure`] in its chain, else [`ExitStatus::Failed`].
pub fn status_of(error: &anyhow::Error) -> ExitStatus {
    failures(error).next().map_or(ExitStatus::Failed, Failure::status)
}

/// What a line of an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What failed.
    Error,
    /// Why.
    Cause,
    /// What to type next.
    Hint,
}

impl Part {
    /// The word before the line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Cause => "caused by",
            Self::Hint => "hint",
        }
    }
}

/// The lines of an error: what failed, the causes once each, then the hints.
pub(crate) fn parts(error: &anyhow::Error) -> Vec<(Part, String)> {
    let mut seen = error.to_string();
    let mut parts = vec![(Part::Error, seen.clone())];
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat their cause in their own text; a reader needs it once.
        if !seen.contains(&cause) {
            seen.push_str(&cause);
            parts.push((Part::Cause, cause));
        }
    }
    parts.extend(hints(error).map(|hint| (Part::Hint, hint.clone())));
    parts
}

/// The lines of an error as one text, an empty line before the hints.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut hinted = false;
    for (part, line) in parts(error) {
        if part == Part::Hint && !std::mem::replace(&mut hinted, true) {
            text.push('\n');
        }
        text.push_str(&format!("{}: {line}\n", part.as_str()));
    }
    text
}

/// The `hint:` lines of an error, the outermost first.
pub fn hints(error: &anyhow::Error) -> impl Iterator<Item = &String> {
    failures(error).flat_map(|failure| &failure.hints)
}

/// A path in a command of a hint, as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// An error on its way from one process to another: what would have been printed, in parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    status: ExitStatus,
    messages: Vec<String>,
    hints: Vec<String>,
}

impl From<&anyhow::Error> for Report {
    fn from(error: &anyhow::Error) -> Self {
        Self {
            status: status_of(error),
            messages: error.chain().map(ToString::to_string).collect(),
            hints: failures(error).flat_map(|failure| failure.hints.clone()).collect(),
        }
    }
}

impl From<Report> for anyhow::Error {
    fn from(report: Report) -> Self {
        let mut messages = report.messages.into_iter();
        let first = messages.next().unwrap_or_default();
        let mut failure = Failure::new(report.status, first);
        failure.hints = report.hints;
        let causes: Vec<String> = messages.collect();
        let inner = causes.into_iter().rev().fold(None, |inner: Option<Self>, message| match inner {
            Some(inner) => Some(inner.context(message)),
            None => Some(Self::msg(message)),
        });
        failure.source = inner;
        failure.into()
    }
}

fn failures(error: &anyhow::Error) -> impl Iterator<Item = &Failure> {
    error.chain().filter_map(|cause| cause.downcast_ref::<Failure>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_status_survives_context_and_each_cause_is_said_once() {
        let inner = Failure::new(ExitStatus::Unreachable, "no supervisor").hint("appforge up");
        let error = Err::<(), _>(inner).context("while asking for the status").unwrap_err();
        assert_eq!(status_of(&error), ExitStatus::Unreachable);
        assert_eq!(
            render(&error),
            "error: while asking for the status\ncaused by: no supervisor\n\nhint: appforge up\n"
        );
    }

    #[test]
    fn a_report_prints_as_the_error_it_was_made_of() {
        let inner =
            Failure::new(ExitStatus::TimedOut, "no answer").hint("wait").caused_by(anyhow::anyhow!("io"));
        let error = Err::<(), _>(inner).context("while starting").unwrap_err();
        let sent = serde_json::to_string(&Report::from(&error)).unwrap();
        let received: anyhow::Error = serde_json::from_str::<Report>(&sent).unwrap().into();
        assert_eq!(render(&received), render(&error));
        assert_eq!(status_of(&received), ExitStatus::TimedOut);
    }

    #[test]
    fn path_of_a_hint_is_one_word_for_a_shell() {
        assert_eq!(quoted(Path::new("/a/b-c_1.yaml")), "/a/b-c_1.yaml");
        assert_eq!(quoted(Path::new("/a b/it's;rm")), r"'/a b/it'\''s;rm'");
    }

    #[test]
    fn an_error_without_a_failure_is_a_plain_one() {
        assert_eq!(status_of(&anyhow::anyhow!("x")), ExitStatus::Failed);
    }
}
