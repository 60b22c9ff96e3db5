//! The Kubernetes target behind the façade: what each command does on a cluster.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::render::context::compose::admin_port;
use crate::render::lint;
use crate::stack::Stack;
use crate::targets::backend::Backend;
use crate::targets::change::{Change, Judge, LOOK, Loss, Outcome, Stopped, Verb};
use crate::targets::finding::Finding;
use crate::targets::hold::Hold;
use crate::targets::kubernetes::apply::down::Remains;
use crate::targets::kubernetes::client::link::Link;
use crate::targets::kubernetes::observe::Snapshot;
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::lock::Lock;
use crate::targets::logs::{LogsRequest, Sink};
use crate::targets::plan::Plan;
use crate::targets::progress::Say;
use crate::targets::revision::Revision;
use crate::targets::scaled::Scaled;
use crate::targets::status::{Autoscaler, Status};
use crate::targets::subject::Subject;
use crate::targets::upstream;

/// How long `down` may take; a store writes its data then.
const ENDING: Duration = Duration::from_secs(180);

impl Backend for Kubernetes {
    type Remains = Remains;

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn set_stack(&mut self, stack: Stack) {
        self.stack = stack;
    }

    async fn scaled(&self, patience: Duration) -> Result<Option<Scaled>> {
        self.recorded_scale(&self.reach(patience).await?).await
    }

    async fn record_scaled(&self, scaled: Option<&Scaled>) -> Result<bool> {
        self.record_scale(&self.reach(LOOK).await?, scaled).await
    }

    fn lock_file(&self) -> Result<PathBuf> {
        Lock::file_in(&self.folder)
    }

    async fn hold(&self, verb: Verb, patience: Duration, say: Say<'_>) -> Result<Hold> {
        self.take_lease(verb, patience, say).await
    }

    fn when_interrupted(&self, verb: Verb) -> &'static str {
        match verb {
            Verb::Up | Verb::Scale => {
                "completed steps are kept; `appforge up` continues from there, `appforge down` stops the stack"
            }
            Verb::Restart | Verb::Rollback => "the cluster continues; `appforge status` shows the state",
            Verb::Down => "`appforge down` continues from there",
        }
    }

    fn findings(&self) -> Result<Vec<lint::Finding>> {
        self.unfit()
    }

    async fn plan(&self, change: &Change, judge: Judge, say: Say<'_>) -> Result<Plan> {
        self.session(self.reach(LOOK).await?, say).diff(change, judge).await
    }

    async fn up(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        self.session(self.reach(change.timeout).await?, say).up(change).await
    }

    async fn require_up(&self) -> Result<()> {
        let cluster = self.connect(LOOK).await?;
        self.session(cluster, &|_| ()).live().await.map(drop)
    }

    async fn restart(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        self.session(self.connect(change.timeout).await?, say).restart().await
    }

    async fn remains(&self, _volumes: bool, say: Say<'_>) -> Result<Remains> {
        self.look_for_remains(ENDING, say).await
    }

    fn loss(&self, remains: &Remains) -> Loss {
        let lines = remains.data().iter().map(|object| format!("data: {object}")).collect();
        // What it would take may be production's.
        Loss { lines, typed: Some(self.name().to_owned()) }
    }

    async fn down(&self, remains: &Remains, volumes: bool, say: Say<'_>) -> Result<Stopped> {
        let session = self.session(remains.cluster.clone(), say);
        let count = session.down(remains, volumes).await?;
        let removed = if volumes { remains.data() } else { Vec::new() };
        Ok(Stopped { count, kept: !volumes, removed })
    }

    async fn status(&self) -> Result<Status> {
        let cluster = self.connect(LOOK).await?;
        let snapshot = Snapshot::take(&cluster, self.name()).await?;
        let mut status = self.status_of(&cluster, &snapshot);
        if self.stack.service.is_own() {
            let (port, late) = (admin_port(&self.stack), &cluster);
            let open = |pod: String| async move { Ok(Link::open(late, &pod, port).await?.stream) };
            upstream::add_health_of_pods(&mut status, open).await;
        }
        Ok(status)
    }

    async fn logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        self.read_logs(request, sink).await
    }

    async fn subject(&self) -> Result<Subject> {
        self.running().await
    }

    async fn switch_redis(&self, on: bool) -> Result<()> {
        self.scale_redis(on).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>> {
        Ok(self.conditions().await)
    }

    async fn settled_autoscaler(&self, say: Say<'_>) -> Result<Option<Autoscaler>> {
        say("waiting for the autoscaler's next evaluation");
        self.watch_autoscaler().await
    }

    async fn history(&self) -> Result<Vec<Revision>> {
        let cluster = self.connect(LOOK).await?;
        self.session(cluster, &|_| ()).history().await
    }

    async fn rollback(&self, revision: Option<u64>, change: &Change, say: Say<'_>) -> Result<Outcome> {
        self.session(self.connect(change.timeout).await?, say).rollback(revision).await
    }
}
