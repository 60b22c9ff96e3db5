//! The answer to one request, as the ledger finds it and the waiting request receives it. Pure.

use super::decision::Outcome;
use super::metrics::Source;

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) source: Source,
    pub(super) remaining: u32,
    /// Until the window ends, in milliseconds.
    pub(super) left: u64,
}

impl Verdict {
    pub(super) fn outcome(&self) -> Outcome {
        match self.source {
            Source::Allowed | Source::AllowedFallback => Outcome::Passed,
            Source::DeniedRedis | Source::DeniedLocal | Source::DeniedFallback => Outcome::Limited,
            Source::Unavailable => Outcome::Unavailable,
        }
    }
}

pub(super) fn denied(source: Source, left: u64) -> Verdict {
    Verdict { source, remaining: 0, left }
}
