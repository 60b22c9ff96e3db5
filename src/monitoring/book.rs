//! A stack under observation: asks the replicas every 2 seconds and keeps what they report.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::figures::Figures;
use super::history::{Event, History, STEP, Window, events};
use super::problems::{Evidence, Problem, problems};
use super::reader;
use super::reading::Reading;
use super::tracker::Tracker;
use super::view::{Keeper, Known, Question, View, last_slots};
use crate::targets::status::{Replicas, Status};
use crate::targets::subject::Replica;

/// Into an interval, so that a late timer does not read in the next one.
const WITHIN: u64 = STEP / 4;
/// The shortest intervals of a minute.
const MINUTE: u64 = 60_000 / STEP;

/// What runs now.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// As `status` shows it.
    pub(crate) status: Status,
    /// The replicas that can be asked.
    pub(crate) replicas: Vec<Replica>,
    /// Why the target cannot be asked, and the next command.
    pub(crate) trouble: Option<Problem>,
}

/// What is known of one stack. Copies are of the same.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    kept_by: Keeper,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug)]
struct Pages {
    history: History,
    tracker: Tracker,
    status: Option<Status>,
    readings: Vec<(String, Reading)>,
    silent: Vec<String>,
    trouble: Option<Problem>,
    last_round: Option<Instant>,
}

impl Book {
    /// An empty one.
    pub(crate) fn new(kept_by: Keeper) -> Self {
        let pages = Pages {
            history: History::default(),
            tracker: Tracker::default(),
            status: None,
            readings: Vec::new(),
            silent: Vec::new(),
            trouble: None,
            last_round: None,
        };
        Self { kept_by, pages: Arc::new(Mutex::new(pages)) }
    }

    /// Continues an earlier history.
    pub(super) fn continue_from(&self, history: History) {
        self.lock().history = history;
    }

    /// Does something with the history.
    pub(super) fn with_history<T>(&self, work: impl FnOnce(&mut History) -> T) -> T {
        work(&mut self.lock().history)
    }

    /// Asks the replicas once, and keeps what they report as of the interval at `now` (milliseconds since 1970).
    pub(super) async fn round(&self, scene: Scene, now: u64) {
        let began = Instant::now();
        let (readings, silent) = reader::read(&scene.replicas).await;
        self.keep(scene, began, now, readings, silent);
    }

    fn keep(
        &self,
        scene: Scene,
        began: Instant,
        now: u64,
        readings: Vec<(String, Reading)>,
        silent: Vec<String>,
    ) {
        let mut pages = self.lock();
        let pages = &mut *pages;
        let elapsed = pages.last_round.replace(began).map_or(Duration::ZERO, |last| began - last);
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let desired = scene.status.replicas.desired;
        if let Some(tick) = pages.tracker.advance(now, elapsed, &readings, desired) {
            pages.history.add(&tick);
        }
        // What a supervisor sees first it has started; a command that begins to look has not.
        let before = pages.status.take().or_else(|| (self.kept_by == Keeper::Supervisor).then(nothing));
        if let Some(before) = before {
            pages.history.note(events::between(&before, &scene.status, now));
        }
        pages.status = Some(scene.status);
        pages.trouble = scene.trouble;
        (pages.readings, pages.silent) = (readings, silent);
    }

    /// Whether a replica did not answer the last time.
    pub(super) fn is_silent(&self) -> bool {
        !self.lock().silent.is_empty()
    }

    /// Asks again and again; `scene` is what runs at the moment, `None` while that is not known. Never returns.
    pub(super) async fn observe(&self, mut scene: impl FnMut() -> Option<Scene>) {
        loop {
            let next = (now() / STEP + 1) * STEP + WITHIN;
            tokio::time::sleep(Duration::from_millis(next.saturating_sub(now()))).await;
            if let Some(scene) = scene() {
                self.round(scene, next).await;
            }
        }
    }

    /// What is known of the stack that is in `status` now, with `more` that happened.
    pub(crate) fn view(&self, status: &Status, question: Question, more: &[Event]) -> View {
        let pages = self.lock();
        let now = now();
        let minute: Figures = pages.history.ring(Window::Minutes).sum_from(last_slots(now, MINUTE));
        let evidence = Evidence {
            status,
            readings: &pages.readings,
            silent: &pages.silent,
            was_asked: pages.last_round.is_some(),
            minute: &minute,
        };
        let found = match &pages.trouble {
            Some(trouble) => vec![trouble.clone()],
            None => problems(&evidence),
        };
        let known = Known {
            history: &pages.history,
            status,
            readings: &pages.readings,
            silent: &pages.silent,
            kept_by: self.kept_by,
            now,
            problems: found,
        };
        let mut view = known.view(question);
        view.events.extend(more.iter().cloned());
        view
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        // A panic in the midst of a change loses at most that reading.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Before anything was started.
fn nothing() -> Status {
    Status {
        stack: String::new(),
        target: String::new(),
        url: None,
        replicas: Replicas::default(),
        components: Vec::new(),
        cluster: None,
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
