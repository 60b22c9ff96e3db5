//! The embedded Redis: strings, expiry, transactions and the chatter of common clients, in RESP2 and RESP3.
//!
//! For local development. What it does not know it refuses with Redis's own error; it never pretends.

mod admin;
mod commands;
mod disk;
mod keys;
mod keyspace;
mod log;
mod protocol;
mod server;
mod session;
mod strings;

use std::path::{Path, PathBuf};

pub use server::serve;

use crate::file::{DataFile, Place, accepted};

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

fn place(data: &Path, accept_loss: bool) -> Place {
    Place { folder: data.to_owned(), name: "redis", store: "Redis", accept_loss }
}

/// Opens the data in a folder: the file, every key, the number of the last record.
async fn open(data: &Path, accept_loss: bool) -> anyhow::Result<(DataFile, Vec<disk::Kept>, u64)> {
    let folder = data.to_owned();
    DataFile::open(place(data, accept_loss), move |database, last| disk::read(database, &folder, last)).await
}

/// Accepts that the data in the folder `data` is less than what was acknowledged, so that [`serve`] starts with it. False
/// when another process serves it.
///
/// # Errors
/// When the data cannot be read.
pub async fn accept_loss(data: &Path) -> anyhow::Result<bool> {
    accepted(open(data, true).await)
}

/// What goes when `max_memory` is reached: the `maxmemory-policy` of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// The least recently used key.
    AllkeysLru,
    /// The least recently used key that has a TTL.
    VolatileLru,
    /// The key that ends first.
    VolatileTtl,
    /// Nothing: writes fail.
    Noeviction,
}

impl Eviction {
    const ALL: [Self; 4] = [Self::AllkeysLru, Self::VolatileLru, Self::VolatileTtl, Self::Noeviction];

    /// The policy with this `maxmemory-policy` name; `None` for one that this store does not have.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }

    /// The value of `maxmemory-policy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllkeysLru => "allkeys-lru",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileTtl => "volatile-ttl",
            Self::Noeviction => "noeviction",
        }
    }
}
