//! What one replica reports at one moment, from the text of its metrics. Pure.

use anyhow::{Result, ensure};

use super::exposition::samples;
use super::names;
use crate::float;

/// Buckets of a duration histogram; the last one has no upper bound.
pub(super) const BUCKETS: usize = names::BOUNDS_MS.len() + 1;

/// What counters had reached, and what gauges show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// When the process started, in seconds since 1970.
    pub(super) started: f64,
    pub(super) totals: Totals,
    /// Resident memory in bytes; `None` where the system does not report it, as all gauges.
    pub(super) memory: Option<u64>,
    pub(super) pool: Option<Pool>,
    /// Whether the limit is counted in Redis; `None` with the limit off.
    pub(super) limit_shared: Option<bool>,
    pub(super) mongodb_up: Option<bool>,
    pub(super) redis_up: Option<bool>,
    pub(super) app_up: Option<bool>,
}

/// Counters since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) ok: u64,
    /// Refused by the limit: 429.
    pub(super) limited: u64,
    /// 5xx.
    pub(super) failed: u64,
    pub(super) cpu_micros: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// Requests by duration, without refusals where the service separates them.
    pub(super) buckets: [u64; BUCKETS],
}

/// A connection pool to MongoDB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) in_use: u64,
    pub(super) open: u64,
    pub(super) max: u64,
}

impl Totals {
    /// All counters, to compare and subtract them.
    fn each(&self) -> impl Iterator<Item = u64> + '_ {
        let counters = [self.ok, self.limited, self.failed, self.cpu_micros, self.hits, self.misses];
        counters.into_iter().chain(self.buckets)
    }

    /// What was counted since `before`; `None` when a counter fell, so that it began again.
    pub(super) fn since(&self, before: &Self) -> Option<Self> {
        if self.each().zip(before.each()).any(|(now, before)| now < before) {
            return None;
        }
        let mut buckets = self.buckets;
        for (now, before) in buckets.iter_mut().zip(before.buckets) {
            *now -= before;
        }
        Some(Self {
            ok: self.ok - before.ok,
            limited: self.limited - before.limited,
            failed: self.failed - before.failed,
            cpu_micros: self.cpu_micros - before.cpu_micros,
            hits: self.hits - before.hits,
            misses: self.misses - before.misses,
            buckets,
        })
    }
}

impl Reading {
    /// Reads the text of `/metrics`.
    ///
    /// # Errors
    /// When it has none of our metrics.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut reading = Self::default();
        let mut bounds: Vec<(f64, u64)> = Vec::new();
        let mut pool = Pool::default();
        let mut is_ours = false;
        for sample in samples(text, is_read) {
            let value = sample.value;
            let whole = float::to_u64(value);
            is_ours = true;
            match sample.name {
                names::STARTED => reading.started = value,
                names::REQUESTS => {
                    let status = sample.label(names::STATUS).unwrap_or_default();
                    let count = match status {
                        "429" => &mut reading.totals.limited,
                        _ if status.starts_with('5') => &mut reading.totals.failed,
                        _ => &mut reading.totals.ok,
                    };
                    *count += whole;
                }
                names::DURATIONS => {
                    if sample.label(names::OUTCOME) == Some(names::OUTCOME_LIMITED) {
                        continue;
                    }
                    let bound = sample.label(names::BOUND).and_then(|bound| bound.parse::<f64>().ok());
                    let Some(bound) = bound.filter(|bound| !bound.is_nan()) else { continue };
                    match bounds.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                        Some((_, count)) => *count += whole,
                        None => bounds.push((bound, whole)),
                    }
                }
                names::CPU => reading.totals.cpu_micros = float::to_u64(value * 1e6),
                names::MEMORY => reading.memory = Some(whole).filter(|bytes| *bytes > 0),
                names::LIMIT_SHARED => reading.limit_shared = Some(whole > 0),
                names::POOL_IN_USE => pool.in_use = whole,
                names::POOL_OPEN => pool.open = whole,
                names::POOL_MAX => pool.max = whole,
                names::CACHE => match sample.label(names::OUTCOME) {
                    Some(names::OUTCOME_HIT) => reading.totals.hits += whole,
                    Some(names::OUTCOME_MISS) => reading.totals.misses += whole,
                    _ => {}
                },
                names::APP_UP => reading.app_up = Some(whole > 0),
                names::MONGODB_UP => reading.mongodb_up = Some(whole > 0),
                names::REDIS_UP => reading.redis_up = Some(whole > 0),
                _ => {}
            }
        }
        ensure!(is_ours, "the text has no metrics of appforge");
        reading.pool = Some(pool).filter(|pool| pool.max > 0);
        reading.totals.buckets = apart(bounds);
        Ok(reading)
    }
}

fn is_read(name: &str) -> bool {
    const READ: [&str; 13] = [
        names::REQUESTS,
        names::DURATIONS,
        names::CPU,
        names::MEMORY,
        names::STARTED,
        names::LIMIT_SHARED,
        names::POOL_IN_USE,
        names::POOL_OPEN,
        names::POOL_MAX,
        names::CACHE,
        names::APP_UP,
        names::MONGODB_UP,
        names::REDIS_UP,
    ];
    READ.contains(&name)
}

/// Counts up to each bound (in seconds) -> counts between the bounds that histories keep.
fn apart(mut bounds: Vec<(f64, u64)>) -> [u64; BUCKETS] {
    bounds.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut buckets = [0; BUCKETS];
    let mut below = 0;
    for (bound, count) in bounds {
        // A scrape is not one moment: a bound may have missed what the one below it counted.
        let between = count.saturating_sub(below);
        below = below.max(count);
        // 0.3 * 1000.0 is a little more than 300.
        let kept = names::BOUNDS_MS.iter().position(|kept| bound * 1000.0 <= f64::from(*kept) + 1e-6);
        if let Some(bucket) = buckets.get_mut(kept.unwrap_or(BUCKETS - 1)) {
            *bucket += between;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "process_start_time_seconds 1700000000\nprocess_cpu_seconds_total 1.5\n\
        process_resident_memory_bytes 1048576\nratelimit_backend_up 0\nredis_client_up 0\nmongodb_client_up 1\n\
        mongodb_pool_in_use_connections 3\nmongodb_pool_open_connections 10\nmongodb_pool_max_connections 50\n\
        cache_requests_total{outcome=\"hit\"} 9\ncache_requests_total{outcome=\"miss\"} 1\n\
        cache_requests_total{outcome=\"bypass\"} 4\n\
        http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} 5\n\
        http_requests_total{method=\"GET\",route=\"/health\",status=\"429\"} 7\n\
        http_requests_total{method=\"GET\",route=\"app\",status=\"5xx\"} 1\n\
        http_requests_total{method=\"GET\",route=\"app\",status=\"503\"} 2\n";

    #[test]
    fn reading_has_what_the_text_says_and_nothing_else() {
        let reading = Reading::parse(TEXT).unwrap();
        let totals = reading.totals;
        assert_eq!((totals.ok, totals.limited, totals.failed), (5, 7, 3));
        assert_eq!((totals.hits, totals.misses, totals.cpu_micros), (9, 1, 1_500_000));
        assert_eq!(reading.memory, Some(1 << 20));
        assert_eq!(reading.pool, Some(Pool { in_use: 3, open: 10, max: 50 }));
        assert_eq!(
            (reading.limit_shared, reading.redis_up, reading.mongodb_up),
            (Some(false), Some(false), Some(true))
        );
        let bare = Reading::parse("process_start_time_seconds 1\n").unwrap();
        assert_eq!((bare.memory, bare.pool, bare.limit_shared), (None, None, None));
        assert!(Reading::parse("go_goroutines 7\n<html>").is_err());
    }

    #[test]
    fn refusals_do_not_dilute_durations() {
        let text = "http_request_duration_seconds_bucket{le=\"0.3\",route=\"a\",outcome=\"ok\"} 4\n\
            http_request_duration_seconds_bucket{le=\"0.3\",route=\"b\",outcome=\"failed\"} 1\n\
            http_request_duration_seconds_bucket{le=\"0.001\",route=\"a\",outcome=\"limited\"} 900\n\
            http_request_duration_seconds_bucket{le=\"0.001\",route=\"a\",outcome=\"ok\"} 1\n\
            http_request_duration_seconds_bucket{le=\"+Inf\",route=\"a\",outcome=\"ok\"} 6\n\
            http_request_duration_seconds_bucket{le=\"+Inf\",route=\"b\",outcome=\"failed\"} 1\n";
        let buckets = Reading::parse(text).unwrap().totals.buckets;
        let mut expected = [0; BUCKETS];
        // the history has no bound of 300 ms: what lies below it counts as up to 500 ms.
        (expected[0], expected[7], expected[BUCKETS - 1]) = (1, 4, 2);
        assert_eq!(buckets, expected);
    }

    #[test]
    fn counter_that_fell_began_again() {
        let before = Totals { ok: 5, hits: 3, ..Totals::default() };
        let now = Totals { ok: 9, hits: 3, ..Totals::default() };
        assert_eq!(now.since(&before), Some(Totals { ok: 4, ..Totals::default() }));
        assert_eq!(before.since(&now), None);
    }
}
