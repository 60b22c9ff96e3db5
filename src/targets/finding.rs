//! What `doctor` says of one condition of a target. Data only.

use serde::{Deserialize, Serialize};

use crate::error::{Failure, hints};

/// One condition, what was found, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, such as `docker engine`.
    pub name: String,
    /// Whether it is as the target needs it.
    pub verdict: Verdict,
    /// What was found.
    pub observed: String,
    /// The next command to type, or the value to change.
    pub fix: Option<String>,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Good,
    /// It works, and may not for long.
    Warning,
    /// The target cannot work.
    Bad,
}

impl Finding {
    /// A condition that holds.
    pub fn good(name: &str, observed: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::Good, observed: observed.into(), fix: None }
    }

    /// A condition that does not hold, or only just.
    pub fn not_good(
        name: &str,
        verdict: Verdict,
        observed: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { name: name.to_owned(), verdict, observed: observed.into(), fix: Some(fix.into()) }
    }

    /// A condition that does not hold, as an attempt has shown.
    pub fn bad(name: &str, error: &anyhow::Error) -> Self {
        let fix = hints(error).next().cloned();
        let observed = match error.downcast_ref::<Failure>() {
            Some(failure) => failure.to_string(),
            None => format!("{error:#}"),
        };
        Self { name: name.to_owned(), verdict: Verdict::Bad, observed, fix }
    }
}
