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
