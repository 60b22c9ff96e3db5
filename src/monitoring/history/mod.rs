//! What a stack did in the last 14 days: four rings of sums for the whole, two for each replica, and events. Of fixed size. Pure but
//! for `file.rs`, which keeps it.

pub(super) mod events;
pub(super) mod file;
mod ring;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use events::{Event, EventKind};
pub(super) use ring::Ring;

use super::figures::Figures;
use super::tracker::Tick;

/// Milliseconds and number of the intervals of each ring: 15 minutes, 2 hours, 24 hours, 14 days.
const RINGS: [(u64, usize); 4] = [(2_000, 450), (10_000, 720), (60_000, 1_440), (600_000, 2_016)];
/// Each replica has the first of them.
const REPLICA_RINGS: usize = 2;
/// Most replicas that have rings of their own.
const MOST_REPLICAS: usize = 16;
/// Most events.
const MOST_EVENTS: usize = 200;

/// Milliseconds between readings.
pub(crate) const STEP: u64 = RINGS[0].0;

/// Which ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Window {
    /// 15 minutes, in intervals of 2 seconds.
    #[default]
    Minutes,
    /// 2 hours, in intervals of 10 seconds.
    Hours,
    /// 24 hours, in intervals of a minute.
    Day,
    /// 14 days, in intervals of 10 minutes.
    Days,
}

impl Window {
    /// All, the shortest first.
    pub(crate) const ALL: [Self; 4] = [Self::Minutes, Self::Hours, Self::Day, Self::Days];

    /// The name in addresses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => "15m",
            Self::Hours => "2h",
            Self::Day => "24h",
            Self::Days => "14d",
        }
    }

    /// The number and the length of its intervals, in milliseconds.
    pub(crate) fn shape(self) -> (u64, usize) {
        RINGS[self as usize]
    }
}

/// What a stack did.
#[derive(Debug)]
pub(super) struct History {
    stack: [Ring; RINGS.len()],
    replicas: BTreeMap<String, [Ring; REPLICA_RINGS]>,
    events: VecDeque<Event>,
    /// The first interval of each ring that is not in the file, and whether all events are.
    unsaved: [u64; RINGS.len()],
    events_saved: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            stack: RINGS.map(|(step, room)| Ring::new(step, room)),
            replicas: BTreeMap::new(),
            events: VecDeque::new(),
            unsaved: [0; RINGS.len()],
            events_saved: true,
        }
    }
}

impl History {
    /// Adds what was read at one moment.
    pub(super) fn add(&mut self, tick: &Tick) {
        for ring in &mut self.stack {
            ring.add(ring.slot_of(tick.at), &tick.stack);
        }
        for (name, figures) in &tick.replicas {
            for (number, (step, _)) in RINGS.iter().enumerate().take(REPLICA_RINGS) {
                self.add_to_replica(name, number, tick.at / step, figures);
            }
        }
    }

    /// The one that was silent longest makes room. Beyond the most that answer now, a replica counts in the whole only.
    fn add_to_replica(&mut self, name: &str, number: usize, slot: u64, figures: &Figures) {
        if !self.replicas.contains_key(name) {
            if self.replicas.len() >= MOST_REPLICAS {
                let last = |rings: &[Ring; REPLICA_RINGS]| rings[0].range().map_or(0, |(_, last)| last);
                let oldest = self.replicas.iter().min_by_key(|(_, rings)| last(rings));
                match oldest {
                    Some((oldest, rings)) if number == 0 && last(rings) + 1 < slot => {
                        let oldest = oldest.clone();
                        self.replicas.remove(&oldest);
                    }
                    _ => return,
                }
            }
            let rings = [RINGS[0], RINGS[1]].map(|(step, room)| Ring::new(step, room));
            self.replicas.insert(name.to_owned(), rings);
        }
        if let Some(ring) = self.replicas.get_mut(name).and_then(|rings| rings.get_mut(number)) {
            ring.add(slot, figures);
        }
    }

    /// Adds what happened.
    pub(super) fn note(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.events.push_back(event);
            self.events_saved = false;
        }
        while self.events.len() > MOST_EVENTS {
            self.events.pop_front();
        }
    }

    /// The whole stack in this window.
    pub(super) fn ring(&self, window: Window) -> &Ring {
        &self.stack[window as usize]
    }

    /// The last 15 minutes of a replica.
    pub(super) fn replica(&self, name: &str) -> Option<&Ring> {
        self.replicas.get(name).map(|rings| &rings[0])
    }

    /// What happened, the latest last.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// When the first interval begins that is known, in milliseconds since 1970: of the longest intervals, and within that one of the
    /// shorter ones as far as they reach back.
    pub(super) fn since(&self) -> Option<u64> {
        let mut known: Option<(u64, u64)> = None;
        for ring in self.stack.iter().rev() {
            let Some((first, _)) = ring.range() else { continue };
            let begins = first * ring.step();
            match known {
                Some((since, step)) if !(since..since + step).contains(&begins) => break,
                _ => known = Some((begins, ring.step())),
            }
        }
        known.map(|(since, _)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::figures::Field;
    use crate::monitoring::reading::{Reading, Totals};

    pub(super) fn tick(at: u64, replicas: &[&str]) -> Tick {
        let totals = Totals { ok: 4, ..Totals::default() };
        let figures = Figures::of(&Reading::default(), Some((2000, &totals)));
        let replicas: Vec<(String, Figures)> =
            replicas.iter().map(|name| ((*name).to_owned(), figures.clone())).collect();
        let stack = Figures::together(replicas.iter().map(|(_, figures)| figures), 1);
        Tick { at, stack, replicas }
    }

    #[test]
    fn fourteen_days_of_sixteen_replicas_stay_below_32_mb() {
        let mut history = History::default();
        let names: Vec<String> = (0..20).map(|number| format!("service-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // Readings far apart fill the long rings; then the short ones.
        for step in [600_000, 60_000, 10_000, 2_000] {
            let start = 1_700_000_000_000 + (600_000 - step) * 3000;
            for number in 0..2100 {
                history.add(&tick(start + number * step, &names));
            }
        }
        assert_eq!(history.replicas.len(), MOST_REPLICAS);
        for (ring, (_, room)) in history.stack.iter().zip(RINGS) {
            let (first, last) = ring.range().unwrap();
            assert_eq!(last - first + 1, room as u64);
        }
        let rings = history.stack.iter().chain(history.replicas.values().flatten());
        let bytes: usize = rings.map(Ring::bytes).sum();
        assert!(bytes < 12 << 20, "{bytes} bytes; 32 MB are allowed for all");
    }

    #[test]
    fn rate_is_the_same_in_every_ring_and_a_gap_lowers_none() {
        let mut history = History::default();
        let start = 1_700_000_000_000 / 600_000 * 600_000;
        for number in (0..300).filter(|number| !(100..200).contains(number)) {
            history.add(&tick(start + number * 2000, &["a", "b"]));
        }
        for window in Window::ALL {
            let rates: Vec<f64> =
                history.ring(window).from(0).filter_map(|(_, figures)| figures.rate(Field::Ok)).collect();
            assert!(rates.iter().all(|rate| *rate == 4.0), "{window:?}: {rates:?}");
        }
        let gaps = |window| history.ring(window).from(0).filter(|(_, figures)| figures.is_gap()).count();
        assert_eq!(Window::ALL.map(gaps), [100, 20, 2, 0]);
    }

    #[test]
    fn history_begins_with_its_first_reading() {
        let mut history = History::default();
        assert_eq!(history.since(), None);
        let start = 1_700_000_000_000 / 600_000 * 600_000;
        history.add(&tick(start + 312_000, &["a"]));
        history.add(&tick(start + 400_000, &["a"]));
        assert_eq!(history.since(), Some(start + 312_000));
        // The shortest intervals begin again after a pause, the longest remain.
        history.add(&tick(start + 4_000_000, &["a"]));
        assert_eq!(history.since(), Some(start + 310_000));
    }

    #[test]
    fn new_replica_takes_the_place_of_one_that_is_gone() {
        let mut history = History::default();
        let old: Vec<String> = (0..16).map(|number| format!("old-{number}")).collect();
        history.add(&tick(1_000_000, &old.iter().map(String::as_str).collect::<Vec<_>>()));
        history.add(&tick(1_002_000, &["new"]));
        assert!(history.replica("new").is_none(), "the others answered a moment ago");
        history.add(&tick(1_010_000, &["new"]));
        assert!(history.replica("new").is_some());
        assert_eq!(history.replicas.len(), MOST_REPLICAS);
    }
}
