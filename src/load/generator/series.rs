//! The run over time, in at most [`POINTS`] points: percentiles of each are exact, since a point keeps its histogram
//! until every worker has delivered.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::float;
use crate::load::generator::plan::TICK;
use crate::load::histogram::Latencies;
use crate::load::tally::Tally;

/// Most points of a chart.
const POINTS: u32 = 240;

/// One interval of the run.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its end, since the begin of the run.
    pub at: Duration,
    /// Requests that ended within it, per second.
    pub rate: f64,
    /// Failed ones, per second.
    pub failed: f64,
    /// Limited ones, per second.
    pub limited: f64,
    /// Users or rate that the scenario asked for at its end.
    pub level: f64,
    /// Percentiles of the latency; `None` when nothing was answered.
    pub p50: Option<Duration>,
    /// 95 of 100 were faster.
    pub p95: Option<Duration>,
    /// 99 of 100 were faster.
    pub p99: Option<Duration>,
    /// The slowest.
    pub max: Option<Duration>,
}

#[derive(Default)]
struct Open {
    duration: Latencies,
    requests: u64,
    failed: u64,
    limited: u64,
}

/// Points, and those intervals that are not over yet.
pub(super) struct Series {
    ticks_per_point: u64,
    done: Vec<u64>,
    open: BTreeMap<u64, Open>,
    points: Vec<Point>,
}

impl Series {
    /// For a run of `duration` with this many workers.
    pub(super) fn new(workers: usize, duration: Duration) -> Self {
        let ticks_per_point = float::to_u64(duration.div_duration_f64(TICK * POINTS).ceil().max(1.0));
        Self { ticks_per_point, done: vec![0; workers], open: BTreeMap::new(), points: Vec::new() }
    }

    /// Adds what `worker` measured until `tick` (from 1).
    pub(super) fn add(&mut self, worker: usize, tick: u64, part: &Tally, level: impl Fn(Duration) -> f64) {
        let open = self.open.entry(tick.saturating_sub(1) / self.ticks_per_point).or_default();
        open.duration.merge(&part.duration);
        open.requests += part.requests;
        open.failed += part.failed;
        open.limited += part.limited;
        self.done[worker] = tick;
        let complete = self.done.iter().min().copied().unwrap_or(0) / self.ticks_per_point;
        self.close(complete, level);
    }

    /// All points; what is left open is completed if anything happened in it.
    pub(super) fn finish(mut self, level: impl Fn(Duration) -> f64) -> Vec<Point> {
        self.open.retain(|_, open| open.requests > 0);
        self.close(u64::MAX, level);
        self.points
    }

    fn close(&mut self, until: u64, level: impl Fn(Duration) -> f64) {
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.key() < until) {
            let (interval, open) = entry.remove_entry();
            let length = TICK * u32::try_from(self.ticks_per_point).unwrap_or(u32::MAX);
            let at = length * u32::try_from(interval + 1).unwrap_or(u32::MAX);
            let per_second = |count: u64| float::from_u64(count) / length.as_secs_f64();
            self.points.push(Point {
                at,
                rate: per_second(open.requests),
                failed: per_second(open.failed),
                limited: per_second(open.limited),
                level: level(at - TICK / 2),
                p50: open.duration.quantile(0.5),
                p95: open.duration.quantile(0.95),
                p99: open.duration.quantile(0.99),
                max: open.duration.max(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_complete_when_every_worker_has_delivered_and_an_hour_has_few_points() {
        let mut part = Tally::new(&[]);
        part.requests = 5;
        let mut series = Series::new(2, Duration::from_secs(2));
        series.add(0, 1, &part, |_| 1.0);
        series.add(0, 2, &part, |_| 1.0);
        assert!(series.points.is_empty());
        series.add(1, 1, &part, |_| 1.0);
        assert_eq!(series.points.iter().map(|point| point.rate).collect::<Vec<_>>(), [20.0]);
        assert_eq!(series.finish(|_| 1.0).len(), 2);
        let mut hour = Series::new(1, Duration::from_secs(3_600));
        (1..=7_200).for_each(|tick| hour.add(0, tick, &part, |_| 1.0));
        assert_eq!(hour.points.len(), POINTS as usize);
    }
}
