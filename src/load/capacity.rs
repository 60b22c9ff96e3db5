//! The highest rate that holds the thresholds: doubled until it does not, then halved in between. Deciding only; who
//! asks for the next rate also runs it.

use serde::{Deserialize, Serialize};

use crate::document::counted;

/// How exact the answer is: the highest rate that held and the lowest that did not are this close.
const CLOSE: f64 = 1.1;
/// Most rates to try: thirteen doublings are a factor of 8192, and the rest halves what is left.
pub(crate) const MOST: u8 = 20;

/// What was found for one rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The rate that was asked for, per second.
    pub rate: f64,
    /// Whether everything held.
    pub held: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// The search.
#[derive(Debug)]
pub struct Search {
    trials: Vec<Trial>,
    next: f64,
    /// The generator could do no more, so that no higher rate can be asked for.
    ceiling: bool,
    /// The lowest rate that did not hold, of those where the generator was disturbed.
    doubtful: f64,
}

/// What the generator says of its own part in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// It could not have sent more.
    pub at_limit: bool,
    /// It sent late, or had no machine to itself: what did not hold may be its own doing. What held, held all the same.
    pub disturbed: bool,
}

/// What is kept for `cost`, in `.appforge/capacity.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests per second that one replica answers within the thresholds.
    pub requests_per_second_per_replica: f64,
    /// The same of all replicas.
    pub requests_per_second: f64,
    /// The replicas that served.
    pub replicas: u32,
    /// When, RFC 3339.
    pub measured_at: String,
    /// The machine, where the generator and on the local target also the service ran.
    pub machine: String,
    /// The commit of the project, when known.
    pub commit: Option<String>,
    /// What held.
    pub thresholds: Vec<String>,
    /// The target, or `url`.
    pub target: String,
    /// The generator was the limit: the service may do more.
    pub at_least: bool,
    /// All rates that were tried.
    pub trials: Vec<Trial>,
}

impl Capacity {
    /// What one replica and all of them carry, for people.
    pub(crate) fn shown(&self) -> String {
        let least = if self.at_least { "at least " } else { "" };
        let (all, one) = (self.requests_per_second, self.requests_per_second_per_replica);
        let replicas = counted(self.replicas as usize, "replica");
        format!("{least}{all:.0} req/s, {one:.0} per replica ({replicas})")
    }
}

impl Trial {
    /// Whether the rate held, or why not, for people.
    pub(crate) fn verdict(&self) -> &str {
        if self.held { "held" } else { self.reason.as_deref().unwrap_or("missed") }
    }
}

impl Search {
    /// Begins at `rate` per second.
    pub fn from(rate: f64) -> Self {
        Self { trials: Vec::new(), next: rate, ceiling: false, doubtful: f64::INFINITY }
    }

    /// The next rate to try; `None` when the answer is known well enough.
    pub fn next(&self) -> Option<f64> {
        let close = match (self.held(), self.missed()) {
            (Some(held), Some(missed)) => missed / held <= CLOSE,
            (Some(_), None) => self.ceiling,
            // Less than one request a second is no capacity.
            (None, Some(missed)) => missed <= 1.0,
            (None, None) => false,
        };
        (!close && self.trials.len() < usize::from(MOST)).then_some(self.next)
    }

    /// Notes what came of the rate that was asked for.
    pub fn note(&mut self, rate: f64, reason: Option<String>, generator: Part) {
        self.ceiling |= generator.at_limit;
        if reason.is_some() && generator.disturbed {
            self.doubtful = self.doubtful.min(rate);
        }
        self.trials.push(Trial { rate, held: reason.is_none(), reason });
        self.next = match (self.held(), self.missed()) {
            (Some(held), Some(missed)) => (held * missed).sqrt(),
            (Some(held), None) => held * 2.0,
            (None, Some(missed)) => missed / 4.0,
            (None, None) => rate,
        };
    }

    /// The highest rate that held below any that did not.
    pub fn held(&self) -> Option<f64> {
        let missed = self.missed().unwrap_or(f64::INFINITY);
        let held = self.trials.iter().filter(|trial| trial.held && trial.rate < missed);
        held.map(|trial| trial.rate).reduce(f64::max)
    }

    /// Whether the generator, not the service alone, ended the search.
    pub fn at_least(&self) -> bool {
        self.ceiling || self.missed().is_some_and(|missed| self.doubtful <= missed)
    }

    /// All trials in their order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    fn missed(&self) -> Option<f64> {
        self.trials.iter().filter(|trial| !trial.held).map(|trial| trial.rate).reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(start: f64, truth: f64) -> Search {
        let mut search = Search::from(start);
        while let Some(rate) = search.next() {
            search.note(rate, (rate > truth).then(|| "too slow".to_owned()), Part::default());
        }
        search
    }

    #[test]
    fn the_capacity_is_found_within_a_tenth_from_either_side() {
        for truth in [3.0, 90.0, 700.0, 1_000.0, 54_321.0] {
            let found = search(100.0, truth).held().unwrap();
            assert!(found <= truth && found * 1.1 >= truth, "{found} for {truth}");
        }
    }

    #[test]
    fn a_service_that_holds_nothing_has_no_capacity_and_the_search_ends() {
        let search = search(100.0, 0.0);
        assert_eq!(search.held(), None);
        assert!(search.trials().len() < 10, "{:?}", search.trials());
    }

    #[test]
    fn a_generator_at_its_limit_ends_the_search_with_at_least() {
        let mut search = Search::from(100.0);
        search.note(100.0, None, Part::default());
        search.note(200.0, None, Part { at_limit: true, disturbed: true });
        assert_eq!((search.next(), search.held(), search.at_least()), (None, Some(200.0), true));
    }

    #[test]
    fn a_busy_machine_does_not_end_the_search_but_makes_its_end_doubtful() {
        let busy = Part { at_limit: false, disturbed: true };
        let mut search = Search::from(100.0);
        search.note(100.0, None, busy);
        assert_eq!((search.next(), search.at_least()), (Some(200.0), false));
        search.note(200.0, Some("too slow".into()), busy);
        assert!(search.at_least());
    }
}
