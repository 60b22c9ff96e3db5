//! Latencies in constant memory: a high dynamic range histogram (Gil Tene's, crate `hdrhistogram`) with three
//! significant digits, so that a percentile is within 0.1 % of the sample it stands for.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::float;

/// The finest step, in nanoseconds; loopback answers take tens of microseconds.
const LOWEST: u64 = 1_000;
/// The longest latency told apart, in nanoseconds: one hour. Longer ones count as this.
const HIGHEST: u64 = 3_600_000_000_000;

/// A distribution of durations; about 95 KB, however many are recorded.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u32>);

impl Latencies {
    /// An empty distribution.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST, HIGHEST, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("the bounds are constants of this file")))
    }

    /// Adds one duration.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(HIGHEST));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        if !other.is_empty() && self.0.add(&other.0).is_err() {
            unreachable!("all distributions have the same bounds");
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.0.reset();
        }
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The duration that a share `quantile` (0 to 1) of all durations does not exceed; `None` without samples.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        self.some(|histogram| histogram.value_at_quantile(quantile))
    }

    /// The shortest.
    pub fn min(&self) -> Option<Duration> {
        self.some(Histogram::min)
    }

    /// The longest.
    pub fn max(&self) -> Option<Duration> {
        self.some(Histogram::max)
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<Duration> {
        self.some(|histogram| float::to_u64(histogram.mean()))
    }

    fn some(&self, read: impl Fn(&Histogram<u32>) -> u64) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(read(&self.0)))
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_known_distribution_are_within_one_part_in_a_hundred() {
        let mut all = Latencies::new();
        for worker in 0..4_u64 {
            let mut part = Latencies::new();
            (0..25_000).for_each(|i| part.record(Duration::from_micros(100 + i * 4 + worker)));
            all.merge(&part);
        }
        assert_eq!(all.count(), 100_000);
        for quantile in [0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
            let truth = 100.0 + 100_000.0 * quantile;
            let got = all.quantile(quantile).unwrap().as_secs_f64() * 1e6;
            assert!((got / truth - 1.0).abs() < 0.01, "p{quantile}: {got} µs for {truth} µs");
        }
    }

    #[test]
    fn no_samples_have_no_percentile_and_a_huge_one_is_kept() {
        let mut latencies = Latencies::new();
        assert_eq!((latencies.quantile(0.5), latencies.max(), latencies.mean()), (None, None, None));
        latencies.record(Duration::from_secs(86_400));
        assert!(latencies.max().unwrap() >= Duration::from_secs(3_600));
        latencies.clear();
        assert!(latencies.is_empty());
    }
}
