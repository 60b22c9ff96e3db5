//! Rounds of cases that are compared: in which order they run, and what is left of their figures.

use anyhow::Result;

use super::median;

/// What each round of one case measured.
pub(super) struct Rounds<R>(Vec<R>);

impl<R> Default for Rounds<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R> Rounds<R> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, round: R) {
        self.0.push(round);
    }

    /// The median of a figure.
    pub(super) fn median(&self, read: impl Fn(&R) -> f64) -> f64 {
        median(&mut self.0.iter().map(read).collect::<Vec<_>>())
    }

    /// The same, unless a round lacks it.
    pub(super) fn median_of_all(&self, read: impl Fn(&R) -> Option<f64>) -> Option<f64> {
        let mut all = self.0.iter().map(read).collect::<Option<Vec<_>>>()?;
        Some(median(&mut all))
    }

    /// The median of what `compare` makes of this and the other case in each round: what slows a round down slows both down.
    pub(super) fn with(&self, other: &Self, compare: impl Fn(&R, &R) -> f64) -> f64 {
        median(&mut self.0.iter().zip(&other.0).map(|(one, two)| compare(one, two)).collect::<Vec<_>>())
    }

    /// The median of the ratios of a figure.
    pub(super) fn over(&self, other: &Self, read: impl Fn(&R) -> f64) -> f64 {
        self.with(other, |one, two| read(one) / read(two))
    }
}

/// Runs all cases in turn, there and back: of two that are compared, none is always the first.
pub(super) fn in_turn<C>(
    cases: &mut [C],
    rounds: usize,
    mut run: impl FnMut(usize, &mut C) -> Result<()>,
) -> Result<()> {
    for round in 1..=rounds {
        let mut turn: Vec<&mut C> = cases.iter_mut().collect();
        if round % 2 == 0 {
            turn.reverse();
        }
        for case in turn {
            run(round, case)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_run_there_and_back_and_compare_by_round() {
        let mut order = Vec::new();
        in_turn(&mut ['a', 'b'], 2, |round, case| {
            order.push((round, *case));
            Ok(())
        })
        .unwrap();
        assert_eq!(order, [(1, 'a'), (1, 'b'), (2, 'b'), (2, 'a')]);
        // The machine slowed down tenfold in the last round: the ratio is the same.
        let (one, two) = (Rounds(vec![2.0, 3.0, 20.0]), Rounds(vec![1.0, 1.5, 10.0]));
        assert!((one.over(&two, |figure| *figure) - 2.0_f64).abs() < 1e-9);
        assert!((one.median(|figure| *figure) - 3.0).abs() < 1e-9);
        assert_eq!(two.median_of_all(|figure| (*figure > 1.0).then_some(*figure)), None, "one lacks it");
    }
}
