//! One thread of the generator: a runtime, its share of the users, and a window of measurements sent off each tick.

use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::float;
use crate::load::generator::plan::{GRACE, Plan, TICK};
use crate::load::generator::user::{Shared, User};
use crate::load::generator::{closed, machine, open};
use crate::load::scenario::Model;
use crate::load::tally::Tally;

/// What one worker measured in one tick.
pub(super) struct Window {
    pub worker: usize,
    /// The tick that ended, from 1.
    pub tick: u64,
    pub tally: Tally,
}

/// Starts worker `index`.
pub(super) fn spawn(
    plan: Arc<Plan>,
    index: usize,
    begin: Instant,
    stop: CancellationToken,
    windows: mpsc::Sender<Window>,
) -> Result<JoinHandle<Result<()>>> {
    spawn_thread(format!("load-{index}"), move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = LocalSet::new();
        let shared = Rc::new(Shared::new(plan, index, begin, stop)?);
        let outcome = local.block_on(&runtime, run(&shared, &windows));
        // Nothing that is still on its way may hold up the end.
        drop(local);
        runtime.shutdown_background();
        outcome
    })
}

fn spawn_thread(
    name: String,
    run: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<JoinHandle<Result<()>>> {
    std::thread::Builder::new().name(name).spawn(run).context("cannot start a thread of the load generator")
}

async fn run(shared: &Rc<Shared>, windows: &mpsc::Sender<Window>) -> Result<()> {
    let mut users = start_users(shared);
    let model = &shared.plan.scenario.model;
    // What is due but has found no connection is given up after one timeout; what is on its way then has its own.
    let give_up = shared.begin + model.duration() + shared.plan.timeout;
    let mut cut = give_up + shared.plan.timeout + GRACE;
    let mut ticks = interval_at((shared.begin + TICK).into(), TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut gauge = Gauge { cpu: machine::thread_cpu() };
    let mut interrupted = false;
    loop {
        tokio::select! {
            ended = users.join_next() => match ended {
                None => break,
                Some(ended) => ended.context("a virtual user panicked")??,
            },
            _ = ticks.tick() => gauge.send(shared, windows).await,
            () = shared.stop.cancelled(), if !interrupted => {
                interrupted = true;
                shared.stopped.set(true);
                cut = cut.min(Instant::now() + GRACE);
            }
            () = sleep_until(give_up.into()), if !shared.stopped.get() => shared.stopped.set(true),
            () = sleep_until(cut.into()) => break,
        }
    }
    if let Model::Open { rate, .. } = model {
        open::count_unsent(shared, rate);
    }
    gauge.send(shared, windows).await;
    Ok(())
}

fn start_users(shared: &Rc<Shared>) -> JoinSet<Result<()>> {
    let mut users = JoinSet::new();
    let plan = &shared.plan;
    for number in (shared.worker..plan.scenario.model.connections()).step_by(plan.threads.max(1)) {
        let user = User::new(Rc::clone(shared), number);
        let shared = Rc::clone(shared);
        users.spawn_local(async move {
            match &shared.plan.scenario.model {
                Model::Closed { users, think_time } => closed::run(&shared, user, users, *think_time).await,
                Model::Open { rate, .. } => open::run(&shared, user, rate).await,
            }
        });
    }
    users
}

struct Gauge {
    cpu: Duration,
}

impl Gauge {
    async fn send(&mut self, shared: &Shared, windows: &mpsc::Sender<Window>) {
        let cpu = machine::thread_cpu();
        let fresh = Tally::new(&shared.plan.scenario.steps);
        let mut tally = mem::replace(&mut *shared.tally.borrow_mut(), fresh);
        tally.cpu = cpu - mem::replace(&mut self.cpu, cpu);
        tally.sent = shared.traffic.sent.take();
        tally.received = shared.traffic.received.take();
        let since = Instant::now().saturating_duration_since(shared.begin);
        let tick = float::to_u64(since.div_duration_f64(TICK).round().max(1.0));
        // Nobody listens any more when the run was dropped; its users are told to stop.
        let _ = windows.send(Window { worker: shared.worker, tick, tally }).await;
    }
}
