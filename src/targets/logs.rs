//! Lines that components said, and which of them are wanted. Data only.

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
