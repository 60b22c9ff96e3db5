//! The façade: one stack on its target. What all targets share is here: the lock, Ctrl-C, progress and the time a change takes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use crate::document::counted;
use crate::error::{ExitStatus, Failure};
use crate::output::Output;
use crate::render::lint;
use crate::stack::{Stack, TargetKind};
use crate::targets::backend::Backend;
use crate::targets::change::{Change, Judge, Loss, Outcome, Stopped, Verb};
use crate::targets::compose::Compose;
use crate::targets::finding::Finding;
use crate::targets::interrupt::interruptible;
use crate::targets::kubernetes::Kubernetes;
use crate::targets::local::Local;
use crate::targets::lock::{Lock, PATIENCE};
use crate::targets::logs::{Line, LogsRequest};
use crate::targets::ownership::Claim;
use crate::targets::plan::Plan;
use crate::targets::progress::{Progress, Say};
use crate::targets::revision::Revision;
use crate::targets::scaled::{Scaled, State};
use crate::targets::status::{Autoscaler, Status};
use crate::targets::subject::Subject;

/// The project that a stack belongs to, and the user's choices that are in no file.
#[derive(Clone, Debug)]
pub struct Place {
    /// The project's folder.
    pub folder: PathBuf,
    /// Where appforge keeps what belongs to the project.
    pub state_folder: PathBuf,
    /// Whether the project has a stack file.
    pub has_file: bool,
    /// Take over the stack of another project.
    pub take_over: bool,
    /// The kubeconfig context that the command line names.
    pub context: Option<String>,
    /// Where messages go.
    pub out: Output,
}

/// A stack on its target. The stack carries its replicas.
#[derive(Debug)]
pub struct Target {
    backend: AnyBackend,
    state_folder: PathBuf,
    /// The number of replicas that the file says.
    configured: u32,
    out: Output,
}

#[derive(Debug)]
enum AnyBackend {
    Local(Box<Local>),
    Compose(Box<Compose>),
    Kubernetes(Box<Kubernetes>),
}

/// Runs an expression with the backend of a target.
macro_rules! with {
    (mut $target:expr, $backend:ident => $work:expr) => {
        match &mut $target.backend {
            AnyBackend::Local($backend) => $work,
            AnyBackend::Compose($backend) => $work,
            AnyBackend::Kubernetes($backend) => $work,
        }
    };
    ($target:expr, $backend:ident => $work:expr) => {
        match &$target.backend {
            AnyBackend::Local($backend) => $work,
            AnyBackend::Compose($backend) => $work,
            AnyBackend::Kubernetes($backend) => $work,
        }
    };
}

impl Target {
    /// Asks no engine yet. `templates` reads those that the project puts in place of ours.
    ///
    /// # Errors
    /// When the templates cannot be read.
    pub fn open(
        place: Place,
        stack: Stack,
        templates: impl FnOnce() -> Result<BTreeMap<String, String>>,
    ) -> Result<Self> {
        let claim = Claim::new(&place.folder, &place.state_folder, stack.id.clone(), place.has_file)
            .taking_over(place.take_over);
        let (state_folder, out) = (&place.state_folder, place.out);
        let configured = stack.replicas_on(stack.target);
        let backend = match stack.target {
            TargetKind::Local => AnyBackend::Local(Box::new(Local::new(state_folder, stack, claim))),
            TargetKind::Compose => {
                let folders = (place.folder.as_path(), state_folder.as_path());
                AnyBackend::Compose(Box::new(Compose::new(folders, stack, templates()?, claim)))
            }
            TargetKind::Kubernetes => {
                let say = move |line: &str| out.say(line);
                let folders = (place.folder.as_path(), state_folder.as_path());
                let kubernetes = Kubernetes::new(folders, stack, templates()?, claim).on(place.context, say);
                AnyBackend::Kubernetes(Box::new(kubernetes))
            }
        };
        Ok(Self { backend, state_folder: place.state_folder.clone(), configured, out })
    }

    /// The stack, with its replicas.
    pub(crate) fn stack(&self) -> &Stack {
        with!(self, backend => backend.stack())
    }

    /// The same stack with other numbers of replicas.
    #[must_use]
    pub(crate) fn with_stack(mut self, stack: Stack) -> Self {
        with!(mut self, backend => backend.set_stack(stack));
        self
    }

    /// What `scale` asked for, by whichever clone of the project, unless the file has changed its mind since.
    ///
    /// # Errors
    /// When the target cannot be reached within `patience`; exit 3 for a record that no command writes.
    pub(crate) async fn scaled(&self, patience: Duration) -> Result<Option<Scaled>> {
        let stack = self.stack();
        let state = self.state()?;
        let recorded = with!(self, backend => backend.scaled(patience).await)?;
        let recorded = recorded.or_else(|| state.get(stack.target).cloned());
        Ok(recorded.filter(|scaled| scaled.holds_for(stack)))
    }

    fn state(&self) -> Result<State> {
        State::load(&self.state_folder, |notice| self.out.warn(notice))
    }

    /// Records what the user asked for, with the stack where the target can keep it.
    async fn record_scaled(&self, scaled: Option<Scaled>) -> Result<()> {
        let target = self.stack().target;
        let kept = with!(self, backend => backend.record_scaled(scaled.as_ref()).await)?;
        State::record(target, scaled.filter(|_| !kept), &self.state_folder, |notice| self.out.warn(notice))
    }

    /// What does not fit in the documents, as `render` reports it too.
    pub fn findings(&self) -> Result<Vec<lint::Finding>> {
        with!(self, backend => backend.findings())
    }

    /// What `up` would do; changes nothing.
    pub async fn plan(&self, change: &Change, judge: Judge) -> Result<Plan> {
        with!(self, backend => backend.plan(change, judge, &|line| self.out.say(line)).await)
    }

    /// Brings the stack to what the file says and waits until it is ready. After a failure or an interruption, the next call
    /// continues where this one stopped. Each obstacle is an error with its own exit status and next command.
    pub async fn up(&self, change: &Change) -> Result<Outcome> {
        self.converge(Verb::Up, change).await
    }

    /// The same for a stack that is up; exit 4 when it is not.
    pub async fn scale(&self, change: &Change) -> Result<Outcome> {
        with!(self, backend => backend.require_up().await)?;
        self.converge(Verb::Scale, change).await
    }

    async fn converge(&self, verb: Verb, change: &Change) -> Result<Outcome> {
        with!(self, backend => {
            let work = async |say: Say<'_>| {
                if change.accept_loss {
                    for line in backend.accept_loss().await? {
                        self.out.say(line);
                    }
                }
                let outcome = backend.up(change, say).await?;
                if change.explicit {
                    self.remember(change.max).await?;
                }
                Ok(outcome)
            };
            self.timed(verb, &**backend, change, work).await
        })
    }

    async fn remember(&self, max: Option<u32>) -> Result<()> {
        let replicas = self.stack().replicas_on(self.stack().target);
        self.record_scaled(Scaled::new(replicas, max, self.configured)).await.map_err(|error| {
            let message =
                format!("{} now, which cannot be remembered", counted(replicas as usize, "replica"));
            Failure::new(ExitStatus::Failed, message)
                .hint(format!("fix that, then `appforge scale --replicas {replicas}`"))
                .caused_by(error)
                .into()
        })
    }

    /// Replaces every replica, one after the other; exit 4 when the stack is not up.
    pub async fn restart(&self, change: &Change) -> Result<Outcome> {
        with!(self, backend => {
            backend.require_up().await?;
            let work = async |say: Say<'_>| backend.restart(change, say).await;
            self.timed(Verb::Restart, &**backend, change, work).await
        })
    }

    /// The revisions that the target keeps, the newest last; exit 2 on a target that keeps none.
    pub async fn history(&self) -> Result<Vec<Revision>> {
        with!(self, backend => backend.history().await)
    }

    /// Returns to an earlier revision, by default the previous one; exit 2 for an unknown one.
    pub async fn rollback(&self, revision: Option<u64>, change: &Change) -> Result<Outcome> {
        with!(self, backend => {
            let work = async |say: Say<'_>| backend.rollback(revision, change, say).await;
            self.timed(Verb::Rollback, &**backend, change, work).await
        })
    }

    /// Stops the stack. With `volumes` its data is removed once `confirm` has agreed to the loss; `None` when it has not, and
    /// then nothing is changed.
    pub async fn down(
        &self,
        volumes: bool,
        confirm: impl FnOnce(&Loss) -> Result<bool>,
    ) -> Result<Option<Stopped>> {
        with!(self, backend => {
            let remains = backend.remains(volumes, &|line| self.out.say(line)).await?;
            let loss = if volumes { backend.loss(&remains) } else { Loss::default() };
            if !loss.lines.is_empty() && !confirm(&loss)? {
                return Ok(None);
            }
            let work = async |say: Say<'_>| {
                let stopped = backend.down(&remains, volumes, say).await?;
                if volumes {
                    let target = backend.stack().target;
                    State::record(target, None, &self.state_folder, |notice| self.out.warn(notice))?;
                }
                Ok(stopped)
            };
            self.change(Verb::Down, &**backend, PATIENCE, work).await.map(Some)
        })
    }

    /// What runs now, also while the stack is down.
    pub async fn status(&self) -> Result<Status> {
        with!(self, backend => backend.status().await)
    }

    /// Processes that a crash left behind, with their ids; the next `up` ends them.
    pub fn leftovers(&self) -> Result<Vec<(String, u32)>> {
        with!(self, backend => backend.leftovers())
    }

    /// Hands log lines to `sink` until that returns `false`. Exit 4 when there are no logs and the stack is not up, exit 2 for an
    /// unknown component.
    pub async fn logs(
        &self,
        request: &LogsRequest,
        mut sink: impl FnMut(Vec<Line>) -> Result<bool>,
    ) -> Result<()> {
        with!(self, backend => backend.logs(request, &mut sink).await)
    }

    /// The running stack, for `verify` and `load`; exit 4 when it is not up.
    pub async fn subject(&self) -> Result<Subject> {
        with!(self, backend => backend.subject().await)
    }

    /// The autoscaler, where there is one; one that was just created is given time to look first.
    pub async fn settled_autoscaler(&self, say: Say<'_>) -> Result<Option<Autoscaler>> {
        with!(self, backend => backend.settled_autoscaler(say).await)
    }

    /// The answer of the process that keeps the stack's history to this query, as JSON; `None` where none is kept.
    pub(crate) async fn recorded(&self, query: &str) -> Result<Option<Bytes>> {
        with!(self, backend => backend.recorded(query).await)
    }

    /// Stops or starts Redis alone and waits until that is done, for a drill.
    pub async fn switch_redis(&self, on: bool) -> Result<()> {
        with!(self, backend => backend.switch_redis(on).await)
    }

    /// What the target requires, with a fix for what is missing.
    pub async fn doctor(&self) -> Result<Vec<Finding>> {
        with!(self, backend => backend.doctor().await)
    }

    async fn timed<B: Backend>(
        &self,
        verb: Verb,
        backend: &B,
        change: &Change,
        work: impl AsyncFnOnce(Say<'_>) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let since = Instant::now();
        let outcome = self.change(verb, backend, change.timeout, work).await?;
        Ok(Outcome { took: since.elapsed(), ..outcome })
    }

    /// Runs one change: no other command, here or on another machine, changes the stack meanwhile, a signal ends the wait, and progress is shown.
    async fn change<B: Backend, T>(
        &self,
        verb: Verb,
        backend: &B,
        patience: Duration,
        work: impl AsyncFnOnce(Say<'_>) -> Result<T>,
    ) -> Result<T> {
        let progress = Progress::new(self.out);
        let say = |message: &str| progress.show(message);
        let lock = async { Lock::of_command(backend.lock_file()?, verb.as_str(), say).await };
        let _lock = interruptible(lock, "nothing was changed").await?;
        let mut hold = interruptible(backend.hold(verb, patience, &say), "nothing was changed").await?;
        let outcome = interruptible(hold.during(work(&say)), backend.when_interrupted(verb)).await;
        hold.release().await;
        outcome
    }
}
