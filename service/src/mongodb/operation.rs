//! How long operations take.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

/// What is asked of MongoDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads documents.
    Find,
    /// Adds a document.
    Insert,
    /// Changes a document.
    Update,
    /// Removes a document.
    Delete,
}

const OPERATIONS: [Operation; 4] = [Operation::Find, Operation::Insert, Operation::Update, Operation::Delete];

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: &'static str,
    outcome: &'static str,
}

/// By [`Operation`], with and without success: looked up once.
pub(super) struct Durations([[Histogram; 2]; OPERATIONS.len()]);

impl Durations {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family: Family<Labels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BOUNDS));
        let of = |operation: Operation, outcome| {
            family.get_or_create_owned(&Labels { operation: operation.name(), outcome })
        };
        let durations = OPERATIONS.map(|operation| ["failed", "ok"].map(|outcome| of(operation, outcome)));
        let help = "From an operation to its result, with the wait for a connection";
        registry.register_with_unit("mongodb_operation", help, Unit::Seconds, family);
        Self(durations)
    }

    pub(super) fn observe(&self, operation: Operation, succeeded: bool, after: Duration) {
        let by_outcome = self.0.get(operation as usize);
        if let Some(histogram) = by_outcome.and_then(|by_outcome| by_outcome.get(usize::from(succeeded))) {
            histogram.observe(after.as_secs_f64());
        }
    }
}
