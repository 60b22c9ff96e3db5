//! What this replica knows of clients: one bounded table that is window cache, deny cache and fallback counter in one.
//! No clock of its own: time comes in as milliseconds since the limiter's start.

use std::collections::HashMap;

use crate::identity::Identity;

/// Clients in the table at most, about 13 MB. The bound is against address rotation.
pub(super) const MOST_CLIENTS: usize = 200_000;

/// A client within its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// When its window ends.
    pub(super) reset: u64,
    /// Requests counted in it over all replicas, as Redis said last; there were at least so many.
    pub(super) total: u32,
    /// Requests that this replica passed by itself and has not told Redis.
    pub(super) unsent: u32,
    /// How many more it may pass by itself in the outage numbered below.
    pub(super) allowance: u32,
    /// The outage for which `allowance` was worked out.
    pub(super) outage: u32,
}

impl Entry {
    /// Works out once an outage what this replica may pass by itself: its share of what is `free`.
    pub(super) fn share(&mut self, outage: u32, free: u32, replicas: u32) {
        if self.outage != outage {
            (self.outage, self.allowance) = (outage, free.div_ceil(replicas));
        }
    }
}

/// The table. Losing an entry costs a command to Redis, never exactness; only in an outage does it cost the local count.
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Identity, Entry>,
    most: usize,
    evicted: u64,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most: most.max(1), evicted: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that were given up for room before their window ended, since this was last asked.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// A client whose window is not over.
    pub(super) fn live(&mut self, client: &Identity, now: u64) -> Option<&mut Entry> {
        self.entries.get_mut(client).filter(|entry| entry.reset > now)
    }

    /// The same, to read.
    pub(super) fn known(&self, client: &Identity, now: u64) -> Option<&Entry> {
        self.entries.get(client).filter(|entry| entry.reset > now)
    }

    /// The client's entry, whether its window is over or not; a new one is empty and over.
    pub(super) fn entry(&mut self, client: &Identity, now: u64) -> &mut Entry {
        if self.entries.len() >= self.most && !self.entries.contains_key(client) {
            self.make_room(now);
        }
        self.entries.entry(client.clone()).or_default()
    }

    /// The clients of whom Redis should know, and whose windows are not over.
    pub(super) fn counted(&self, now: u64) -> Vec<Identity> {
        let counted = |entry: &Entry| entry.reset > now && (entry.total > 0 || entry.unsent > 0);
        self.entries.iter().filter(|(_, entry)| counted(entry)).map(|(client, _)| client.clone()).collect()
    }

    /// Drops the clients whose windows are over, and gives memory back when most of it is unused.
    pub(super) fn sweep(&mut self, now: u64) {
        self.entries.retain(|_, entry| entry.reset > now);
        if self.entries.capacity() > 1024 && self.entries.capacity() / 8 > self.entries.len() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Makes room for a sixteenth of the table, so that the walk is paid for by many insertions: first what is over, then
    /// what Redis knows as well, and only then local counts.
    fn make_room(&mut self, now: u64) {
        self.entries.retain(|_, entry| entry.reset > now);
        let goal = self.most - (self.most / 16).max(1);
        for keep_unsent in [true, false] {
            let mut excess = self.entries.len().saturating_sub(goal);
            self.evicted += excess as u64;
            self.entries.retain(|_, entry| {
                let keep = excess == 0 || (keep_unsent && entry.unsent > 0);
                excess -= usize::from(!keep);
                keep
            });
            self.evicted -= excess as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Identity {
        Identity::V4(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()))
    }

    fn filled(most: usize, entry: impl Fn(usize) -> Entry) -> Table {
        let mut table = Table::new(most);
        for number in 0..most {
            *table.entry(&key(number), 0) = entry(number);
        }
        table
    }

    #[test]
    fn a_window_that_is_over_is_not_live() {
        let mut table = filled(1, |_| Entry { reset: 10, ..Entry::default() });
        assert!(table.live(&key(0), 9).is_some());
        assert!(table.live(&key(0), 10).is_none());
    }

    #[test]
    fn the_table_never_grows_over_its_bound() {
        let mut table = filled(64, |_| Entry { reset: 10, ..Entry::default() });
        for number in 64..1000 {
            table.entry(&key(number), 0).reset = 10;
            assert!(table.len() <= 64, "{}", table.len());
        }
        assert!(table.take_evicted() >= 1000 - 64);
        assert_eq!(table.take_evicted(), 0);
    }

    #[test]
    fn what_is_over_goes_first() {
        let mut table =
            filled(64, |number| Entry { reset: if number < 32 { 5 } else { 10 }, ..Entry::default() });
        table.entry(&key(64), 6).reset = 10;
        assert_eq!(table.len(), 33);
        assert_eq!(table.take_evicted(), 0, "nothing was lost");
    }

    #[test]
    fn local_counts_go_last() {
        let unsent = |number| u32::from(number % 2 == 0);
        let mut table = filled(64, |number| Entry { reset: 10, unsent: unsent(number), ..Entry::default() });
        table.entry(&key(64), 0).reset = 10;
        assert!((0..64).step_by(2).all(|number| table.live(&key(number), 0).is_some()));
        assert_eq!(table.take_evicted(), 4);

        let mut table = filled(64, |_| Entry { reset: 10, unsent: 1, ..Entry::default() });
        table.entry(&key(64), 0).reset = 10;
        assert_eq!(table.len(), 61, "the bound holds even then");
    }

    #[test]
    fn only_clients_that_count_are_told_to_redis() {
        let total = |number| u32::from(number == 1);
        let mut table = filled(3, |number| Entry { reset: 10, total: total(number), ..Entry::default() });
        table.live(&key(2), 0).unwrap().unsent = 1;
        let counted = table.counted(0);
        assert!(counted.len() == 2 && counted.contains(&key(1)) && counted.contains(&key(2)));
        assert!(table.counted(10).is_empty());
    }

    #[test]
    fn a_sweep_gives_memory_back() {
        let mut table = filled(20_000, |number| Entry { reset: number as u64, ..Entry::default() });
        table.sweep(19_990);
        assert_eq!(table.len(), 9);
        assert!(table.entries.capacity() < 1024, "{}", table.entries.capacity());
    }
}
