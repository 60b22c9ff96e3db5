//! What is measured of the limiter. Never labelled by client.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::redis::{FailureKind, KindLabel};

/// Who decided what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Redis counted it within the limit.
    Allowed,
    /// Redis counted it beyond.
    DeniedRedis,
    /// The table knew that the client is over its limit.
    DeniedLocal,
    /// Redis is away; it is within this replica's share.
    AllowedFallback,
    /// Redis is away; the share is used up.
    DeniedFallback,
    /// Redis is away, and the settings say to refuse then.
    Unavailable,
}

const SOURCES: [Source; 6] = [
    Source::Allowed,
    Source::DeniedRedis,
    Source::DeniedLocal,
    Source::AllowedFallback,
    Source::DeniedFallback,
    Source::Unavailable,
];

impl EncodeLabelValue for Source {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::Allowed => "allowed",
            Self::DeniedRedis => "denied_redis",
            Self::DeniedLocal => "denied_local",
            Self::AllowedFallback => "allowed_fallback",
            Self::DeniedFallback => "denied_fallback",
            Self::Unavailable => "unavailable",
        };
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Source,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabel {
    cmd: &'static str,
}

/// How many items of each form a batch holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) plain: u64,
    pub(super) open: u64,
    pub(super) seed: u64,
    pub(super) mend: u64,
    pub(super) replace: u64,
}

/// A counter of commands, and how many of them a batch holds.
type CommandCounter = (Counter, fn(&Commands) -> u64);

/// The limiter's series. Counters of the hot path are looked up once.
pub(super) struct Metrics {
    decisions: [Counter; SOURCES.len()],
    pub(super) check: Histogram,
    pub(super) rtt: Histogram,
    commands: [CommandCounter; 6],
    pub(super) batch_hits: Histogram,
    pub(super) batch_keys: Histogram,
    pub(super) up: Gauge,
    pub(super) transitions: Counter,
    errors: Family<KindLabel, Counter>,
    pub(super) tracked: Gauge,
    pub(super) evicted: Counter,
    pub(super) window_lost: Counter,
    pub(super) regressed: Counter,
    pub(super) reconciled: Counter,
    pub(super) replicas: Gauge,
}

impl Metrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let decisions: Family<OutcomeLabel, Counter> = Family::default();
        let commands: Family<CommandLabel, Counter> = Family::default();
        let command = |cmd| commands.get_or_create_owned(&CommandLabel { cmd });
        let metrics = Self {
            decisions: SOURCES.map(|outcome| decisions.get_or_create_owned(&OutcomeLabel { outcome })),
            // 1 us to 65 ms: from an answer out of the table to one beyond the budget.
            check: Histogram::new(exponential_buckets(1e-6, 4.0, 9)),
            // 50 us to 51 ms.
            rtt: Histogram::new(exponential_buckets(5e-5, 2.0, 11)),
            commands: [
                (command("incrby"), |commands| commands.plain + commands.open + commands.seed),
                (command("multi"), |commands| commands.open),
                (command("exec"), |commands| commands.open),
                (command("set"), |commands| commands.seed + commands.replace),
                (command("pexpire"), |commands| commands.open + commands.seed + commands.mend),
                (command("pttl"), |commands| commands.open + commands.seed),
            ],
            // 1 to 1,024.
            batch_hits: Histogram::new(exponential_buckets(1.0, 4.0, 6)),
            batch_keys: Histogram::new(exponential_buckets(1.0, 4.0, 6)),
            up: Gauge::default(),
            transitions: Counter::default(),
            errors: Family::default(),
            tracked: Gauge::default(),
            evicted: Counter::default(),
            window_lost: Counter::default(),
            regressed: Counter::default(),
            reconciled: Counter::default(),
            replicas: Gauge::default(),
        };
        let m = &metrics;
        registry.register("ratelimit_decisions", "Requests decided, by who decided what", decisions);
        registry.register("ratelimit_check_seconds", "From a request to its decision", m.check.clone());
        registry.register("ratelimit_redis_rtt_seconds", "From a batch to its replies", m.rtt.clone());
        registry.register("ratelimit_redis_commands", "Commands sent to Redis", commands);
        registry.register("ratelimit_batch_hits", "Requests counted by one batch", m.batch_hits.clone());
        registry.register("ratelimit_batch_keys", "Clients counted by one batch", m.batch_keys.clone());
        registry.register("ratelimit_backend_up", "Whether the count is shared through Redis", m.up.clone());
        registry.register(
            "ratelimit_backend_transitions",
            "Changes between the shared and the local count",
            m.transitions.clone(),
        );
        registry.register(
            "ratelimit_backend_errors",
            "Batches that failed, and keys that held no count (kind `value`)",
            m.errors.clone(),
        );
        registry.register("ratelimit_tracked_keys", "Clients in the table", m.tracked.clone());
        registry.register("ratelimit_evicted", "Clients dropped for room", m.evicted.clone());
        registry.register("ratelimit_window_lost", "Windows that Redis lost", m.window_lost.clone());
        registry.register(
            "ratelimit_counts_regressed",
            "Counts that went down in Redis",
            m.regressed.clone(),
        );
        registry.register(
            "ratelimit_reconciled_hits",
            "Requests passed during an outage and reported to Redis after it",
            m.reconciled.clone(),
        );
        registry.register(
            "ratelimit_replicas",
            "Replicas that share a limit in an outage",
            m.replicas.clone(),
        );
        metrics
    }

    pub(super) fn decided(&self, source: Source) {
        if let Some(counter) = self.decisions.get(source as usize) {
            counter.inc();
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^53 requests")]
    pub(super) fn sent(&self, clients: usize, hits: u64, commands: &Commands) {
        self.batch_keys.observe(clients as f64);
        self.batch_hits.observe(hits as f64);
        for (counter, count) in &self.commands {
            let count = count(commands);
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        self.errors.get_or_create(&kind.label()).inc();
    }
}
