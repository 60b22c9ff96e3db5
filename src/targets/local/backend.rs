//! The local target behind the façade: what each command does on this machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bytes::Bytes;

use super::{Local, addresses, stores};
use crate::files;
use crate::float;
use crate::render::lint;
use crate::secrets::Secrets;
use crate::stack::values::Secret;
use crate::stack::{ComponentKind, Stack, StoreKind, TargetKind};
use crate::targets::backend::Backend;
use crate::targets::change::{Change, Judge, Loss, Outcome, Stopped, Verb};
use crate::targets::finding::Finding;
use crate::targets::local::layout::APP_SECRETS;
use crate::targets::local::protocol::build;
use crate::targets::logs::{LogsRequest, Sink};
use crate::targets::plan::Plan;
use crate::targets::progress::Say;
use crate::targets::status::{ComponentState, Replicas, Status};
use crate::targets::subject::{REDIS_BACK_WITHIN, Replica, ServiceAddress, Subject, Ways};
use crate::targets::upstream;

impl Backend for Local {
    /// The data of the stores, each with its size in bytes.
    type Remains = Vec<(PathBuf, u64)>;

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn set_stack(&mut self, stack: Stack) {
        self.stack = stack;
    }

    fn lock_file(&self) -> Result<PathBuf> {
        self.layout.make()?;
        Ok(self.layout.command_lock())
    }

    fn when_interrupted(&self, verb: Verb) -> &'static str {
        match verb {
            Verb::Down => "the stack keeps stopping; `appforge status` shows what is left",
            _ => "the change continues; `appforge status` shows the state, `appforge down` stops the stack",
        }
    }

    fn findings(&self) -> Result<Vec<lint::Finding>> {
        Ok(lint::lint(&self.stack, TargetKind::Local, &[]))
    }

    async fn plan(&self, _change: &Change, _judge: Judge, _say: Say<'_>) -> Result<Plan> {
        self.plan_of(&self.desired()?).await
    }

    async fn up(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        let (desired, surroundings) = self.desired_now()?;
        let found = self.addresses(&desired).await?;
        if found.iter().any(|address| address.changed) {
            let tried = self.try_addresses().await;
            if let Some(refusal) = tried.refusal(&found, addresses::FROM) {
                return Err(refusal.into());
            }
        }
        self.keep_addresses()?;
        let (plan, status) = self.apply(&desired, &surroundings, change.timeout, say).await?;
        let mut outcome = Outcome::new(plan, status);
        if !found.is_empty() {
            outcome.unreachable = self.try_addresses().await.warnings(&found, addresses::FROM);
        }
        Ok(outcome)
    }

    async fn require_up(&self) -> Result<()> {
        self.running().await.map(drop)
    }

    async fn restart(&self, change: &Change, say: Say<'_>) -> Result<Outcome> {
        let (plan, status) = self.running().await?.restart(change.timeout, say).await?;
        Ok(Outcome::new(plan, status))
    }

    async fn remains(&self, volumes: bool, _say: Say<'_>) -> Result<Self::Remains> {
        if volumes { data(&self.layout.data()) } else { Ok(Vec::new()) }
    }

    fn loss(&self, remains: &Self::Remains) -> Loss {
        let mebibytes = |size: u64| float::from_u64(size) / f64::from(1 << 20);
        let line =
            |(path, size): &(PathBuf, u64)| format!("data: {} ({:.1} MiB)", path.display(), mebibytes(*size));
        Loss { lines: remains.iter().map(line).collect(), typed: None }
    }

    async fn down(&self, remains: &Self::Remains, volumes: bool, say: Say<'_>) -> Result<Stopped> {
        let count = match self.find().await? {
            Some(client) => self.stop(&client, say).await?.steps.len(),
            None => self.end_lost(say).await? + self.reap().await?.len(),
        };
        let mut removed = Vec::new();
        if volumes {
            for (path, _) in remains {
                files::remove_private(path)?;
                removed.push(path.display().to_string());
            }
            files::remove_private(&self.layout.history())?;
            self.forget_addresses(|_| false)?;
            Secrets::of(self.layout.root()).remove_all(APP_SECRETS)?;
        }
        // The state folder may have been removed while the stack ran.
        let kept = !volumes && !data(&self.layout.data())?.is_empty();
        Ok(Stopped { count, kept, removed })
    }

    async fn status(&self) -> Result<Status> {
        let mut status = match self.answering().await? {
            Some((client, answer)) if answer.build == build() => client.look().await?,
            Some((_, answer)) => answer.status,
            None => Status {
                stack: self.stack.name.to_string(),
                target: "local".into(),
                url: None,
                replicas: Replicas { desired: self.stack.service.replicas, ready: 0 },
                components: Vec::new(),
                cluster: None,
            },
        };
        if self.stack.service.is_own() {
            upstream::add_health(&mut status).await;
        }
        Ok(status)
    }

    async fn logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        self.read_logs(request, sink).await
    }

    async fn subject(&self) -> Result<Subject> {
        self.running().await?;
        let (stack, status) = (&self.stack, self.status().await?);
        let secrets = Secrets::of(self.layout.root());
        // A Redis with a password; see `supervisor`.
        let redis = secrets.get(stores::REDIS_URL)?;
        let store = |kind: StoreKind| {
            let component = status.components.iter().find(|component| component.kind == kind.into());
            match component.and_then(|component| component.endpoint.as_ref()) {
                Some(endpoint) => Secret::new(format!("{}://{endpoint}/", kind.as_str())),
                None => stack.external_text(kind).cloned().unwrap_or_else(|| Secret::new("")),
            }
        };
        let replicas = status.components.iter().filter(|component| {
            component.kind == ComponentKind::Service && component.state == ComponentState::Ready
        });
        let replicas = replicas.filter_map(|component| {
            Some(Replica { name: component.name.clone(), admin: component.endpoint.clone()? })
        });
        Ok(Subject {
            service: ServiceAddress::of(status.url.clone().unwrap_or_default()),
            probe_secret: secrets.get_or_make("probe")?,
            desired: stack.service.replicas,
            replicas: replicas.collect(),
            mongodb_uri: store(StoreKind::Mongodb),
            redis_url: redis.unwrap_or_else(|| store(StoreKind::Redis)),
            autoscaler: None,
            monitoring: None,
            detour: None,
            redis_back_within: REDIS_BACK_WITHIN,
            ways: Ways::default(),
        })
    }

    async fn recorded(&self, query: &str) -> Result<Option<Bytes>> {
        match self.answering().await? {
            Some((client, answer)) if answer.build == build() => client.history(query).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn switch_redis(&self, on: bool) -> Result<()> {
        self.running().await?.switch_redis(on).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>> {
        self.findings_of_doctor().await
    }

    fn leftovers(&self) -> Result<Vec<(String, u32)>> {
        self.left_processes()
    }

    async fn accept_loss(&self) -> Result<Vec<String>> {
        // A stack of another project keeps its data.
        self.find().await?;
        stores::accept_loss(&self.layout).await
    }
}

/// The data of each store, with its size in bytes.
fn data(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let paths = files::list_private(folder)?.into_iter().map(|name| folder.join(name));
    paths.map(|path| size(&path).map(|size| (path, size))).collect()
}

fn size(path: &Path) -> Result<u64> {
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |sum, entry| Ok(sum + size(&entry?.path())?))
}
