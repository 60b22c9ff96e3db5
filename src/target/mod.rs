//! Where a stack runs: the only code that talks to engines. One folder a target; what they share is data.

pub mod compose;
pub mod finding;
pub mod local;
pub mod plan;
pub mod status;
pub mod subject;
