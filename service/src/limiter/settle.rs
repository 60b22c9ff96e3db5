//! What Redis's replies mean: an ordinal for each waiting request, and now and then that Redis has lost data.
//! Batches are settled in the order in which they were sent, which is the order in which Redis ran them.

use redis::Value;

use super::batch::{self, Batch, Form, Item, Reply, Waiters};
use super::ledger::{Ledger, Mode, Pending, REFILL, Repair};
use super::metrics::Source;
use super::table::Entry;
use super::verdict::{Verdict, denied};
use crate::identity::Identity;
use crate::redis::FailureKind;

/// What a settled batch showed, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Clients whose key was gone.
    pub(super) windows_lost: u64,
    /// Clients whose count had gone down.
    pub(super) regressed: u64,
    /// Clients whose key held something else than a count.
    pub(super) broken: u64,
    /// Requests of an outage that Redis knows now.
    pub(super) reconciled: u64,
    /// Why some of it failed; those requests are to be answered from the table.
    pub(super) failed: Option<FailureKind>,
}

impl Ledger {
    /// Answers the waiting requests of a batch, and notes what Redis said.
    pub(super) fn settle(&mut self, batch: Batch, values: Vec<Value>, now: u64) -> (Settled, Vec<Item>) {
        let (mut settled, mut failed) = (Settled::default(), Vec::new());
        let mut values = values.into_iter();
        if batch.seeding {
            self.seeding = false;
        }
        for item in batch.items {
            match batch::read(item.form, &mut values) {
                Ok(_) if matches!(item.form, Form::Mend { .. } | Form::Replace { .. }) => {}
                // A count below what was just added to it was none before.
                Ok(reply) if u64::try_from(reply.total).is_ok_and(|total| total >= item.amount()) => {
                    self.settle_item(item, reply, batch.number, batch.sent, now, &mut settled);
                }
                Ok(_) | Err(FailureKind::Value) => {
                    settled.broken += 1;
                    self.break_off(item, batch.number, now);
                }
                Err(kind) => {
                    settled.failed.get_or_insert(kind);
                    failed.push(item);
                }
            }
        }
        if !self.repairs.is_empty() {
            self.repairs.retain(|_, repair| repair.until > batch.number);
        }
        (settled, failed)
    }

    fn settle_item(
        &mut self,
        item: Item,
        reply: Reply,
        number: u64,
        sent: u64,
        now: u64,
        settled: &mut Settled,
    ) {
        let hits = item.hits();
        let raised = self.repairs.get(&item.key).filter(|repair| repair.until >= number);
        let raised = raised.map_or(0, |repair| repair.deficit);
        let mut total = u64::try_from(reply.total).unwrap_or(0) + u64::from(raised);
        // A longer time to live comes from another clock than the one that set it.
        let reset = reply.ttl.map_or(item.reset, |ttl| sent.saturating_add(ttl.min(self.window)));

        // A window that is known stays the same until its end, and a count in it never goes down, unless data is lost.
        let opens = matches!(item.form, Form::Open { .. }) && item.repair == 0;
        let known = self.table.live(&item.key, now).map_or(0, |entry| u64::from(entry.total));
        let before = total.saturating_sub(hits);
        if !opens && before < known {
            let deficit = known - before;
            total += deficit;
            *(if before == 0 { &mut settled.windows_lost } else { &mut settled.regressed }) += 1;
            self.repair(&item, u32::try_from(deficit).unwrap_or(u32::MAX), raised, reset, now);
            self.doubt(&item.key, known, now);
        }
        // While counts are missing in Redis, an ordinal may lack what the others counted.
        let shares = self.is_in_doubt(&item.key, now);
        let (limit, outage, replicas) = (self.limit, self.outage, self.replicas);
        settled.windows_lost += u64::from(reply.seeded);
        settled.reconciled += u64::from(item.unsent);

        let entry = self.table.entry(&item.key, now);
        if entry.reset <= now {
            *entry = Entry::default();
        }
        if shares && !item.waiters.is_empty() {
            let known = u32::try_from(known).unwrap_or(u32::MAX);
            entry.share(outage, limit.saturating_sub(known), replicas);
        }
        entry.total = u32::try_from(total).unwrap_or(u32::MAX);
        entry.reset = reset;
        let left = reset.saturating_sub(now);
        let mut ordinal = total.saturating_sub(item.waiters.len() as u64);
        for waiter in item.waiters {
            ordinal += 1;
            let verdict = match u64::from(limit).checked_sub(ordinal) {
                Some(_) if shares && entry.allowance == 0 => denied(Source::DeniedFallback, left),
                Some(rest) => {
                    entry.allowance = entry.allowance.saturating_sub(u32::from(shares));
                    let remaining = u32::try_from(rest).unwrap_or(limit);
                    Verdict { source: Source::Allowed, remaining, left }
                }
                None => denied(Source::DeniedRedis, left),
            };
            // A client that has left costs its hit.
            let _ = waiter.send(verdict);
        }
    }

    /// The key is replaced; those who wait are answered from the table, like all that this replica decides by itself.
    fn break_off(&mut self, item: Item, number: u64, now: u64) {
        if let Some(entry) = self.table.live(&item.key, now) {
            // Passed here and not counted, so the replacement holds it.
            entry.total = entry.total.saturating_add(item.unsent);
        }
        let known = self.table.live(&item.key, now).map_or(0, |entry| entry.total);
        self.doubt(&item.key, known.into(), now);
        // Those that were sent before the replacement fail as well, and need no second one.
        if self.repairs.get(&item.key).is_none_or(|repair| repair.until < number) {
            self.repairs.insert(item.key.clone(), Repair { until: self.number, deficit: 0 });
            self.broken.push(item.key);
        }
    }

    /// Until the other replicas have put back what they know, this one passes no more than its share of what is left.
    fn doubt(&mut self, client: &Identity, known: u64, now: u64) {
        if self.mode != Mode::Shared || self.replicas < 2 {
            return;
        }
        if !self.is_in_doubt(client, now) {
            let (limit, replicas, outage) = (self.limit, self.replicas, self.outage);
            let entry = self.table.entry(client, now);
            // Whatever an outage before left.
            entry.outage = outage.wrapping_sub(1);
            entry.share(outage, limit.saturating_sub(u32::try_from(known).unwrap_or(u32::MAX)), replicas);
        }
        self.lost.insert(client.clone(), now.saturating_add(REFILL));
    }

    /// Puts back what Redis lost, with the next batch; the replies to those under way are raised by it until then.
    fn repair(&mut self, item: &Item, deficit: u32, raised: u32, reset: u64, now: u64) {
        let repair = Repair { until: self.number, deficit: raised.saturating_add(deficit) };
        self.repairs.insert(item.key.clone(), repair);
        let ttl = reset.saturating_sub(now).max(1);
        let pending = self.pending.entry(item.key.clone()).or_insert_with(|| Pending {
            form: Form::Plain,
            reset,
            waiters: Waiters::new(),
            repair: 0,
        });
        pending.form = Form::Open { ttl };
        pending.repair = pending.repair.saturating_add(deficit);
    }
}
