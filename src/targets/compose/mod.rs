//! The stack on Docker: documents that Compose converges, and an engine that is watched through its API.
//!
//! Compose alone creates and removes; what happened is never read from its output but asked from the engine. Its files lie
//! in `.appforge/compose`, where `docker compose` by hand finds the same stack.

mod apply;
mod backend;
mod doctor;
mod observe;
mod plan;
mod session;
mod store;

pub(crate) use apply::image::load;
pub(crate) use observe::engine_host;
pub(crate) use session::Compose;
pub(crate) use store::{CONFIGURATION, DATA, StoreContainer};
