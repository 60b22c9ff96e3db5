//! Runs a scenario: starts the worker threads, gathers what they measure, ends them in order.
//!
//! Each worker owns its share of the users, a runtime of its own and a window of measurements; once a tick the window
//! travels here and is merged. So nothing on the path of a request is shared, and memory does not grow with time.

mod alarm;
mod closed;
mod machine;
mod open;
mod plan;
mod series;
mod user;
mod worker;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use appforge_service::open_files;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use plan::Plan;
pub use series::Point;
use series::Series;

use crate::load::connection::ErrorKind;
use crate::load::scenario::Model;
use crate::load::tally::Tally;

/// Between the start of the threads and the first request: time to make connections.
const LEAD: Duration = Duration::from_millis(100);
/// A thread above this share of a core was the limit itself.
const BUSY: f64 = 0.9;
/// Sending later than this is the generator's fault, once it happens to one of a hundred.
const LATE: Duration = Duration::from_millis(10);

/// How things stand, once a tick.
pub struct Progress<'a> {
    /// Since the first request was due.
    pub elapsed: Duration,
    /// Users or requests per second that the scenario asks for now.
    pub level: f64,
    /// Everything so far.
    pub tally: &'a Tally,
}

/// What the observer of a run wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    GoOn,
    /// End the run now.
    Abort,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The scenario was played to its end.
    Completed,
    /// The user ended it.
    Interrupted,
    /// The observer ended it.
    Aborted,
}

impl Ended {
    /// The word of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::Aborted => "aborted",
        }
    }
}

/// What a run measured.
pub struct Measured {
    /// All counters and distributions.
    pub tally: Tally,
    /// The same over time, coarsely.
    pub series: Vec<Point>,
    /// What rates are over: the scheduled time, or the elapsed one of a run that was cut. A user who only thinks until
    /// the end, or a rate whose last request is due early, makes no run shorter.
    pub period: Duration,
    /// How it ended.
    pub ended: Ended,
    /// What the generator itself used.
    pub effort: Effort,
}

/// What the generator itself used, and whether it was the limit.
#[derive(Clone, Debug)]
pub struct Effort {
    /// Worker threads.
    pub threads: usize,
    /// Cores used by all of them, 1.0 is one core.
    pub cores: f64,
    /// The share of a core that the busiest thread used.
    pub busiest: f64,
    /// The share of all cores of this machine that anyone used; `None` where the system does not tell.
    pub machine: Option<f64>,
    /// How late one of a hundred sends was, by the generator's own fault.
    pub late_p99: Option<Duration>,
    /// It could not have sent more.
    pub at_limit: bool,
    /// Why the numbers say more of the generator than of the service; empty when they do not.
    pub saturated: Vec<String>,
}

/// Runs `plan`. `observe` is called once a tick; `interrupt` ends the run early.
pub async fn run(
    plan: Plan,
    interrupt: impl Future<Output = ()>,
    mut observe: impl FnMut(&Progress<'_>) -> Next,
) -> Result<Measured> {
    open_files::raise_limit();
    let plan = Arc::new(plan);
    let threads = plan.threads.max(1);
    let stop = CancellationToken::new();
    // A dropped run must not leave threads behind.
    let _ends_with_me = stop.clone().drop_guard();
    let (windows, mut arriving) = mpsc::channel(threads * 4);
    let begin = Instant::now() + LEAD;
    let before = machine::Busy::read();
    let workers: Vec<JoinHandle<Result<()>>> = (0..threads)
        .map(|index| worker::spawn(Arc::clone(&plan), index, begin, stop.clone(), windows.clone()))
        .collect::<Result<_>>()?;
    drop(windows);

    let mut tally = Tally::new(&plan.scenario.steps);
    let mut series = Series::new(threads, plan.scenario.model.duration());
    let mut cpu = vec![Duration::ZERO; threads];
    let mut ended = Ended::Completed;
    let mut last_tick = 0;
    let mut interrupt = pin!(interrupt);
    loop {
        tokio::select! {
            window = arriving.recv() => {
                let Some(worker::Window { worker, tick, tally: part }) = window else { break };
                cpu[worker] += part.cpu;
                tally.merge(&part);
                let elapsed = begin.elapsed();
                let level = level(&plan.scenario.model, elapsed);
                series.add(worker, tick, &part, |at| self::level(&plan.scenario.model, at));
                // The quickest worker leads; what the others have measured meanwhile comes with the next tick.
                let leads = tick > last_tick;
                last_tick = last_tick.max(tick);
                if leads
                    && ended == Ended::Completed
                    && observe(&Progress { elapsed, level, tally: &tally }) == Next::Abort
                {
                    ended = Ended::Aborted;
                    stop.cancel();
                }
            }
            () = &mut interrupt, if ended == Ended::Completed => {
                ended = Ended::Interrupted;
                stop.cancel();
            }
        }
    }
    let elapsed = Instant::now().saturating_duration_since(begin);
    for worker in workers {
        worker.join().map_err(|_| anyhow!("a thread of the load generator panicked"))??;
    }
    let machine = before.and_then(machine::Busy::share_since);
    let scheduled = plan.scenario.model.duration();
    let period = if ended == Ended::Completed { scheduled } else { elapsed };
    // The generator works until the last answer, and rests when that came before the end.
    let effort = effort(&tally, &cpu, elapsed.max(period), machine, plan.endpoint.is_loopback());
    let series = series.finish(|at| level(&plan.scenario.model, at));
    Ok(Measured { tally, series, period, ended, effort })
}

fn level(model: &Model, at: Duration) -> f64 {
    match model {
        Model::Closed { users, .. } => users.level(at).ceil(),
        Model::Open { rate, .. } => rate.level(at),
    }
}

fn effort(
    tally: &Tally,
    cpu: &[Duration],
    elapsed: Duration,
    machine: Option<f64>,
    loopback: bool,
) -> Effort {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let shares: Vec<f64> = cpu.iter().map(|cpu| cpu.as_secs_f64() / seconds).collect();
    let busiest = shares.iter().copied().fold(0.0, f64::max);
    let late_p99 = tally.late.quantile(0.99);
    let mut saturated = Vec::new();
    if busiest > BUSY {
        saturated.push(format!("a generator thread used {:.0} % of its core", busiest * 100.0));
    }
    if let Some(late) = late_p99.filter(|late| *late > LATE) {
        saturated.push(format!("1 of 100 requests was sent more than {} ms late", late.as_millis()));
    }
    if let Some(machine) = machine.filter(|machine| loopback && *machine > 0.95) {
        let text = "this machine, which runs the generator and the service, was";
        saturated.push(format!("{text} {:.0} % busy", machine * 100.0));
    }
    let exhausted = tally.errors_of(ErrorKind::Exhausted);
    if exhausted > 0 {
        saturated.push(format!("{exhausted} requests found no free port or file descriptor on this machine"));
    }
    let (cores, at_limit) = (shares.iter().sum(), busiest > BUSY || exhausted > 0);
    Effort { threads: cpu.len(), cores, busiest, machine, late_p99, at_limit, saturated }
}
