//! Shows how a run goes: two lines under a bar on a terminal, elsewhere a line now and then.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::float;
use crate::load::generator::Progress;
use crate::load::report::{self, Now};
use crate::output::Output;

/// The rate is that of the last moments: shorter ones would show the beat of users who think in step.
const RECENT: Duration = Duration::from_secs(2);

/// Shows one run.
pub(super) struct Watch {
    out: Output,
    bar: ProgressBar,
    total: Duration,
    open: bool,
    /// Between two lines off a terminal.
    every: Duration,
    next_line: Duration,
    /// Requests by the time of the run.
    seen: VecDeque<(Duration, u64)>,
}

impl Watch {
    /// Begins to show a run of this length.
    pub(super) fn new(out: Output, total: Duration, open: bool) -> Self {
        // A log shows life without being one.
        let every = (total / 10).max(Duration::from_secs(5));
        let bar = out.bar(total.as_millis().try_into().unwrap_or(u64::MAX));
        bar.set_prefix("connecting");
        Self { out, bar, total, open, every, next_line: every, seen: VecDeque::from([(Duration::ZERO, 0)]) }
    }

    /// Shows how things stand.
    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        let live = !self.bar.is_hidden();
        let span = if live { RECENT } else { self.every };
        self.seen.push_back((progress.elapsed, progress.tally.requests));
        while self.seen.get(1).is_some_and(|(at, _)| *at + span <= progress.elapsed) {
            self.seen.pop_front();
        }
        let (since, before) = self.seen.front().copied().unwrap_or_default();
        let seconds = (progress.elapsed - since).as_secs_f64().max(1e-9);
        let rate = float::from_u64(progress.tally.requests - before) / seconds;
        let now = Now { progress, rate, total: self.total, open: self.open };
        if live {
            self.bar.set_position(progress.elapsed.as_millis().try_into().unwrap_or(u64::MAX));
            self.bar.set_prefix(report::pace(&now));
            self.bar.set_message(report::latencies(&now));
        } else if progress.elapsed >= self.next_line {
            self.out.say(format!("{}  {}", report::pace(&now), report::latencies(&now)));
            self.next_line = progress.elapsed + self.every;
        }
    }

    /// Leaves the terminal as it was.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}
