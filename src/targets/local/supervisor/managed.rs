//! Keeps one process running: starts it, waits until it is ready, starts it again after a crash, stops it in order.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use command_fds::{CommandFdExt, FdMapping};
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::{ExitStatus, Failure};
use crate::stack::values::Span;
use crate::targets::local::leftovers::{Process, Record};
use crate::targets::local::parent_death::{SELF, inherited};
use crate::targets::local::supervisor::app::AppProgram;
use crate::targets::local::supervisor::components::View;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::output::Log;
use crate::targets::local::supervisor::probe::Probe;
use crate::targets::local::supervisor::readiness::until_ready;
use crate::targets::local::supervisor::start::{Start, end, kill_group, outcome};
use crate::targets::status::ComponentState;

/// The pause before a crashed process is started again: it doubles from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A process that was ready as long as this starts again with the first pause.
const STEADY: Duration = Duration::from_secs(10);
/// Ended this often before it was ready: it will not become ready.
const MOST_ENDS: u32 = 3;
/// A program that listens elsewhere as long as this may not read `PORT`.
const MISPLACED: Duration = Duration::from_secs(5);
/// How long the last output of a process that ended may take to arrive.
const TRAILING_OUTPUT: Duration = Duration::from_millis(200);

/// How to run a process.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The name of the component.
    pub(crate) name: String,
    /// What runs.
    pub(super) run: Run,
    /// Sockets it inherits as descriptors 3, 4 and so on, by name (systemd's `LISTEN_FDS`). While no process accepts their
    /// connections, these wait.
    pub(crate) sockets: Vec<(&'static str, Arc<TcpListener>)>,
    /// The folder of its data, and the flag that names it: one process uses it at a time.
    pub(super) data: Option<(&'static str, Arc<DataFolder>)>,
    /// How long it may take to end after SIGTERM.
    pub(crate) grace: Duration,
}

/// What a process runs.
#[derive(Clone, Debug)]
pub(super) enum Run {
    /// The same at each start.
    Same {
        /// The program and its arguments.
        program: Vec<String>,
        /// Its environment, beyond the little that every child sees.
        environment: BTreeMap<String, String>,
        /// How to know that it is ready.
        probe: Probe,
    },
    /// An app of the user's own, on another port at each start.
    App(Arc<AppProgram>),
}

impl Recipe {
    /// A program of another maker may start others and end before them.
    fn is_guarded(&self) -> bool {
        match &self.run {
            Run::Same { program, .. } => program.first().is_some_and(|program| program != SELF),
            Run::App(_) => true,
        }
    }

    /// How to ask whether it still answers; for an app that is the business of its front.
    pub(super) fn probe(&self) -> Option<&Probe> {
        match &self.run {
            Run::Same { probe, .. } => Some(probe),
            Run::App(_) => None,
        }
    }
}

/// A process that is kept running until [`ManagedProcess::stop`]. Dropped without it, the process is killed.
#[derive(Debug)]
pub(crate) struct ManagedProcess {
    recipe: Recipe,
    view: watch::Receiver<View>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The record of processes, shared by all processes.
pub(crate) type SharedRecord = Arc<Mutex<Record>>;

impl ManagedProcess {
    /// Starts keeping the process of `recipe`.
    pub(crate) fn start(recipe: Recipe, log: Log, record: SharedRecord) -> Self {
        let (sender, view) = watch::channel(View::default());
        let stop = CancellationToken::new();
        let task =
            Task { recipe: recipe.clone(), log, record, view: sender, stop: stop.clone(), failures: 0 };
        Self { recipe, view, stop, task: tokio::spawn(task.run()) }
    }

    /// How it is run.
    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What it does now.
    pub(crate) fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends again and again, or `limit` passes (exit 9).
    pub(crate) async fn ready(&self, limit: Duration) -> Result<()> {
        let name = &self.recipe.name;
        let hint = format!("appforge logs {name}");
        let mut view = self.view.clone();
        let is_settled = |view: &View| view.state == ComponentState::Ready || view.restarts >= MOST_ENDS;
        let waited =
            timeout(limit, view.wait_for(is_settled)).await.map(|view| view.map(|view| view.clone()));
        let view = match waited {
            Err(_) => return Err(self.late(limit, hint)),
            Ok(view) => view.with_context(|| format!("`{name}` was removed from the stack"))?,
        };
        if view.state == ComponentState::Ready {
            return Ok(());
        }
        let trouble = view.trouble.unwrap_or_else(|| "it ended".into());
        let message = format!("`{name}` does not stay up: {trouble}");
        let mut failure = Failure::new(ExitStatus::Failed, message).hint(hint);
        if !view.last_lines.is_empty() {
            failure = failure.caused_by(anyhow!("`{name}` printed:\n  {}", view.last_lines.join("\n  ")));
        }
        Err(failure.into())
    }

    fn late(&self, limit: Duration, hint: String) -> anyhow::Error {
        let name = &self.recipe.name;
        let failure =
            Failure::new(ExitStatus::TimedOut, format!("`{name}` is not ready after {}", Span(limit)));
        match self.view.borrow().misplaced.first() {
            Some(port) => failure
                .caused_by(anyhow!("it listens on port {port}, and not on the one in `PORT`"))
                .hint(format!("let the app read `PORT`, or write `service.app_port: {port}`")),
            None => failure.hint(hint),
        }
        .into()
    }

    /// Resolves once it has listened for a while, and only on other ports than it should; the first of them.
    pub(super) async fn misplaced(&self) -> u16 {
        let mut view = self.view.clone();
        loop {
            let Ok(ports) =
                view.wait_for(|view| !view.misplaced.is_empty()).await.map(|it| it.misplaced.clone())
            else {
                return std::future::pending().await;
            };
            // A debugger or a page of metrics may listen before the app does.
            if timeout(MISPLACED, view.wait_for(|view| view.misplaced.is_empty())).await.is_err() {
                return ports.first().copied().unwrap_or_default();
            }
        }
    }

    /// Ends the process in order: SIGTERM, then after its grace SIGKILL, to its whole group.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has dropped its child, which kills it.
        let _ = self.task.await;
    }
}

struct Task {
    recipe: Recipe,
    log: Log,
    record: SharedRecord,
    view: watch::Sender<View>,
    stop: CancellationToken,
    /// Ends since it was last steady.
    failures: u32,
}

impl Task {
    async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let trouble = match self.spawn().await {
                Err(error) => format!("{error:#}"),
                Ok((child, port)) => match self.watch(child, port).await {
                    Some(trouble) => trouble,
                    None => break,
                },
            };
            self.log.line(format!("appforge: `{}` {trouble}", self.recipe.name).as_bytes());
            self.view.send_modify(|view| {
                view.state = ComponentState::Crashed;
                view.pid = None;
                view.port = None;
                view.restarts += 1;
                view.trouble = Some(trouble);
                view.last_lines = self.log.last_lines();
            });
            let pause = BACKOFF.0.saturating_mul(1 << self.failures.min(16)).min(BACKOFF.1);
            self.failures += 1;
            // Cancelled means stopped, which the loop sees.
            let _ = self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.recorded(None);
        self.view.send_modify(|view| {
            view.state = ComponentState::Stopped;
            view.port = None;
            view.pid = None;
        });
    }

    /// Waits for the end of one process; how it ended by itself, or `None` when it was stopped.
    async fn watch(&mut self, mut child: Child, port: Option<u16>) -> Option<String> {
        let pid = child.id();
        let captures = self.capture(&mut child);
        self.recorded(pid.and_then(Process::of));
        self.view.send_modify(|view| {
            view.state = ComponentState::Starting;
            view.misplaced.clear();
            view.pid = pid;
        });
        let mut ready_at = None;
        let view = self.view.clone();
        let elsewhere = move |ports| {
            view.send_if_modified(|view| {
                let is_news = view.misplaced != ports;
                view.misplaced = ports;
                is_news
            });
        };
        let ready = until_ready(self.recipe.probe().cloned(), pid.zip(port), elsewhere);
        tokio::pin!(ready);
        let mut waiting = true;
        let ended = loop {
            tokio::select! {
                ended = child.wait() => break ended,
                () = self.stop.cancelled() => {
                    self.end(child).await;
                    return None;
                }
                found = &mut ready, if waiting => {
                    waiting = false;
                    ready_at = Some(Instant::now());
                    self.view.send_modify(|view| found.show(view));
                }
            }
        };
        kill_group(pid, Signal::KILL);
        // What it printed last may still be on its way; a process that left the group can keep the stream open.
        let _ = timeout(TRAILING_OUTPUT, captures).await;
        if ready_at.is_some_and(|since: Instant| since.elapsed() > STEADY) {
            self.failures = 0;
        }
        Some(match ended {
            Ok(status) => outcome(status, self.recipe.is_guarded()),
            Err(error) => format!("was lost: {error}"),
        })
    }

    async fn end(&self, child: Child) {
        self.view.send_modify(|view| view.state = ComponentState::Stopping);
        if !end(child, self.recipe.grace, self.recipe.is_guarded()).await {
            self.log.line(b"appforge: did not end in time and was killed");
        }
    }

    /// The child and, for an app, the port that it was given.
    async fn spawn(&self) -> Result<(Child, Option<u16>)> {
        let recipe = &self.recipe;
        let start = match &recipe.run {
            Run::Same { program, environment, .. } => {
                let inherited = inherited()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
                let environment = inherited.chain(environment.clone()).collect();
                Start { program: program.clone(), environment, place: None }
            }
            Run::App(app) => app.next()?,
        };
        let guard = recipe.is_guarded().then_some(recipe.grace);
        let mut command =
            start.command(guard, &self.record.lock().unwrap_or_else(PoisonError::into_inner).mark());
        let mut descriptors = Vec::new();
        if !recipe.sockets.is_empty() {
            let names: Vec<&str> = recipe.sockets.iter().map(|(name, _)| *name).collect();
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
            for (_, socket) in &recipe.sockets {
                descriptors.push(OwnedFd::from(socket.try_clone()?));
            }
        }
        if let Some((flag, data)) = &recipe.data {
            descriptors.push(data.lock().await?.into());
            command.arg(flag).arg(data.path()?);
        }
        let mappings = (3..).zip(descriptors).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).context("two files for one descriptor")?;
        let child = command.spawn().with_context(|| format!("cannot start `{}`", recipe.name))?;
        Ok((child, start.place.map(|(_, port)| port)))
    }

    /// Writes what the child prints to the log, until its streams end.
    fn capture(&self, child: &mut Child) -> impl Future<Output = ()> + use<> {
        let stdout = child.stdout.take().map(|stdout| tokio::spawn(self.log.clone().capture(stdout)));
        let stderr = child.stderr.take().map(|stderr| tokio::spawn(self.log.clone().capture(stderr)));
        async {
            join_all(stdout.into_iter().chain(stderr)).await;
        }
    }

    fn recorded(&self, process: Option<Process>) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        // While a replica is replaced, two processes have its name; each takes away its own only.
        match process {
            Some(process) => {
                drop(record.processes.insert(format!("{}.{}", self.recipe.name, process.pid), process));
            }
            None => record.processes.retain(|_, process| process.lives()),
        }
        if let Err(error) = record.save() {
            // The record serves only the day after a crash of the supervisor, and children end with that anyway.
            tracing::warn!(error = format!("{error:#}"), "the record of processes was not written");
        }
    }
}
