//! Readings -> intervals: what each replica counted since the last reading. Pure.

use std::collections::BTreeMap;

use super::figures::Figures;
use super::reading::{Reading, Totals};
use crate::float;

/// A start time is given in whole seconds.
const START_RESOLUTION_S: f64 = 1.0;

/// What one round of readings adds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// When it was read, in milliseconds since 1970.
    pub(super) at: u64,
    /// All replicas together.
    pub(super) stack: Figures,
    /// Each replica that answered.
    pub(super) replicas: Vec<(String, Figures)>,
}

/// The counters of the last round.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    at: Option<u64>,
    last: BTreeMap<String, (f64, Totals)>,
}

impl Tracker {
    /// The interval since the last round, which was `elapsed` milliseconds ago; `None` when no replica answered. A replica that
    /// did not answer the last time begins again: what it counted meanwhile belongs to no known interval.
    pub(super) fn advance(
        &mut self,
        at: u64,
        elapsed: u64,
        readings: &[(String, Reading)],
        desired: u32,
    ) -> Option<Tick> {
        let before = std::mem::take(&mut self.last);
        let last_round_s = self.at.replace(at).map(|at| float::from_u64(at) / 1000.0);
        let mut replicas = Vec::new();
        for (name, reading) in readings {
            let counted = match before.get(name) {
                Some((started, totals)) if *started == reading.started => {
                    Some(reading.totals.since(totals).unwrap_or(reading.totals))
                }
                // Another process of the same name, so it began with nothing.
                Some(_) => Some(reading.totals),
                // One that started since the last round, too.
                None => last_round_s
                    .filter(|last| reading.started + START_RESOLUTION_S > *last)
                    .map(|_| reading.totals),
            };
            let counted = counted.as_ref().filter(|_| elapsed > 0).map(|totals| (elapsed, totals));
            replicas.push((name.clone(), Figures::of(reading, counted)));
            self.last.insert(name.clone(), (reading.started, reading.totals));
        }
        let stack = Figures::together(replicas.iter().map(|(_, figures)| figures), desired);
        (!replicas.is_empty()).then_some(Tick { at, stack, replicas })
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Field;
    use super::*;

    fn reading(started: f64, ok: u64) -> Reading {
        Reading { started, totals: Totals { ok, ..Totals::default() }, ..Reading::default() }
    }

    fn rates(tracker: &mut Tracker, at: u64, readings: &[(&str, Reading)]) -> Vec<Option<f64>> {
        let readings: Vec<(String, Reading)> =
            readings.iter().map(|(name, reading)| ((*name).to_owned(), reading.clone())).collect();
        let tick = tracker.advance(at, 2000, &readings, 1);
        tick.map_or(Vec::new(), |tick| {
            tick.replicas.iter().map(|(_, figures)| figures.rate(Field::Ok)).collect()
        })
    }

    #[test]
    fn first_reading_counts_nothing_and_the_next_its_difference() {
        let mut tracker = Tracker::default();
        assert_eq!(rates(&mut tracker, 100_000, &[("a", reading(7.0, 1000))]), [None]);
        assert_eq!(rates(&mut tracker, 102_000, &[("a", reading(7.0, 1010))]), [Some(5.0)]);
    }

    #[test]
    fn restarted_replica_is_counted_from_nought() {
        let mut tracker = Tracker::default();
        rates(&mut tracker, 100_000, &[("a", reading(7.0, 1000))]);
        assert_eq!(rates(&mut tracker, 102_000, &[("a", reading(101.0, 6))]), [Some(3.0)]);
        // Also when it came back within the second of its start.
        assert_eq!(rates(&mut tracker, 104_000, &[("a", reading(101.0, 2))]), [Some(1.0)]);
        // And a replica that was not there before.
        let both = [("a", reading(101.0, 2)), ("b", reading(104.0, 4))];
        assert_eq!(rates(&mut tracker, 106_000, &both), [Some(0.0), Some(2.0)]);
    }

    #[test]
    fn silence_is_a_gap_and_no_peak_after_it() {
        let mut tracker = Tracker::default();
        rates(&mut tracker, 100_000, &[("a", reading(7.0, 1000))]);
        assert!(rates(&mut tracker, 102_000, &[]).is_empty());
        assert_eq!(rates(&mut tracker, 104_000, &[("a", reading(7.0, 9000))]), [None]);
        assert_eq!(rates(&mut tracker, 106_000, &[("a", reading(7.0, 9002))]), [Some(1.0)]);
    }
}
