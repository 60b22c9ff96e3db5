//! What bringing a stack to its file did, and the one failure of a verb that needs a stack that is up. Data only.

use crate::error::{ExitStatus, Failure};
use crate::targets::plan::Plan;
use crate::targets::status::Status;

/// What was done, what runs now, and what the user should know about it.
#[derive(Debug)]
pub struct Outcome {
    /// What was changed.
    pub plan: Plan,
    /// What runs now.
    pub status: Status,
    /// External stores that do not answer at their addresses, one sentence each; `up --strict` fails for them.
    pub unreachable: Vec<String>,
    /// What was left behind, such as the data of a store that the stack no longer runs; one sentence each.
    pub left: Vec<String>,
}

impl Outcome {
    /// One without anything to add.
    pub fn new(plan: Plan, status: Status) -> Self {
        Self { plan, status, unreachable: Vec::new(), left: Vec::new() }
    }
}

/// The failure of a verb that needs a stack that is up; `place` follows the name, such as ` on compose`.
pub fn not_up(stack: &str, place: &str, command: &str) -> Failure {
    Failure::new(ExitStatus::Unreachable, format!("the stack `{stack}` is not up{place}")).hint(command)
}
