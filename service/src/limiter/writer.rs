//! The task between the ledger and Redis: sends what waits, settles replies in order, follows Redis through its outages.
//!
//! A batch is put together after one turn of the scheduler, so that requests which arrive together are counted together,
//! and never waits for the one before it. The first failure ends the session: all that is under way is answered from the
//! table, and no request meets Redis again before the keeper has made another connection and it was told what was
//! counted here. An `INCRBY` whose fate is unknown is never sent again.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use redis::{Pipeline, RedisError, Value};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Shared;
use super::batch::{Batch, Item};
use super::ledger::{JOIN_AFTER, Mode};
use crate::redis::{Connection, FailureKind, Link, Redis, Session};

/// How often clients whose windows are over are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Runs until told to stop.
pub(super) async fn run(shared: Arc<Shared>, redis: Redis) {
    let link = redis.link();
    let mut writer =
        Writer { shared: shared.clone(), redis, session: None, joins: false, sent: VecDeque::new() };
    shared.stop.run_until_cancelled(writer.forever(link)).await;
    writer.lose();
}

/// A batch under way.
struct Sent {
    batch: Batch,
    at: Instant,
}

struct Writer {
    shared: Arc<Shared>,
    redis: Redis,
    session: Option<Session>,
    /// Whether the count will be shared again when the others are back too.
    joins: bool,
    /// In the order of their replies.
    sent: VecDeque<Sent>,
}

impl Writer {
    async fn forever(&mut self, mut link: watch::Receiver<Link>) {
        let mut replies = FuturesOrdered::new();
        let mut replicas = self.redis.replicas();
        replicas.mark_changed();
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let join_after = Duration::from_millis(JOIN_AFTER);
        let mut join = pin!(sleep(join_after));
        link.mark_changed();
        loop {
            tokio::select! {
                biased;
                changed = link.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = link.borrow_and_update().clone();
                    self.follow(now);
                    join.as_mut().reset(tokio::time::Instant::now() + join_after);
                }
                // The sender lives as long as that of the link.
                Ok(()) = replicas.changed() => {
                    let count = *replicas.borrow_and_update();
                    if count.settled || count.replicas > self.shared.ledger().replicas {
                        self.shared.set_replicas(count.replicas);
                    }
                }
                Some(reply) = replies.next(), if !replies.is_empty() => self.settle(reply),
                () = self.shared.wake.notified() => {
                    // Whoever is ready to run now joins the batch.
                    yield_now().await;
                    if let Some((connection, pipe)) = self.write() {
                        replies.push_back(send(connection, pipe));
                    }
                }
                () = &mut join, if self.joins => {
                    self.joins = false;
                    self.shared.wake.notify_one();
                }
                _ = sweep.tick() => self.shared.sweep(),
            }
            // They go in step, but for a session that was lost with all that was under way.
            if self.sent.is_empty() && !replies.is_empty() {
                replies = FuturesOrdered::new();
            }
        }
    }

    /// Goes along with the connection.
    fn follow(&mut self, link: Link) {
        match link {
            Link::Starting => {}
            Link::Down(why) => {
                let known = self.shared.settled.send_replace(true);
                if self.lose() || !known {
                    tracing::warn!(error = why, "Redis is unavailable: {}", self.shared.fallback_in_words());
                }
            }
            Link::Up(session) => {
                let current = self.session.as_ref().map(|current| current.id);
                if current.is_some_and(|id| id != session.id) {
                    self.lose();
                }
                // The same connection again: Redis has lost its keys while it was up.
                let refills = current == Some(session.id);
                self.session = Some(session);
                self.joins = true;
                let now = self.shared.now();
                let mut ledger = self.shared.ledger();
                if refills {
                    ledger.refill(now);
                } else {
                    ledger.resend_all(now);
                }
                self.shared.wake.notify_one();
            }
        }
    }

    /// The next batch's commands, if there is something to send.
    fn write(&mut self) -> Option<(Connection, Pipeline)> {
        let session = self.session.as_ref()?;
        let now = self.shared.now();
        let (batch, joined) = {
            let mut ledger = self.shared.ledger();
            let before = ledger.mode;
            let batch = ledger.next_batch(now);
            (batch, before == Mode::Merging && ledger.mode == Mode::Shared)
        };
        if joined {
            self.shared.metrics.up.set(1);
            self.shared.metrics.transitions.inc();
            self.shared.settled.send_replace(true);
            tracing::info!("Redis rate limiter connected");
        }
        let batch = batch?;
        let metrics = &self.shared.metrics;
        metrics.sent(batch.items.len(), batch.items.iter().map(Item::hits).sum(), &batch.commands());
        let pipe = batch.pipeline(&self.shared.key_prefix);
        self.sent.push_back(Sent { batch, at: Instant::now() });
        Some((session.connection.clone(), pipe))
    }

    /// Settles the oldest batch under way.
    fn settle(&mut self, reply: Result<Vec<Value>, RedisError>) {
        let values = match reply {
            Ok(values) => values,
            Err(error) => return self.fail(FailureKind::of(&error)),
        };
        let Some(Sent { batch, at }) = self.sent.pop_front() else { return };
        self.shared.metrics.rtt.observe(at.elapsed().as_secs_f64());
        let now = self.shared.now();
        let (number, sent) = (batch.number, batch.sent);
        let (settled, failed) = {
            let mut ledger = self.shared.ledger();
            let outcome = ledger.settle(batch, values, now);
            if ledger.has_work(now) {
                self.shared.wake.notify_one();
            }
            self.shared.measure(&mut ledger);
            outcome
        };
        let metrics = &self.shared.metrics;
        metrics.window_lost.inc_by(settled.windows_lost);
        metrics.regressed.inc_by(settled.regressed);
        metrics.reconciled.inc_by(settled.reconciled);
        if settled.windows_lost > 0 {
            self.redis.look();
        }
        if settled.broken > 0 {
            metrics.failed(FailureKind::Value);
            tracing::warn!(
                keys = settled.broken,
                "keys of the rate limiter held no count; they are replaced"
            );
        }
        if let Some(kind) = settled.failed {
            let batch = Batch { number, sent, items: failed, seeding: false };
            self.sent.push_front(Sent { batch, at });
            self.fail(kind);
        }
    }

    /// A batch failed: the session is over.
    fn fail(&mut self, kind: FailureKind) {
        self.shared.metrics.failed(kind);
        let Some(id) = self.session.as_ref().map(|session| session.id) else { return };
        if self.lose() {
            tracing::warn!(error = %kind, "Redis is unavailable: {}", self.shared.fallback_in_words());
        }
        self.redis.session_failed(id, kind);
    }

    /// Counts here from now on; whoever waits is answered at once. Says whether the count was shared before.
    fn lose(&mut self) -> bool {
        self.session = None;
        let now = self.shared.now();
        let (waiters, shared) = {
            let mut ledger = self.shared.ledger();
            let shared = ledger.mode == Mode::Shared;
            (ledger.lose(&mut self.sent.drain(..).map(|sent| sent.batch), now), shared)
        };
        if shared {
            self.shared.metrics.up.set(0);
            self.shared.metrics.transitions.inc();
        }
        drop(waiters);
        shared
    }
}

/// One write and its replies, in time.
async fn send(mut connection: Connection, pipe: Pipeline) -> Result<Vec<Value>, RedisError> {
    connection.send(&pipe).await
}
