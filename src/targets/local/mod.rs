//! The local target: a detached supervisor runs the stores and the replicas as processes of this machine. No Docker.

mod addresses;
mod app;
mod backend;
mod client;
mod doctor;
pub(crate) mod guard;
mod holders;
mod inotify;
mod launch;
pub(crate) mod layout;
pub(crate) mod leftovers;
mod logs;
pub(crate) mod parent_death;
pub(crate) mod protocol;
mod stores;
pub(crate) mod supervisor;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

pub(crate) use client::Client;
pub(crate) use watch::Watch;

use crate::files;
use crate::secrets::Secrets;
use crate::stack::environment::{environment, front, latency_bounds};
use crate::stack::model::StoreMode;
use crate::stack::{Stack, StoreKind};
use crate::targets::change::not_up;
use crate::targets::compose::StoreContainer;
use crate::targets::local::holders::{holders, holders_of_removed};
use crate::targets::local::layout::Layout;
use crate::targets::local::leftovers::{Process, Record, marked};
use crate::targets::local::protocol::{Answer, Desired, Setting, Surroundings, build};
use crate::targets::ownership::{Claim, Scope};
use crate::targets::plan::Plan;
use crate::targets::status::Status;

/// How long a supervisor that has nothing left to do may take to end.
const LEAVING: Duration = Duration::from_secs(10);

/// How long a supervisor without a folder may take to stop what it runs.
const LOST: Duration = Duration::from_secs(60);

/// A stack on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    layout: Layout,
    stack: Stack,
    claim: Claim,
}

impl Local {
    /// The stack of the project with this state folder.
    pub(crate) fn new(state_folder: &Path, stack: Stack, claim: Claim) -> Self {
        Self { layout: Layout::new(state_folder), stack, claim }
    }

    /// What the stack means here.
    fn desired(&self) -> Result<Desired> {
        self.desired_now().map(|(desired, _)| desired)
    }

    /// The same, and what an app of the user's own sees besides. Makes the probe secret when there is none yet.
    fn desired_now(&self) -> Result<(Desired, Surroundings)> {
        let stack = &self.stack;
        let secrets = Secrets::of(self.layout.root());
        secrets.get_or_make("probe")?;
        let (app, surroundings) = app::of(stack, self.claim.folder())?.unzip();
        let variables = if app.is_some() { front(stack) } else { environment(stack) };
        let settings = variables
            .into_iter()
            .chain(latency_bounds(stack))
            .map(|variable| (variable.name, Setting { value: variable.value, path: variable.path }));
        let desired = Desired {
            name: stack.name.to_string(),
            port: stack.service.port,
            address: stack.service.address,
            replicas: stack.service.replicas,
            environment: settings.collect::<BTreeMap<_, _>>(),
            probe_secret: self.layout.within(&secrets.path("probe")),
            mongodb: stores::mongodb(stack, &self.layout)?,
            redis: stores::redis(stack, &self.layout)?,
            app,
        };
        Ok((desired, surroundings.unwrap_or_default()))
    }

    /// The supervisor, when the stack is up.
    async fn find(&self) -> Result<Option<Client>> {
        Ok(self.answering().await?.map(|(client, _)| client))
    }

    /// The supervisor and what it says, when it runs this project's stack.
    async fn answering(&self) -> Result<Option<(Client, Answer)>> {
        let found = Client::find(&self.layout).await?;
        let owner = found.as_ref().and_then(|(_, answer)| answer.owner.as_ref());
        self.claim.check("local", self.stack.name.as_str(), owner, Scope::Folder)?;
        Ok(found)
    }

    /// The supervisor.
    ///
    /// # Errors
    /// When the stack is down (exit 4).
    async fn running(&self) -> Result<Client> {
        self.find().await?.ok_or_else(|| not_up(self.stack.name.as_str(), "", "appforge up").into())
    }

    /// The supervisor, started where there is none. One of another build of this program is replaced first.
    ///
    /// # Errors
    /// When it does not come up.
    async fn started(&self, mut progress: impl FnMut(&str)) -> Result<Client> {
        match self.answering().await? {
            Some((client, answer)) if answer.build == build() => return Ok(client),
            Some((client, _)) => {
                progress("the stack runs with another build of appforge and is restarted");
                self.stop(&client, &mut progress).await?;
            }
            None => drop(self.end_lost(&mut progress).await?),
        }
        launch::launch(&self.layout).await
    }

    /// Brings the stack to `desired`, by a supervisor that is started where there is none.
    ///
    /// # Errors
    /// When the supervisor does not come up, or what it says.
    async fn apply(
        &self,
        desired: &Desired,
        surroundings: &Surroundings,
        timeout: Duration,
        mut progress: impl FnMut(&str),
    ) -> Result<(Plan, Status)> {
        let recorded = self.answering().await?.and_then(|(_, answer)| answer.owner);
        let owner = self.claim.settle(recorded.as_ref())?;
        loop {
            let client = self.started(&mut progress).await?;
            match client.apply(desired, surroundings, &owner, timeout, &mut progress).await? {
                Some(done) => {
                    self.forget_addresses(|kind| desired.store(kind).is_external())?;
                    return Ok(done);
                }
                // A `down` that was cut off still goes on, for instance.
                None => self.gone("appforge up").await?,
            }
        }
    }

    /// Stops everything and waits until the supervisor is gone.
    async fn stop(&self, client: &Client, progress: impl FnMut(&str)) -> Result<Plan> {
        let plan = client.down(progress).await?;
        self.gone("appforge down").await?;
        self.layout.check()?;
        Ok(plan)
    }

    /// Waits until the supervisor has ended.
    async fn gone(&self, waiter: &str) -> Result<()> {
        crate::targets::lock::Lock::take(self.layout.supervisor_lock(), waiter, LEAVING, |_| ())
            .await
            .map(drop)
    }

    /// What `up` would do; with the stack down, everything.
    async fn plan_of(&self, desired: &Desired) -> Result<Plan> {
        match self.answering().await? {
            Some((client, answer)) if answer.build == build() => client.plan(desired).await,
            Some((_, answer)) => Ok(stores::plan_from_another_build(desired, &answer.status)),
            None => Ok(stores::plan_from_nothing(desired)),
        }
    }

    /// Processes that a crash left behind, by component; the next `up` clears them away.
    fn left_processes(&self) -> Result<Vec<(String, u32)>> {
        let record = Record::load(&self.layout.processes())?;
        let root = self.layout.root();
        let living =
            record.processes.into_iter().filter(|(_, process)| process.lives() && process.serves(root));
        let marked = marked(root)?.into_iter().map(|process| ("app".to_owned(), process));
        let lost = self.lost()?.into_iter().map(|process| ("supervisor".to_owned(), process));
        let mut all: BTreeMap<u32, String> =
            marked.chain(self.users_of_data()?).map(|(name, process)| (process.pid, name)).collect();
        all.extend(living.chain(lost).map(|(name, process)| (process.pid, name)));
        Ok(all.into_iter().map(|(pid, name)| (name, pid)).collect())
    }

    /// What still uses the data of a store, by the store's name.
    fn users_of_data(&self) -> Result<Vec<(String, Process)>> {
        let mut found = Vec::new();
        for kind in StoreKind::ALL {
            let name = kind.as_str();
            let path = self.layout.data().join(name).join(Layout::DATA_LOCK);
            // Without the file no store has used the folder yet.
            if let Ok(file) = files::open_private(&path) {
                found.extend(holders(&file)?.into_iter().map(|process| (name.to_owned(), process)));
            }
        }
        Ok(found)
    }

    /// Ends supervisors whose folder was removed while they ran, and returns how many there were.
    async fn end_lost(&self, mut progress: impl FnMut(&str)) -> Result<usize> {
        let lost = self.lost()?;
        for process in &lost {
            progress(&format!("ending the supervisor {}: its folder was removed", process.pid));
            process.end(LOST).await?;
        }
        Ok(lost.len())
    }

    /// A supervisor keeps the lock on a file that was removed with its folder.
    fn lost(&self) -> Result<Vec<Process>> {
        let root = self.layout.root();
        match (root.parent().map(Path::canonicalize), root.file_name()) {
            (Some(Ok(folder)), Some(name)) => {
                holders_of_removed(&Layout::new(folder.join(name)).supervisor_lock())
            }
            // Without the project's folder nothing can be known by its path.
            _ => Ok(Vec::new()),
        }
    }

    /// Removes the addresses of external stores, except those that are still used.
    fn forget_addresses(&self, is_used: impl Fn(StoreKind) -> bool) -> Result<()> {
        let secrets = Secrets::of(self.layout.root());
        let unused = StoreKind::ALL.into_iter().filter(|kind| !is_used(*kind));
        unused.map(stores::secret_name).try_for_each(|name| secrets.remove(&name))
    }

    /// Ends what a crash left behind.
    async fn reap(&self) -> Result<Vec<String>> {
        let mut record = Record::load(&self.layout.processes())?;
        let mut ended = record.reap().await?;
        for (name, process) in self.users_of_data()? {
            process.kill().await?;
            ended.push(name);
        }
        for kind in StoreKind::ALL {
            if self.stack.store_mode(kind) == StoreMode::Container {
                let name = stores::container_name(&self.stack, kind, &self.layout);
                ended.extend(StoreContainer::remove(&name).await?.then_some(name));
            }
        }
        if !ended.is_empty() {
            self.layout.check()?;
        }
        Ok(ended)
    }
}
