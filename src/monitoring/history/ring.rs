//! Intervals of one length, the latest of them; what lies between two readings stays a gap. Pure.

use std::collections::VecDeque;

use crate::monitoring::figures::Figures;

/// The latest intervals of one length.
#[derive(Clone, Debug)]
pub(in crate::monitoring) struct Ring {
    /// Milliseconds of an interval. Intervals are numbered from 1970 on.
    step: u64,
    /// Most intervals.
    room: usize,
    /// The number of the first interval in `slots`.
    first: u64,
    slots: VecDeque<Figures>,
}

impl Ring {
    /// An empty one.
    pub(super) fn new(step: u64, room: usize) -> Self {
        Self { step, room, first: 0, slots: VecDeque::new() }
    }

    /// Milliseconds of an interval.
    pub(in crate::monitoring) fn step(&self) -> u64 {
        self.step
    }

    /// The number of the interval at this time.
    pub(super) fn slot_of(&self, at: u64) -> u64 {
        at / self.step.max(1)
    }

    /// The numbers of the first and the last interval.
    pub(in crate::monitoring) fn range(&self) -> Option<(u64, u64)> {
        let last = (self.slots.len() as u64).checked_sub(1)?;
        Some((self.first, self.first + last))
    }

    /// Adds to an interval. A clock that was set back by more than the ring holds empties it.
    pub(super) fn add(&mut self, slot: u64, figures: &Figures) {
        match self.range() {
            Some((first, last)) if slot >= first && slot - last.min(slot) < self.room as u64 => {
                while self.first + self.slots.len() as u64 <= slot {
                    if self.slots.len() == self.room {
                        self.slots.pop_front();
                        self.first += 1;
                    }
                    self.slots.push_back(Figures::NONE);
                }
            }
            _ => {
                self.slots.clear();
                self.slots.push_back(Figures::NONE);
                self.first = slot;
            }
        }
        let at = usize::try_from(slot - self.first).ok();
        if let Some(sum) = at.and_then(|at| self.slots.get_mut(at)) {
            sum.add(figures);
        }
    }

    /// The intervals from this number on, gaps included.
    pub(in crate::monitoring) fn from(&self, slot: u64) -> impl Iterator<Item = (u64, &Figures)> {
        let passed = usize::try_from(slot.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (self.first..).zip(&self.slots).skip(passed)
    }

    /// The latest intervals as one, none of them before `slot`.
    pub(in crate::monitoring) fn sum_from(&self, slot: u64) -> Figures {
        self.from(slot).fold(Figures::NONE, |mut sum, (_, figures)| {
            sum.add(figures);
            sum
        })
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Figures>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitoring::figures::Field;
    use crate::monitoring::reading::{Reading, Totals};

    fn ok(count: u64) -> Figures {
        Figures::of(&Reading::default(), Some((2000, &Totals { ok: count, ..Totals::default() })))
    }

    fn shown(ring: &Ring) -> Vec<Option<u64>> {
        ring.from(0).map(|(_, figures)| (!figures.is_gap()).then(|| figures.get(Field::Ok))).collect()
    }

    #[test]
    fn skipped_interval_is_a_gap_and_the_oldest_go() {
        let mut ring = Ring::new(2000, 4);
        for slot in [10, 10, 12] {
            ring.add(slot, &ok(1));
        }
        assert_eq!(shown(&ring), [Some(2), None, Some(1)]);
        ring.add(14, &ok(5));
        assert_eq!((ring.range(), shown(&ring)), (Some((11, 14)), vec![None, Some(1), None, Some(5)]));
        assert_eq!(ring.sum_from(12).get(Field::Ok), 6);
        assert_eq!(ring.from(14).map(|(slot, _)| slot).collect::<Vec<_>>(), [14]);
        assert_eq!(ring.from(15).count(), 0);
    }

    #[test]
    fn clock_that_jumps_costs_the_ring_and_no_memory() {
        let mut ring = Ring::new(2000, 4);
        ring.add(10, &ok(1));
        ring.add(u64::MAX / 2, &ok(2));
        assert_eq!(shown(&ring), [Some(2)]);
        ring.add(12, &ok(3));
        ring.add(13, &ok(4));
        assert_eq!((ring.range(), shown(&ring)), (Some((12, 13)), vec![Some(3), Some(4)]));
    }
}
