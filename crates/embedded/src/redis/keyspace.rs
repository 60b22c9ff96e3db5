//! The keys: values, expiry, memory, and what changed since the last record of the log, which can be undone. No IO.

mod removal;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use indexmap::IndexMap;

use crate::redis::{Eviction, log};

/// What a key costs beside its own bytes and those of its value: the entry, its slot in the table, the buffers' heads.
const OVERHEAD: u64 = 128;
/// One key's value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    /// When it ends, in milliseconds since 1970.
    pub(super) expires: Option<i64>,
    /// Changes with each write, and never comes back; `WATCH` compares it.
    pub(super) version: u64,
    used: u64,
}

/// What changed since the last record of the log.
#[derive(Debug, Default)]
struct Changes {
    /// The changed keys, with what they were before.
    keys: HashMap<Bytes, Option<Entry>>,
    /// Everything was removed before these keys changed.
    cleared: Option<Box<Cleared>>,
    /// Bytes of the changed keys and values, about.
    bytes: usize,
}

/// What there was before everything was removed.
#[derive(Debug)]
struct Cleared {
    entries: IndexMap<Bytes, Entry>,
    keys: HashMap<Bytes, Option<Entry>>,
    memory: u64,
    volatile: usize,
}

/// Counters for `INFO`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stats {
    pub(super) commands: u64,
    pub(super) connections: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) expired: u64,
    pub(super) evicted: u64,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keyspace {
    entries: IndexMap<Bytes, Entry>,
    changes: Changes,
    now: i64,
    clock: u64,
    memory: u64,
    volatile: usize,
    swept: usize,
    random: u64,
    pub(super) max_memory: u64,
    pub(super) eviction: Eviction,
    pub(super) stats: Stats,
    /// False while the log cannot be synced; writes are refused meanwhile, as Redis does.
    pub(super) disk_works: bool,
}

impl Keyspace {
    pub(super) fn new(max_memory: u64, eviction: Eviction) -> Self {
        let mut this = Self {
            entries: IndexMap::new(),
            changes: Changes::default(),
            now: 0,
            clock: 0,
            memory: 0,
            volatile: 0,
            swept: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            max_memory,
            eviction,
            stats: Stats::default(),
            disk_works: true,
        };
        this.tick();
        this
    }

    /// Looks at the clock. Within one command, and one transaction, the time stands still.
    pub(super) fn tick(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Keys, those included that ended and were not met yet.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys that end.
    pub(super) fn volatile(&self) -> usize {
        self.volatile
    }

    /// Bytes in use.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    /// A living entry, without making it recently used.
    pub(super) fn peek(&mut self, key: &[u8]) -> Option<&Entry> {
        let expires = self.entries.get(key)?.expires;
        if expires.is_some_and(|at| at <= self.now) {
            self.remove(key);
            self.stats.expired += 1;
            return None;
        }
        self.entries.get(key)
    }

    /// A living entry, which is now recently used.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        if self.peek(key).is_none() {
            self.stats.misses += 1;
            return None;
        }
        self.stats.hits += 1;
        self.clock += 1;
        let clock = self.clock;
        let entry = self.entries.get_mut(key)?;
        entry.used = clock;
        Some(entry)
    }

    /// Sets a key whatever it was. Copies, so that no request's buffer is held by a key.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8], expires: Option<i64>) {
        self.clock += 1;
        let entry =
            Entry { value: Bytes::copy_from_slice(value), expires, version: self.clock, used: self.clock };
        self.memory += cost(key, value);
        self.volatile += usize::from(expires.is_some());
        self.changes.bytes += key.len() + value.len();
        match self.entries.get_full_mut(key) {
            Some((_, known, place)) => {
                let old = std::mem::replace(place, entry);
                let known = known.clone();
                self.forget(key, &old);
                self.changes.keys.entry(known).or_insert(Some(old));
            }
            None => {
                let key = Bytes::copy_from_slice(key);
                self.changes.keys.entry(key.clone()).or_insert(None);
                self.entries.insert(key, entry);
            }
        }
    }

    /// Changes when a key ends; false when there is no such key. An end that has passed removes it.
    pub(super) fn expire(&mut self, key: &[u8], expires: Option<i64>) -> bool {
        if self.peek(key).is_none() {
            return false;
        }
        if expires.is_some_and(|at| at <= self.now) {
            return self.remove(key);
        }
        self.clock += 1;
        let Some((_, known, entry)) = self.entries.get_full_mut(key) else { return false };
        self.changes.keys.entry(known.clone()).or_insert_with(|| Some(entry.clone()));
        self.volatile -= usize::from(entry.expires.is_some());
        self.volatile += usize::from(expires.is_some());
        entry.expires = expires;
        entry.version = self.clock;
        true
    }

    /// Removes a key; false when there was none.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let Some((known, old)) = self.entries.swap_remove_entry(key) else { return false };
        self.forget(key, &old);
        self.changes.keys.entry(known).or_insert(Some(old));
        true
    }

    fn forget(&mut self, key: &[u8], old: &Entry) {
        self.memory = self.memory.saturating_sub(cost(key, &old.value));
        self.volatile -= usize::from(old.expires.is_some());
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        let (entries, keys) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.changes.keys));
        let (memory, volatile) = (std::mem::take(&mut self.memory), std::mem::take(&mut self.volatile));
        // What was there before the first time is what is to be undone.
        self.changes.cleared.get_or_insert_with(|| Box::new(Cleared { entries, keys, memory, volatile }));
    }

    /// The version of a key, 0 where there is none.
    pub(super) fn version(&mut self, key: &[u8]) -> u64 {
        self.peek(key).map_or(0, |entry| entry.version)
    }

    /// Up to `count` keys below `cursor` (0: from the start), and the cursor to go on from (0: the end was reached).
    ///
    /// It walks down, because a removal moves the last key into the gap: a key that stays is met at least once.
    pub(super) fn scan(&self, cursor: usize, count: usize) -> (usize, Vec<Bytes>) {
        let top = if cursor == 0 { self.len() } else { cursor.min(self.len()) };
        let bottom = top.saturating_sub(count);
        let alive = |entry: &Entry| entry.expires.is_none_or(|at| at > self.now);
        let found = self.entries.get_range(bottom..top).into_iter().flatten();
        (bottom, found.filter(|(_, entry)| alive(entry)).map(|(key, _)| key.clone()).collect())
    }

    /// Whether something changed since the last record.
    pub(super) fn is_changed(&self) -> bool {
        !self.changes.keys.is_empty() || self.changes.cleared.is_some()
    }

    /// Bytes that the next record takes, about.
    pub(super) fn changed_bytes(&self) -> usize {
        self.changes.bytes
    }

    /// Writes what changed to a record of the log.
    pub(super) fn record(&self, record: &mut Vec<u8>) {
        if self.changes.cleared.is_some() {
            log::clear(record);
        }
        for key in self.changes.keys.keys() {
            match self.entries.get(key) {
                Some(entry) => log::set(record, key, &entry.value, entry.expires),
                None => log::remove_key(record, key),
            }
        }
    }

    /// What changed is in the log.
    pub(super) fn keep_changes(&mut self) {
        self.changes = Changes::default();
    }

    /// Undoes what changed since the last record.
    pub(super) fn undo_changes(&mut self) {
        let Changes { mut keys, cleared, .. } = std::mem::take(&mut self.changes);
        if let Some(before) = cleared {
            self.entries = before.entries;
            self.memory = before.memory;
            self.volatile = before.volatile;
            keys = before.keys;
        }
        for (key, before) in keys {
            if let Some(now) = self.entries.swap_remove(&key) {
                self.forget(&key, &now);
            }
            if let Some(before) = before {
                self.memory += cost(&key, &before.value);
                self.volatile += usize::from(before.expires.is_some());
                self.entries.insert(key, before);
            }
        }
    }

    /// Puts in what the disk held; nothing counts as changed but what ended meanwhile.
    pub(super) fn load(&mut self, keys: Vec<(Bytes, Bytes, Option<i64>)>) {
        for (key, value, expires) in keys {
            self.set(&key, &value, expires);
        }
        self.keep_changes();
    }
}

fn cost(key: &[u8], value: &[u8]) -> u64 {
    OVERHEAD + u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX / 2)
}

/// What `MEMORY USAGE` tells of a key, in bytes.
pub(super) fn usage(key: &[u8], entry: &Entry) -> u64 {
    cost(key, &entry.value)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    type Seen = (Bytes, Bytes, Option<i64>, u64);

    /// Everything that can be seen of the keys.
    fn seen(keys: &Keyspace) -> (Vec<Seen>, u64, usize) {
        let mut all: Vec<_> = keys
            .entries
            .iter()
            .map(|(key, entry)| (key.clone(), entry.value.clone(), entry.expires, entry.version))
            .collect();
        all.sort();
        (all, keys.memory, keys.volatile)
    }

    #[test]
    fn undo_brings_back_all_that_changed_since_the_record() {
        let mut keys = Keyspace::new(0, Eviction::Noeviction);
        let later = Some(keys.now() + 60_000);
        for name in [b"a", b"b", b"c", b"d"] {
            keys.set(name, b"1", None);
        }
        keys.expire(b"d", later);
        keys.keep_changes();
        let before = seen(&keys);
        keys.set(b"a", b"22", later);
        keys.set(b"a", b"333", None);
        keys.set(b"new", b"1", later);
        keys.remove(b"b");
        keys.expire(b"c", later);
        keys.expire(b"d", None);
        keys.undo_changes();
        assert_eq!(seen(&keys), before);
        keys.set(b"a", b"2", None);
        keys.clear();
        keys.set(b"b", b"2", later);
        keys.clear();
        keys.set(b"new", b"2", later);
        keys.undo_changes();
        assert_eq!(seen(&keys), before);
        assert!(!keys.is_changed());
    }

    #[test]
    fn a_scan_meets_every_key_that_stays_though_others_go() {
        let mut keys = Keyspace::new(0, Eviction::Noeviction);
        for number in 0..100_u8 {
            keys.set(&[number], b"", None);
        }
        let (mut cursor, mut seen) = (0, HashSet::new());
        for gone in 0..100_u8 {
            let (next, found) = keys.scan(cursor, 7);
            seen.extend(found);
            cursor = next;
            if cursor == 0 {
                break;
            }
            keys.remove(&[gone * 2]);
        }
        assert!((0..50_u8).all(|half| seen.contains([half * 2 + 1].as_slice())));
    }
}
