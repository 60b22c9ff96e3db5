//! Answers kept in Redis for a while. A dead Redis only means misses.
//!
//! All entries belong to a generation, a random token that each write replaces. An entry is stored with the generation
//! that was read before the database was, so that a reader who raced with a write stores what nobody will take. A token
//! that could not be replaced, since Redis was away or late, is replaced as soon as Redis answers; until then, and never
//! longer than an entry lives, other replicas may answer with what was true before the write. Each new connection replaces
//! it too: a crash of Redis or of a replica may have taken a replacement with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use redis::{Cmd, RedisError, cmd};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::redis::{self as store, FailureKind, Link, Redis};

/// Upper bounds of the duration of a look-up, in seconds; after 50 ms it is given up.
const BOUNDS: [f64; 9] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05];

/// A cache for the items.
#[derive(Clone)]
pub struct Cache {
    entries: Entries,
    /// By [`CacheOutcome`]: looked up once.
    requests: [Counter; OUTCOMES.len()],
    look_ups: Histogram,
    /// A write could not be made known.
    owed: Arc<Notify>,
    _repair: Arc<AbortOnDropHandle<()>>,
}

/// The entries in Redis.
#[derive(Clone)]
struct Entries {
    redis: Redis,
    ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: CacheOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the values of the label")]
enum CacheOutcome {
    hit,
    miss,
    bypass,
}

const OUTCOMES: [CacheOutcome; 3] = [CacheOutcome::hit, CacheOutcome::miss, CacheOutcome::bypass];

/// What the cache knows of a key.
pub enum Found {
    /// The answer.
    Hit(Bytes),
    /// Nothing; the token stores an answer that was made after this.
    Miss(Token),
}

/// The right to store an answer that was read after the token was given.
pub struct Token(Option<Vec<u8>>);

impl Cache {
    /// A cache whose entries live for `ttl`. Must be called on a tokio runtime.
    pub fn new(redis: Redis, ttl: Duration, registry: &mut Registry) -> Self {
        let requests: Family<OutcomeLabels, Counter> = Family::default();
        let counters = OUTCOMES.map(|outcome| requests.get_or_create_owned(&OutcomeLabels { outcome }));
        registry.register("cache_requests", "Reads that the cache could answer, or not", requests);
        let look_ups = Histogram::new(BOUNDS);
        let help = "From a look-up to the reply of Redis, or to its failure";
        registry.register_with_unit("cache_lookup", help, Unit::Seconds, look_ups.clone());
        let (entries, owed) = (Entries { redis, ttl }, Arc::new(Notify::new()));
        let repair = tokio::spawn(repair(entries.clone(), owed.clone()));
        let repair = Arc::new(AbortOnDropHandle::new(repair));
        Self { entries, requests: counters, look_ups, owed, _repair: repair }
    }

    /// Looks a key up.
    pub async fn get(&self, key: &str) -> Found {
        let began = Instant::now();
        let reply = self.entries.look_up(key).await;
        // Without a connection there was no look-up.
        if reply.is_some() {
            self.look_ups.observe(began.elapsed().as_secs_f64());
        }
        let (found, outcome) = match reply {
            Some(Ok((Some(generation), Some(entry)))) => match entry_of(&generation, &entry) {
                Some(answer) => (Found::Hit(answer), CacheOutcome::hit),
                None => (Found::Miss(Token(Some(generation))), CacheOutcome::miss),
            },
            Some(Ok((generation, _))) => (Found::Miss(Token(generation)), CacheOutcome::miss),
            Some(Err(error)) => {
                self.entries.redis.failed(FailureKind::of(&error));
                (Found::Miss(Token(None)), CacheOutcome::bypass)
            }
            None => (Found::Miss(Token(None)), CacheOutcome::bypass),
        };
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.inc();
        }
        found
    }

    /// Stores an answer.
    pub async fn put(&self, key: &str, Token(generation): Token, answer: &[u8]) {
        let Some(generation) = generation else {
            // No write since Redis was empty: the next reader finds a generation.
            self.entries.begin().await;
            return;
        };
        self.entries.store(key, generation, answer).await;
    }

    /// Forgets everything: something was written.
    pub async fn invalidate(&self) {
        if !self.entries.renew().await {
            self.owed.notify_one();
        }
    }
}

/// Makes writes known that could not be made known at once, and forgets all at each new connection: a Redis that was
/// restarted may have lost the last tokens, and a replica that was killed what it owed. After the life of an entry nothing
/// is left to forget.
async fn repair(entries: Entries, owed: Arc<Notify>) {
    let mut link = entries.redis.link();
    link.mark_changed();
    loop {
        tokio::select! {
            () = owed.notified() => {}
            changed = link.changed() => {
                if changed.is_err() {
                    return; // The keeper is gone, which outlives the cache.
                }
                if !matches!(*link.borrow_and_update(), Link::Up(_)) {
                    continue;
                }
            }
        }
        let late = async {
            while link.wait_for(|link| matches!(link, Link::Up(_))).await.is_ok() {
                if entries.renew().await {
                    return;
                }
            }
        };
        // A time-out is the end of every entry that was there before.
        let _ = timeout(entries.ttl, late).await;
    }
}

impl Entries {
    async fn store(&self, key: &str, generation: Vec<u8>, answer: &[u8]) {
        let Some(mut connection) = self.redis.connection() else { return };
        let mut entry = generation;
        entry.push(b'\n');
        entry.extend_from_slice(answer);
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("SET");
        command.arg(self.key(key)).arg(entry).arg("PX").arg(ttl);
        self.judge(&command.query_async::<()>(&mut connection).await);
    }

    /// Sets a generation where a reader found none. Where one is all the same, the key holds another type, or another
    /// reader was first, who loses no more than an entry.
    async fn begin(&self) {
        let Some(mut connection) = self.redis.connection() else { return };
        let set = self.generation().arg("NX").query_async::<Option<String>>(&mut connection).await;
        if self.judge(&set) && matches!(set, Ok(None)) {
            self.renew().await;
        }
    }

    /// Replaces the generation, and reports whether Redis said that it did.
    async fn renew(&self) -> bool {
        let Some(mut connection) = self.redis.connection() else { return false };
        self.judge(&self.generation().query_async::<()>(&mut connection).await)
    }

    fn generation(&self) -> Cmd {
        let mut command = cmd("SET");
        command.arg(self.key("generation")).arg(store::random());
        command
    }

    async fn look_up(&self, key: &str) -> Option<Result<(Option<Vec<u8>>, Option<Vec<u8>>), RedisError>> {
        let mut connection = self.redis.connection()?;
        Some(cmd("MGET").arg(self.key("generation")).arg(self.key(key)).query_async(&mut connection).await)
    }

    fn key(&self, key: &str) -> String {
        format!("{}cache:items:{key}", self.redis.key_prefix())
    }

    fn judge<T>(&self, outcome: &Result<T, RedisError>) -> bool {
        if let Err(error) = outcome {
            self.redis.failed(FailureKind::of(error));
        }
        outcome.is_ok()
    }
}

fn entry_of(generation: &[u8], entry: &[u8]) -> Option<Bytes> {
    let answer = entry.strip_prefix(generation)?.strip_prefix(b"\n")?;
    Some(Bytes::copy_from_slice(answer))
}
