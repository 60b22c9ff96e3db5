//! The embedded MongoDB: documents, queries, updates and the chatter of the official drivers, over OP_MSG.
//!
//! For local development. What it does not know it refuses with MongoDB's own error; it never pretends.

mod aggregate;
mod answer;
mod chatter;
mod compare;
mod data;
mod disk;
mod path;
mod query;
mod read;
mod server;
mod update;
mod wire;
mod write;

use std::path::PathBuf;

pub use server::serve;

/// The version of MongoDB whose behaviour is followed, as `buildInfo` tells it.
pub const VERSION: &str = "7.0.0";

/// What [`serve`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the data file; it is made where it is missing.
    pub data: PathBuf,
}
