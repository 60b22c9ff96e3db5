//! Which keys go by themselves: those that ended, and those that the eviction policy picks when memory is short.

use bytes::Bytes;

use super::{Entry, Keyspace};
use crate::redis::Eviction;

/// Keys looked at to choose one to evict, as Redis's `maxmemory-samples`.
const SAMPLES: usize = 5;
/// Keys looked at in one step of the sweep for expired keys.
const SWEEP: usize = 1000;
/// Most steps of one sweep, so that it holds the lock for a few milliseconds at most.
const SWEEP_STEPS: usize = 20;

impl Keyspace {
    /// Drops keys that ended, as long as many are found.
    pub(in crate::redis) fn sweep(&mut self) {
        self.tick();
        for _ in 0..SWEEP_STEPS {
            if self.volatile == 0 {
                return;
            }
            let top = if self.swept == 0 { self.len() } else { self.swept.min(self.len()) };
            self.swept = top.saturating_sub(SWEEP);
            let ended = (self.swept..top)
                .filter_map(|index| self.entries.get_index(index))
                .filter(|(_, entry)| entry.expires.is_some_and(|at| at <= self.now))
                .map(|(key, _)| key.clone())
                .collect::<Vec<_>>();
            for key in &ended {
                self.remove(key);
                self.stats.expired += 1;
            }
            if ended.len() * 4 < SWEEP {
                return;
            }
        }
    }

    /// Makes room by the policy; false when there is too little and nothing may go.
    pub(in crate::redis) fn make_room(&mut self) -> bool {
        while self.max_memory > 0 && self.memory > self.max_memory {
            let Some(key) = self.victim() else { return false };
            self.remove(&key);
            self.stats.evicted += 1;
        }
        true
    }

    fn victim(&mut self) -> Option<Bytes> {
        let rank: fn(&Entry) -> Option<u64> = match self.eviction {
            Eviction::Noeviction => return None,
            Eviction::AllkeysLru => |entry| Some(entry.used),
            Eviction::VolatileLru => |entry| entry.expires.map(|_| entry.used),
            Eviction::VolatileTtl => |entry| entry.expires.map(i64::unsigned_abs),
        };
        let ranked = |(key, entry): (&Bytes, &Entry)| Some((rank(entry)?, key.clone()));
        let picks = (0..SAMPLES).map(|_| self.pick()).collect::<Vec<_>>();
        let sampled =
            picks.into_iter().filter_map(|index| self.entries.get_index(index)).filter_map(ranked).min();
        // Few keys may go and none was sampled: look at all of them.
        sampled.or_else(|| self.entries.iter().filter_map(ranked).min()).map(|(_, key)| key)
    }

    /// Some index: xorshift, good enough to sample with.
    fn pick(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 16).unwrap_or(0) % self.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_keeps_memory_below_the_limit_and_the_used_key_alive() {
        let mut keys = Keyspace::new(200_000, Eviction::AllkeysLru);
        keys.set(b"kept", b"x", None);
        for number in 0..5000_u32 {
            keys.set(&number.to_be_bytes(), &[0; 100], None);
            assert!(keys.make_room() && keys.memory() <= 200_000);
            keys.get(b"kept");
        }
        assert!(keys.stats.evicted > 1000);
        assert!(keys.peek(b"kept").is_some());
    }

    #[test]
    fn a_policy_for_volatile_keys_spares_the_others() {
        let mut keys = Keyspace::new(1900, Eviction::VolatileTtl);
        let later = keys.now() + 60_000;
        keys.set(b"soon", b"", Some(later));
        keys.set(b"late", b"", Some(later + 1));
        for number in 0..13_u8 {
            keys.set(&[number], b"", None);
        }
        assert!(keys.make_room());
        assert_eq!((keys.len(), keys.volatile()), (14, 1));
        keys.set(b"more", &[0; 2000], None);
        assert!(!keys.make_room(), "only lasting keys are left, and they may not go");
        assert_eq!((keys.len(), keys.volatile()), (14, 0));
    }

    #[test]
    fn the_sweep_drops_keys_that_no_client_asks_for() {
        let mut keys = Keyspace::new(0, Eviction::Noeviction);
        let past = keys.now() - 1;
        for number in 0..5000_u32 {
            keys.set(&number.to_be_bytes(), b"", Some(past));
        }
        keys.sweep();
        assert_eq!((keys.len(), keys.memory(), keys.volatile()), (0, 0, 0));
    }
}
