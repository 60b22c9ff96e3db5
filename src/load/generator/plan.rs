//! What a run needs, and the times that all parts of the generator keep.

use std::time::Duration;

use crate::float;
use crate::load::client::Clients;
use crate::load::connection::Endpoint;
use crate::load::scenario::{Model, Scenario};

/// How often a worker hands over what it measured.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// After an interruption, answers that are on their way get this long.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// All that a run needs.
pub struct Plan {
    /// Where to.
    pub endpoint: Endpoint,
    /// What.
    pub scenario: Scenario,
    /// As whom.
    pub clients: Clients,
    /// How long one request may take.
    pub timeout: Duration,
    /// Worker threads.
    pub threads: usize,
}

impl Plan {
    /// As many threads as help: one a core, none without a user.
    pub fn threads(scenario: &Scenario) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Fifty users with think time are nothing for one thread; a second one would only wake up for nothing.
        let useful = match &scenario.model {
            Model::Closed { think_time, .. } if !think_time.is_zero() => {
                scenario.model.connections().div_ceil(500)
            }
            Model::Closed { .. } => scenario.model.connections(),
            Model::Open { rate, .. } => float::to_usize((rate.peak() / 5_000.0).ceil()),
        };
        useful.clamp(1, cores.max(1))
    }
}
