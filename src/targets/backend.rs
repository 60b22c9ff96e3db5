//! What a target does for a stack. Each folder of a target implements this once; `Target` adds what all of them share.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use crate::render::lint;
use crate::stack::{Stack, TargetKind};
use crate::targets::change::{Change, Judge, Loss, Outcome, Stopped, Verb, elsewhere};
use crate::targets::finding::Finding;
use crate::targets::hold::Hold;
use crate::targets::logs::{LogsRequest, Sink};
use crate::targets::plan::Plan;
use crate::targets::progress::Say;
use crate::targets::revision::Revision;
use crate::targets::scaled::Scaled;
use crate::targets::status::{Autoscaler, Status};
use crate::targets::subject::Subject;

/// A stack on one target. What only one target has is refused by default.
pub(crate) trait Backend {
    /// What `down` finds before it begins.
    type Remains;

    /// The stack, with its replicas.
    fn stack(&self) -> &Stack;

    /// The same stack with other numbers of replicas.
    fn set_stack(&mut self, stack: Stack);

    /// The record of `scale` that is kept with the stack; the search may take `patience`.
    async fn scaled(&self, _patience: Duration) -> Result<Option<Scaled>> {
        Ok(None)
    }

    /// Replaces that record. `false` where none can be kept.
    async fn record_scaled(&self, _scaled: Option<&Scaled>) -> Result<bool> {
        Ok(false)
    }

    /// The file whose lock is the right to change the stack, in a folder that is there and private.
    fn lock_file(&self) -> Result<PathBuf>;

    /// The right to change the stack, among all machines that reach it; waits for another machine up to `patience`.
    async fn hold(&self, _verb: Verb, _patience: Duration, _say: Say<'_>) -> Result<Hold> {
        Ok(Hold::none())
    }

    /// What an interrupted change leads to, and the next command.
    fn when_interrupted(&self, verb: Verb) -> &'static str;

    /// What does not fit in the documents.
    fn findings(&self) -> Result<Vec<lint::Finding>> {
        Ok(Vec::new())
    }

    /// What `up` would do.
    async fn plan(&self, change: &Change, judge: Judge, say: Say<'_>) -> Result<Plan>;

    /// Brings the stack to what the file says. Doing it again changes nothing.
    async fn up(&self, change: &Change, say: Say<'_>) -> Result<Outcome>;

    /// Makes sure that the stack is up; exit 4 otherwise.
    async fn require_up(&self) -> Result<()>;

    /// Replaces every replica, a new one before the old one.
    async fn restart(&self, change: &Change, say: Say<'_>) -> Result<Outcome>;

    /// Looks for what `down` would stop and, with `volumes`, remove.
    async fn remains(&self, volumes: bool, say: Say<'_>) -> Result<Self::Remains>;

    /// The data that would be lost.
    fn loss(&self, remains: &Self::Remains) -> Loss;

    /// Stops the stack and, with `volumes`, removes its data.
    async fn down(&self, remains: &Self::Remains, volumes: bool, say: Say<'_>) -> Result<Stopped>;

    /// What runs now, also while the stack is down.
    async fn status(&self) -> Result<Status>;

    /// Hands log lines to `sink` until that returns `false`; without `follow` in the order of time.
    async fn logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()>;

    /// The running stack, for `verify` and `load`.
    async fn subject(&self) -> Result<Subject>;

    /// The answer of who keeps the stack's history to this query, as JSON; `None` where none is kept.
    async fn recorded(&self, _query: &str) -> Result<Option<Bytes>> {
        Ok(None)
    }

    /// Stops or starts Redis alone and waits until that is done.
    async fn switch_redis(&self, on: bool) -> Result<()>;

    /// What the target requires, with a fix for what is missing.
    async fn doctor(&self) -> Result<Vec<Finding>>;

    /// Processes that a crash left behind, with their ids.
    fn leftovers(&self) -> Result<Vec<(String, u32)>> {
        Ok(Vec::new())
    }

    /// Lets embedded stores continue with less than they acknowledged; a line for each.
    async fn accept_loss(&self) -> Result<Vec<String>> {
        Err(elsewhere(TargetKind::Local, self.stack(), "`--accept-loss`").into())
    }

    /// The autoscaler, once it had time to look.
    async fn settled_autoscaler(&self, _say: Say<'_>) -> Result<Option<Autoscaler>> {
        Ok(None)
    }

    /// The revisions that the target keeps, the newest last.
    async fn history(&self) -> Result<Vec<Revision>> {
        Err(elsewhere(TargetKind::Kubernetes, self.stack(), "`history`").into())
    }

    /// Returns to an earlier revision, by default the previous one.
    async fn rollback(&self, _revision: Option<u64>, _change: &Change, _say: Say<'_>) -> Result<Outcome> {
        Err(elsewhere(TargetKind::Kubernetes, self.stack(), "`rollback`").into())
    }
}
