//! `appforge.yaml` -> [`Stack`]: parse, put layers over each other, validate. Pure: no IO, clock, randomness or network.

pub mod compose;
pub mod environment;
pub mod kubernetes;
pub mod layers;
pub mod model;
pub mod validate;
pub mod values;
pub mod yaml;

pub use layers::{Layer, Origin, Problem, Resolved, resolve, resolve_running};
pub use model::{Stack, TargetKind};
