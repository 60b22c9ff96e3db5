//! The stack on Docker: documents that Compose converges, and an engine that is watched through its API.
//!
//! Compose alone creates and removes; what happened is never read from its output but asked from the engine. Its files lie
//! in `.appforge/compose`, where `docker compose` by hand finds the same stack.

mod backend;
mod cli;
mod converge;
mod credentials;
mod doctor;
mod down;
pub mod engine;
mod gateway;
mod gateway_check;
pub mod image;
mod logs;
mod observe;
mod owner;
mod plan;
mod preflight;
mod reach;
mod ready;
mod session;
mod status;
mod subject;
mod trial;

pub use session::Compose;
use session::not_up;
