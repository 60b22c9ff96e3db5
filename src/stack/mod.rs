//! `appforge.yaml` -> [`Stack`]: put layers over each other, validate. Pure: no IO, clock, randomness or network.

pub mod alerts;
pub(crate) mod app;
pub(crate) mod component;
pub mod compose;
pub(crate) mod env_file;
pub mod environment;
pub mod kubernetes;
pub mod layers;
pub mod model;
pub mod monitoring;
pub(crate) mod pods;
mod schema;
pub mod service;
pub mod template;
pub(crate) mod uri;
pub mod validate;
pub mod values;

pub use component::{ComponentKind, StoreKind};
pub(crate) use layers::resolve_running;
pub use layers::{Layer, Resolved, resolve};
pub use model::{Stack, TargetKind};
pub(crate) use schema::schema;
