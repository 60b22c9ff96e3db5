//! Which stores a stack runs, and their sizes, derived from the limits of their containers. Pure; the same on every target.

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::float;
use crate::stack::model::StoreMode;
use crate::stack::values::ByteSize;

const MIB: u64 = 1 << 20;

/// Redis `maxmemory` in bytes: two thirds of the container's limit, in whole MiB. The rest is for fragmentation, client
/// and AOF buffers, and the pages that a rewrite of the AOF copies (limit = 1.5 x maxmemory, the rule for caches).
pub fn redis_maxmemory(limit: ByteSize) -> u64 {
    limit.0 * 2 / 3 / MIB * MIB
}

/// WiredTiger's cache in GB (which `--wiredTigerCacheSizeGB` takes as GiB): half of what is above 1 GiB, at least 256 MiB,
/// as mongod computes it from the memory that it believes to have; said outright, since not every release sees the limit.
pub fn mongodb_cache_gb(limit: ByteSize) -> f64 {
    let bytes = (limit.0.saturating_sub(1024 * MIB) / 2).max(256 * MIB);
    (float::from_u64(bytes) / float::from_u64(1024 * MIB) * 100.0).floor() / 100.0
}

/// Most connections that mongod is told to take: about 1 MiB each, in two thirds of the memory beside the cache.
pub fn mongodb_max_connections(limit: ByteSize) -> u32 {
    let cache = float::to_u64(mongodb_cache_gb(limit) * 1024.0);
    let room = (limit.0 / MIB).saturating_sub(cache) * 2 / 3;
    u32::try_from(room).unwrap_or(u32::MAX).max(10)
}

/// One word of a shell.
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether the stack runs the store itself, in a container.
///
/// # Errors
/// With the file's path when only the target local runs such a store.
pub fn runs_here(path: &str, mode: StoreMode) -> Result<bool> {
    match mode {
        StoreMode::Auto | StoreMode::Managed => Ok(true),
        StoreMode::External => Ok(false),
        StoreMode::Embedded | StoreMode::Container => {
            let mode = if mode == StoreMode::Embedded { "embedded" } else { "container" };
            Err(Failure::new(ExitStatus::Config, format!("{path}: `{mode}` runs on the target local only"))
                .hint("write `managed`, or `external` with a URI")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_keeps_room_for_rewriting_its_file() {
        assert_eq!(redis_maxmemory(ByteSize(2048 * MIB)), 1365 * MIB);
        assert_eq!(redis_maxmemory(ByteSize(64 * MIB)), 42 * MIB);
    }

    #[test]
    fn the_cache_of_mongodb_follows_its_limit() {
        assert_eq!(mongodb_cache_gb(ByteSize(2048 * MIB)), 0.5);
        assert_eq!(mongodb_cache_gb(ByteSize(512 * MIB)), 0.25);
        assert_eq!(mongodb_cache_gb(ByteSize(4096 * MIB)), 1.5);
        assert_eq!(mongodb_max_connections(ByteSize(2048 * MIB)), 1024);
        assert_eq!(mongodb_max_connections(ByteSize(512 * MIB)), 170);
    }
}
