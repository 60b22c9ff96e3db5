//! The Compose target behind the façade: what each command does on an engine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::render::lint;
use crate::stack::{Stack, StoreKind, TargetKind};
use crate::targets::backend::Backend;
use crate::targets::change::{Change, Judge, Loss, Outcome, Stopped, Verb};
use crate::targets::compose::observe::{Container, Gateway};
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::not_up;
use crate::targets::finding::Finding;
use crate::targets::lock::Lock;
use crate::targets::logs::{LogsRequest, Sink};
use crate::targets::plan::Plan;
use crate::targets::progress::Say;
use crate::targets::scaled::Scaled;
use crate::targets::status::Status;
use crate::targets::subject::Subject;
use crate::targets::upstream;

/// How long Compose may take to hash the documents.
const HASHING: Duration = Duration::from_secs(30);
/// How long containers may take to end; a store writes its data then.
const ENDING: Duration = Duration::from_secs(180);

impl Backend for Compose {
    /// The volumes, which hold the data.
    type Remains = Vec<String>;

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn set_stack(&mut self, stack: Stack) {
        self.stack = stack;
    }

    async fn scaled(&self, _patience: Duration) -> Result<Option<Scaled>> {
        self.recorded_scale(&self.engine().await?).await
    }

    async fn record_scaled(&self, scaled: Option<&Scaled>) -> Result<bool> {
        self.record_scale(&self.engine().await?, scaled).await.map(|()| true)
    }

    fn lock_file(&self) -> Result<PathBuf> {
        Lock::file_in(&self.folder)
    }

    fn when_interrupted(&self, verb: Verb) -> &'static str {
        match verb {
            Verb::Down => "`appforge down` continues from there",
            _ => {
                "completed steps are kept; `appforge up` continues from there, `appforge down` stops the stack"
            }
        }
    }

    fn findings(&self) -> Result<Vec<lint::Finding>> {
        Ok(lint::lint(&self.stack, TargetKind::Compose, &self.documents()?))
    }

    async fn plan(&self, _change: &Change, _judge: Judge, say: Say<'_>) -> Result<Plan> {
        let documents = self.documents()?;
        self.session(HASHING, say).await?.diff(&documents).await
    }

    async fn up(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        // What cannot be rendered is an error before the engine is asked.
        let documents = self.documents()?;
        self.require_receivers()?;
        let session = self.session(change.timeout, say).await?;
        let mut outcome = Box::pin(session.up(&documents)).await?;
        outcome.unreachable = self.unreachable(change.strict, say).await?;
        Ok(outcome)
    }

    async fn require_up(&self) -> Result<()> {
        let engine = self.engine().await?;
        if engine.containers(self.project()).await?.iter().any(Container::is_up) {
            Ok(())
        } else {
            Err(not_up(self.project()).into())
        }
    }

    async fn restart(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        self.session(change.timeout, say).await?.restart().await
    }

    async fn remains(&self, volumes: bool, _say: Say<'_>) -> Result<Self::Remains> {
        if volumes { self.engine().await?.volumes(self.project()).await } else { Ok(Vec::new()) }
    }

    fn loss(&self, remains: &Self::Remains) -> Loss {
        let lines = remains.iter().map(|volume| format!("data: the volume {volume}")).collect();
        Loss { lines, typed: None }
    }

    async fn down(&self, remains: &Self::Remains, volumes: bool, say: Say<'_>) -> Result<Stopped> {
        let count = self.session(ENDING, say).await?.down(volumes).await?;
        Ok(Stopped { count, kept: !volumes, removed: remains.clone() })
    }

    async fn status(&self) -> Result<Status> {
        let engine = self.engine().await?;
        let mut containers = engine.containers(self.project()).await?;
        if let Some(gateway) = Gateway::of(&engine, &containers) {
            // A gateway that does not answer shows in its own line.
            if let Ok(slots) = gateway.slots().await {
                self.mark_unreached(&mut containers, &slots);
            }
        }
        self.mark_unpublished(&engine, &mut containers).await;
        let mut status = self.status_of(&engine, &containers, self.stack.service.replicas);
        if self.stack.service.is_own() {
            upstream::add_health(&mut status).await;
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
        let (engine, id) = self.container_of(StoreKind::Redis).await?;
        if on {
            Ok(engine.docker.start_container(&id, None).await?)
        } else {
            Ok(engine.docker.stop_container(&id, None).await?)
        }
    }

    async fn doctor(&self) -> Result<Vec<Finding>> {
        Ok(self.conditions().await)
    }
}
