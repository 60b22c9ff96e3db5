//! Where a stack runs: the only code that talks to engines. One folder a target; `Target` is all that commands see of them.

pub mod address;
pub(crate) mod admin;
mod backend;
pub mod change;
pub mod compose;
mod connector;
pub mod finding;
pub mod image;
pub mod interrupt;
pub mod kubernetes;
pub mod local;
pub mod lock;
pub mod logs;
mod machine;
pub mod ownership;
pub mod plan;
mod port;
pub mod progress;
mod proxy;
pub mod revision;
pub mod status;
pub mod subject;
mod target;

pub use target::{Place, Target};
