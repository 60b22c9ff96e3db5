//! The embedded MongoDB: documents, queries, updates and the chatter of the official drivers, over OP_MSG.
//!
//! For local development. What it does not know it refuses with MongoDB's own error; it never pretends.

mod aggregate;
mod answer;
mod chatter;
mod collection;
mod compare;
mod connections;
mod cursors;
mod data;
mod disk;
mod nesting;
mod path;
mod projection;
mod query;
mod read;
mod server;
mod update;
mod wire;
mod write;

use std::path::{Path, PathBuf};

pub use server::serve;

use crate::file::{DataFile, Place, accepted};

/// The version of MongoDB whose behaviour is followed, as `buildInfo` tells it.
pub const VERSION: &str = "7.0.0";

/// What [`serve`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the data file; it is made where it is missing.
    pub data: PathBuf,
}

fn place(data: &Path, accept_loss: bool) -> Place {
    Place { folder: data.to_owned(), name: "mongodb", store: "MongoDB", accept_loss }
}

/// Accepts that the data in the folder `data` is less than what was acknowledged, so that [`serve`] starts with it. False
/// when another process serves it.
///
/// # Errors
/// When the data cannot be read.
pub async fn accept_loss(data: &Path) -> anyhow::Result<bool> {
    accepted(DataFile::open(place(data, true), |_, number| Ok(((), number))).await)
}
