//! The embedded Redis: strings, expiry, transactions and the chatter of common clients, in RESP2 and RESP3.
//!
//! For local development. What it does not know it refuses with Redis's own error; it never pretends.

mod admin;
mod commands;
mod disk;
mod keys;
mod keyspace;
mod protocol;
mod server;
mod session;
mod strings;

use std::path::PathBuf;

pub use server::serve;

use crate::spec::stack::Eviction;

/// The version of Redis whose behaviour is followed, as `INFO` and `HELLO` tell it.
pub const VERSION: &str = "7.4.0";

/// What [`serve`] needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the data file; it is made where it is missing.
    pub data: PathBuf,
    /// Bytes that keys and values may take before keys are evicted; 0 is no limit.
    pub max_memory: u64,
    /// What goes when `max_memory` is reached.
    pub eviction: Eviction,
}
