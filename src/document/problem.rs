//! What is wrong in a configuration, and where. Pure.

use std::fmt;

use crate::document::node::Place;
use crate::document::words::counted;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// No source sets it.
    Default,
    /// A file, by its name for messages.
    File { name: String, place: Place },
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(String),
    /// An earlier `appforge scale`, by this `user@host` where that is known.
    Scaled(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, place } => write!(f, "{name}:{}:{}", place.line, place.column),
            Self::Env(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Scaled(by) if by.is_empty() => f.write_str("appforge scale"),
            Self::Scaled(by) => write!(f, "appforge scale by {by}"),
        }
    }
}

/// Something wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub origin: Origin,
    /// Such as `service.port` or `steps[0].path`; empty for a whole file.
    pub path: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All problems in one text, one a line: "LEAD 2 problems\n  ...".
pub(crate) fn report(lead: &str, problems: &[impl fmt::Display]) -> String {
    let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    format!("{lead} {}{lines}", counted(problems.len(), "problem"))
}
