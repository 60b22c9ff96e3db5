//! What a command asks of a target: which change, how it is made, and what it did. Data only.

use std::time::Duration;

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::stack::{Stack, TargetKind};
use crate::targets::plan::Plan;
use crate::targets::status::Status;

/// How long a command that only looks tries to reach its target.
pub(crate) const LOOK: Duration = Duration::from_secs(30);

/// Which change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Bring the stack to what the file says.
    Up,
    /// The same for a stack that is up, with another number of replicas.
    Scale,
    /// Replace every replica.
    Restart,
    /// Return to an earlier revision.
    Rollback,
    /// Stop the stack.
    Down,
}

impl Verb {
    /// The word that users type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::Rollback => "rollback",
            Self::Down => "down",
        }
    }
}

/// How a stack is brought to what its file says.
#[derive(Clone, Debug)]
pub struct Change {
    /// On `local` for each component, elsewhere for all of it.
    pub timeout: Duration,
    /// Take over fields that other managers own.
    pub force: bool,
    /// Whether the user asked for the number of replicas with this command.
    pub explicit: bool,
    /// With autoscaling: the most replicas that the user asked for with it.
    pub max: Option<u32>,
    /// Why, for the history of revisions.
    pub message: Option<String>,
    /// A new address that cannot be tried is a failure.
    pub strict: bool,
    /// Embedded stores may continue with less than they acknowledged.
    pub accept_loss: bool,
}

impl Change {
    /// One that may take so long and asks for nothing special.
    pub fn within(timeout: Duration) -> Self {
        Self {
            timeout,
            force: false,
            explicit: false,
            max: None,
            message: None,
            strict: false,
            accept_loss: false,
        }
    }
}

/// Who judges a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// This program, from what it may read.
    Client,
    /// The server, with its rules and defaults.
    Server,
}

/// What a change did.
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
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// One without anything to add.
    pub fn new(plan: Plan, status: Status) -> Self {
        Self { plan, status, unreachable: Vec::new(), left: Vec::new(), took: Duration::ZERO }
    }
}

/// What `down --volumes` would remove for good.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    /// For people, one line each.
    pub lines: Vec<String>,
    /// A word that has to be typed, where the data may be production's.
    pub typed: Option<String>,
}

/// What `down` did.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// How many processes, containers or objects ended.
    pub count: usize,
    /// Whether data stayed.
    pub kept: bool,
    /// The data that was removed.
    pub removed: Vec<String>,
}

/// The failure of a verb that needs a stack that is up; `place` follows the name, such as ` on compose`.
pub fn not_up(stack: &str, place: &str, command: &str) -> Failure {
    Failure::new(ExitStatus::Unreachable, format!("the stack `{stack}` is not up{place}")).hint(command)
}

/// Refuses a flag or a verb on other targets than its own.
///
/// # Errors
/// Exit 2, with the way out.
pub fn only_on(target: TargetKind, stack: &Stack, what: &str) -> Result<()> {
    if stack.target == target { Ok(()) } else { Err(elsewhere(target, stack, what).into()) }
}

/// The failure of a flag or a verb that only another target has.
pub(crate) fn elsewhere(target: TargetKind, stack: &Stack, what: &str) -> Failure {
    let (own, this) = (target.as_str(), stack.target.as_str());
    let message = format!("{what} requires the target {own}, and this stack is on {this}");
    Failure::new(ExitStatus::Usage, message).hint(format!("add `--target {own}`"))
}
