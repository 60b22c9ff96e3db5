//! Lines that components said, and which of them are wanted. Data only.

use anyhow::Result;
use jiff::Timestamp;

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogsRequest {
    /// Only these components, such as `redis`, `service` or `service-2`; none for all.
    pub components: Vec<String>,
    /// Go on as they come.
    pub follow: bool,
    /// Only what was said since.
    pub since: Option<Timestamp>,
    /// Only so many, the last ones; of each container when following.
    pub tail: Option<usize>,
    /// Only lines with this text. Where an engine keeps the lines, `tail` counts before this.
    pub grep: Option<String>,
}

/// Takes lines in their order; returns whether it takes more.
pub type Sink<'a> = &'a mut dyn FnMut(Vec<Line>) -> Result<bool>;

impl LogsRequest {
    /// Whether a line is young enough and has the text.
    pub fn fits(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.time >= since)
            && self.grep.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the engine read it.
    pub time: Timestamp,
    /// Who said it, such as `service-2`.
    pub component: String,
    /// What was said.
    pub text: String,
}
