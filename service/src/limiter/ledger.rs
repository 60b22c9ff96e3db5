//! The limiter's state and all its decisions, under one lock that is never held while waiting. No IO and no clock: time
//! comes in as milliseconds since the limiter's start. Design: a fixed window per client, counted in Redis; see `batch`
//! for the commands, `settle` for the replies, `writer` for the order of things.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::batch::{Batch, Form, Item, Waiter, Waiters};
use super::metrics::Source;
use super::table::{Entry, Table};
use super::verdict::{Verdict, denied};
use super::{OnRedisFailure, Settings};
use crate::identity::Identity;

/// A window this close to its end may be over in Redis already, in milliseconds: the two clocks drift apart.
const NEAR_THE_END: u64 = 500;
/// Clients told to Redis in one batch after an outage: a few milliseconds of work, well within a batch's budget.
const SEEDS_AT_ONCE: usize = 512;
/// How long a replica that came back to Redis goes on deciding by itself, in milliseconds, while it tells Redis of each
/// request: until the others are back as well, who try again each 220 ms at the latest. Without that a quick replica would
/// give away what a slow one has already passed.
pub(super) const JOIN_AFTER: u64 = 230;
/// How long a replica passes no more than its share after Redis lost keys while it was up, in milliseconds: until the others
/// have noticed too, who look each second, and have put back what they know.
pub(super) const REFILL: u64 = 1300;
/// When to try again while the time is unknown, in milliseconds.
const TRY_AGAIN: u64 = 1000;

/// Where requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Redis has not been tried to its end: requests wait a little.
    Starting,
    /// Here.
    Away,
    /// Still here, while Redis is told what was counted.
    Merging,
    /// In Redis.
    Shared,
}

/// What is known of a request at once.
pub(super) enum Asked {
    /// All.
    Known(Verdict),
    /// It waits for Redis. `wake` tells that the writer sleeps.
    Sent { verdict: oneshot::Receiver<Verdict>, wake: bool },
    /// Redis has not been tried yet.
    NotYet,
}

/// Requests of one client that go with the next batch.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) form: Form,
    pub(super) reset: u64,
    pub(super) waiters: Waiters,
    pub(super) repair: u32,
}

/// A client whose count Redis lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repair {
    /// The last batch that was under way when the loss showed: later ones follow the repair.
    pub(super) until: u64,
    /// What those batches' replies lack.
    pub(super) deficit: u32,
}

/// The state of the limiter.
pub(super) struct Ledger {
    pub(super) limit: u32,
    pub(super) window: u64,
    fallback: OnRedisFailure,
    pub(super) replicas: u32,
    pub(super) mode: Mode,
    /// When the count may be shared again.
    join_at: u64,
    /// Counts the outages; an allowance lasts for one.
    pub(super) outage: u32,
    pub(super) table: Table,
    pub(super) pending: HashMap<Identity, Pending>,
    /// Clients that Redis is still to be told of.
    pub(super) seeds: Vec<Identity>,
    /// Clients with a count under way when Redis was lost. Should it arrive after the window's end, it makes a key that
    /// never ends; see [`Form::Mend`].
    doubtful: Vec<Identity>,
    /// Whether a batch of either is under way.
    pub(super) seeding: bool,
    /// Clients whose key holds something else than a count; it is replaced with the next batch, before all others.
    pub(super) broken: Vec<Identity>,
    /// Clients whose count Redis lost, and until when another replica may put back more.
    pub(super) lost: HashMap<Identity, u64>,
    /// The same for all clients: Redis lost all its keys.
    refilled: u64,
    pub(super) repairs: HashMap<Identity, Repair>,
    /// The last batch.
    pub(super) number: u64,
}

impl Ledger {
    pub(super) fn new(settings: &Settings, most_clients: usize) -> Self {
        Self {
            limit: settings.requests,
            window: u64::try_from(settings.window.as_millis()).unwrap_or(u64::MAX).max(1),
            fallback: settings.on_redis_failure,
            replicas: settings.replicas.max(1),
            mode: Mode::Starting,
            join_at: 0,
            outage: 1,
            table: Table::new(most_clients),
            pending: HashMap::new(),
            seeds: Vec::new(),
            doubtful: Vec::new(),
            seeding: false,
            broken: Vec::new(),
            lost: HashMap::new(),
            refilled: 0,
            repairs: HashMap::new(),
            number: 0,
        }
    }

    /// Decides a request, or puts it with those that go to Redis next.
    pub(super) fn ask(&mut self, client: &Identity, now: u64) -> Asked {
        let known = self.table.known(client, now);
        if let Some(entry) = known
            && entry.total >= self.limit
        {
            return Asked::Known(denied(Source::DeniedLocal, entry.reset - now));
        }
        match self.mode {
            Mode::Starting => return Asked::NotYet,
            Mode::Away | Mode::Merging => return Asked::Known(self.locally(client, now)),
            Mode::Shared => {}
        }
        let (sender, verdict) = oneshot::channel();
        let wake = self.pending.is_empty();
        if let Some(pending) = self.pending.get_mut(client) {
            pending.waiters.push(sender);
        } else {
            let reset = known.map_or(0, |entry| entry.reset);
            let far = reset > now.saturating_add(NEAR_THE_END);
            let form = if far { Form::Plain } else { Form::Open { ttl: self.window } };
            let pending = Pending { form, reset, waiters: Waiters::from([sender]), repair: 0 };
            self.pending.insert(client.clone(), pending);
        }
        Asked::Sent { verdict, wake }
    }

    /// Decides a request without Redis.
    pub(super) fn locally(&mut self, client: &Identity, now: u64) -> Verdict {
        if let Some(entry) = self.table.live(client, now)
            && entry.total >= self.limit
        {
            return denied(Source::DeniedLocal, entry.reset - now);
        }
        if self.fallback == OnRedisFailure::Closed {
            return Verdict { source: Source::Unavailable, remaining: 0, left: TRY_AGAIN };
        }
        let (limit, outage, replicas, window) = (self.limit, self.outage, self.replicas, self.window);
        let entry = self.table.entry(client, now);
        if entry.reset <= now {
            *entry = Entry { reset: now.saturating_add(window), ..Entry::default() };
        }
        let left = entry.reset - now;
        let free = limit.saturating_sub(entry.total.saturating_add(entry.unsent));
        entry.share(outage, free, replicas);
        let remaining = match self.fallback {
            OnRedisFailure::Open => free.saturating_sub(1),
            _ if free == 0 || entry.allowance == 0 => return denied(Source::DeniedFallback, left),
            _ => {
                entry.allowance -= 1;
                entry.allowance.min(free - 1)
            }
        };
        entry.unsent = entry.unsent.saturating_add(1);
        if matches!(self.mode, Mode::Merging | Mode::Shared) && entry.unsent == 1 {
            self.seeds.push(client.clone());
        }
        Verdict { source: Source::AllowedFallback, remaining, left }
    }

    /// Whether Redis may lack counts of this client that another replica is to put back.
    pub(super) fn is_in_doubt(&self, client: &Identity, now: u64) -> bool {
        let lost = !self.lost.is_empty() && self.lost.get(client).is_some_and(|until| *until > now);
        lost || self.refilled > now
    }

    /// Redis lost its keys while it was up. Each replica has some of the counts, so each passes no more than its share
    /// until all have restored their counts. A single replica has all of them.
    pub(super) fn refill(&mut self, now: u64) {
        if self.mode == Mode::Shared && self.replicas > 1 {
            self.outage = self.outage.wrapping_add(1).max(1);
            self.refilled = now.saturating_add(REFILL);
            // Whose loss showed before has its share already.
            for client in self.lost.keys() {
                if let Some(entry) = self.table.live(client, now) {
                    entry.outage = self.outage;
                }
            }
        }
        self.resend_all(now);
    }

    /// Redis is back, or has lost its keys: it gets the counts of all clients. After an outage requests are decided here
    /// until that is done, and for [`JOIN_AFTER`].
    pub(super) fn resend_all(&mut self, now: u64) {
        match self.mode {
            Mode::Starting => (self.mode, self.join_at) = (Mode::Merging, now),
            Mode::Away => (self.mode, self.join_at) = (Mode::Merging, now.saturating_add(JOIN_AFTER)),
            Mode::Merging | Mode::Shared => {}
        }
        self.seeds = self.table.counted(now);
    }

    /// Whether there is something to send now.
    pub(super) fn has_work(&self, now: u64) -> bool {
        let joins = self.mode == Mode::Merging && now >= self.join_at;
        !self.pending.is_empty() || !self.broken.is_empty() || (!self.seeding && (joins || self.tells()))
    }

    /// Whether a request that was decided here is still to be sent.
    pub(super) fn is_due(&self, now: u64) -> bool {
        match self.mode {
            Mode::Starting | Mode::Away => false,
            Mode::Merging => self.has_work(now),
            Mode::Shared => !self.seeding && !self.seeds.is_empty(),
        }
    }

    /// Whether counts are still to be sent to Redis.
    fn tells(&self) -> bool {
        !self.seeds.is_empty() || !self.doubtful.is_empty()
    }

    /// Puts the next batch together. The one with the last clients ends the outage: from then on requests are
    /// counted behind them, in order.
    pub(super) fn next_batch(&mut self, now: u64) -> Option<Batch> {
        if matches!(self.mode, Mode::Starting | Mode::Away) {
            return None;
        }
        let mut items = Vec::with_capacity(self.pending.len());
        for key in std::mem::take(&mut self.broken) {
            items.push(self.replace(key, now));
        }
        let seeding = !self.seeding && self.tells();
        if !self.seeding {
            for key in portion(&mut self.seeds) {
                items.extend(self.seed(key, now));
            }
            for key in portion(&mut self.doubtful) {
                items.extend(self.mend(key, now));
            }
            if self.mode == Mode::Merging && !self.tells() && now >= self.join_at {
                self.mode = Mode::Shared;
            }
        }
        for (key, Pending { form, reset, waiters, repair }) in self.pending.drain() {
            items.push(Item { key, form, reset, waiters, unsent: 0, repair });
        }
        if items.is_empty() {
            return None;
        }
        self.seeding |= seeding;
        self.number += 1;
        Some(Batch { number: self.number, sent: now, items, seeding })
    }

    fn seed(&mut self, key: Identity, now: u64) -> Option<Item> {
        let entry = self.table.live(&key, now)?;
        let unsent = std::mem::take(&mut entry.unsent);
        let form = Form::Seed { total: entry.total, ttl: entry.reset - now };
        Some(Item { form, reset: entry.reset, waiters: Waiters::new(), unsent, repair: 0, key })
    }

    /// What is known here is all that is left of the count, hits that were not sent to Redis yet included.
    fn replace(&mut self, key: Identity, now: u64) -> Item {
        let window = self.window;
        let entry = self.table.entry(&key, now);
        if entry.reset <= now {
            *entry = Entry { reset: now.saturating_add(window), ..Entry::default() };
        }
        entry.total = entry.total.saturating_add(std::mem::take(&mut entry.unsent));
        let (reset, form) = (entry.reset, Form::Replace { total: entry.total, ttl: entry.reset - now });
        Item { key, form, reset, waiters: Waiters::new(), unsent: 0, repair: 0 }
    }

    fn mend(&mut self, key: Identity, now: u64) -> Option<Item> {
        // A seed says when the key of a known window ends.
        let form = Form::Mend { ttl: self.window };
        let known = self.table.live(&key, now).is_some();
        (!known).then(|| Item { key, form, reset: 0, waiters: Waiters::new(), unsent: 0, repair: 0 })
    }

    /// Redis is away: requests are counted here. What was under way comes back in `batches`; whether Redis counted it is
    /// unknown, so it is not sent again. To drop what this returns makes the waiting requests ask [`Ledger::locally`].
    pub(super) fn lose(&mut self, batches: &mut dyn Iterator<Item = Batch>, now: u64) -> Vec<Waiter> {
        if self.mode == Mode::Shared {
            self.outage = self.outage.wrapping_add(1).max(1);
        }
        self.mode = Mode::Away;
        self.seeds.clear();
        self.broken.clear();
        self.lost.clear();
        self.seeding = false;
        self.repairs.clear();
        let mut waiters: Vec<Waiter> = Vec::new();
        for item in batches.flat_map(|batch| batch.items) {
            if let Some(entry) = self.table.live(&item.key, now) {
                // Passed here for certain, so the total is at least that: Redis is raised to it when it is back.
                entry.total = entry.total.saturating_add(item.unsent);
            }
            waiters.extend(item.waiters);
            if item.form == Form::Plain {
                self.doubtful.push(item.key);
            }
        }
        waiters.extend(self.pending.drain().flat_map(|(_, pending)| pending.waiters));
        waiters
    }

    /// Drops what is over.
    pub(super) fn sweep(&mut self, now: u64) {
        self.table.sweep(now);
        self.lost.retain(|_, until| *until > now);
    }
}

/// Takes what one batch may hold.
fn portion(keys: &mut Vec<Identity>) -> Vec<Identity> {
    keys.split_off(keys.len().saturating_sub(SEEDS_AT_ONCE))
}
