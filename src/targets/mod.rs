//! Where a stack runs: the only code that talks to engines. One folder a target; `Target` is all that commands see of them.

pub(crate) mod address;
pub(crate) mod admin;
mod backend;
pub(crate) mod certificates;
pub mod change;
pub(crate) mod compose;
mod connector;
pub(crate) mod env_file;
pub mod finding;
mod hold;
pub(crate) mod image;
pub(crate) mod interrupt;
pub(crate) mod kubernetes;
pub(crate) mod local;
pub(crate) mod lock;
pub mod logs;
mod machine;
pub(crate) mod ownership;
pub mod plan;
mod port;
pub(crate) mod progress;
mod proxy;
pub(crate) mod recorder;
pub(crate) mod release;
pub(crate) mod revision;
pub(crate) mod scaled;
pub mod status;
pub mod subject;
mod target;
pub(crate) mod upstream;

pub use target::{Place, Target};
