//! What is sent, how much, for how long. Data only; [`super::user_file`] reads it from a file.

use std::time::Duration;

use crate::float;
use crate::load::schedule::Schedule;
use crate::load::step::Step;
use crate::load::thresholds::Threshold;
use crate::stack::service::Service;

/// Most virtual users or connections: each is one socket.
pub const MAX_USERS: u32 = 20_000;

/// Who decides when a request is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Virtual users, each waiting for its answer and then for the think time.
    Closed { users: Schedule, think_time: Duration },
    /// An arrival rate that no slow answer slows down; latency counts from the intended send time.
    Open { rate: Schedule, connections: u32 },
}

impl Model {
    /// How long sending goes on.
    pub fn duration(&self) -> Duration {
        match self {
            Self::Closed { users, .. } => users.duration(),
            Self::Open { rate, .. } => rate.duration(),
        }
    }

    /// Most connections at once.
    pub fn connections(&self) -> usize {
        match self {
            Self::Closed { users, .. } => float::to_usize(users.peak().ceil()),
            Self::Open { connections, .. } => *connections as usize,
        }
    }

    /// The highest number of users, or the highest rate.
    pub fn peak(&self) -> f64 {
        match self {
            Self::Closed { users, .. } => users.peak(),
            Self::Open { rate, .. } => rate.peak(),
        }
    }

    /// The word of reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
        }
    }
}

/// A whole test.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `normal`, `peak`, `stress`, `capacity`, or the name of a file.
    pub name: String,
    /// Who decides when a request is sent.
    pub model: Model,
    /// What is sent.
    pub steps: Vec<Step>,
    /// What must hold, beside what the stack file and flags say.
    pub thresholds: Vec<Threshold>,
}

/// The scenarios of the brief, by name: users at once.
pub const BUILT_IN: [(&str, u32); 3] = [("normal", 100), ("peak", 200), ("stress", 350)];

/// The requests of the built-in scenarios: reads only, since a test must not fill anyone's database. An app of
/// the user's own promises no more than its health, or that `/` is there.
pub fn built_in_steps(service: &Service) -> Vec<Step> {
    let path = service.health_path();
    if service.is_own() {
        let name = if service.health.is_some() { "health" } else { "root" };
        return vec![Step::get_any(name, path, 1)];
    }
    vec![Step::get("health", path, 1), Step::get("items", "/api/items?limit=20", 4)]
}
