//! The running stack, and how it is brought to what it should be: apply, restart, tear down. What differs says `plan.rs`.
//!
//! One change at a time: the caller holds the stack exclusively. Stores come first, replicas are replaced without a gap.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};

use crate::error::{ExitStatus, Failure};
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::admin;
use crate::targets::local::layout::Layout;
use crate::targets::local::protocol::{Desired, Setting, Store};
use crate::targets::local::supervisor::components::{Components, Entry};
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::managed::{ManagedProcess, Recipe, SharedRecord};
use crate::targets::local::supervisor::output::Log;
use crate::targets::local::supervisor::{recipes, sockets};
use crate::targets::plan::{Action, Plan};

/// The running stack.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) layout: Layout,
    record: SharedRecord,
    components: Components,
    desired: Option<Desired>,
    pub(super) public: Option<(u16, Arc<TcpListener>)>,
    pub(super) stores: BTreeMap<StoreKind, RunningStore>,
    pub(super) replicas: BTreeMap<u32, Replica>,
}

#[derive(Debug)]
pub(super) struct RunningStore {
    pub(super) store: Store,
    /// `None` for one that others run.
    pub(super) kept: Option<(u16, Option<ManagedProcess>)>,
    /// Its data; `None` for one that others run.
    pub(super) data: Option<Arc<DataFolder>>,
}

#[derive(Debug)]
pub(super) struct Replica {
    process: ManagedProcess,
    admin: SocketAddr,
    pub(super) environment: BTreeMap<String, Setting>,
    /// Where the state folder was when it started.
    pub(super) folder: PathBuf,
}

/// How a change starts replicas.
#[derive(Clone, Copy)]
struct Start<'a> {
    wanted: &'a Desired,
    environment: &'a BTreeMap<String, Setting>,
    /// How long each may take to become ready.
    limit: Duration,
    events: &'a Events,
}

impl Running {
    /// A stack in which nothing runs yet.
    pub(crate) fn new(layout: Layout, record: SharedRecord, components: Components) -> Self {
        let (stores, replicas) = (BTreeMap::new(), BTreeMap::new());
        Self { layout, record, components, desired: None, public: None, stores, replicas }
    }

    /// Whether nothing was ever started, or all is stopped.
    pub(crate) fn is_down(&self) -> bool {
        self.desired.is_none()
    }

    /// Brings the stack to `wanted` and waits until it is ready; each component has `limit`.
    ///
    /// # Errors
    /// When the port is taken (nothing has changed then) or a component does not become ready; a stack that was down is
    /// down again then, and a replica that runs goes on in its old form.
    pub(crate) async fn apply(&mut self, wanted: Desired, limit: Duration, events: &Events) -> Result<Plan> {
        let plan = self.plan(&wanted);
        let was_down = self.is_down();
        let public = match &self.public {
            Some((port, listener)) if *port == wanted.port => listener.clone(),
            _ => Arc::new(sockets::public(wanted.port)?),
        };
        self.public = Some((wanted.port, public));
        let outcome = self.converge(wanted, limit, events).await;
        if outcome.is_err() && was_down {
            self.tear_down(events).await;
        }
        outcome.map(|()| plan)
    }

    async fn converge(&mut self, wanted: Desired, limit: Duration, events: &Events) -> Result<()> {
        let url = format!("http://127.0.0.1:{}", wanted.port);
        self.components.head(&wanted.name, Some(url), wanted.replicas);
        self.desired = Some(wanted.clone());
        for kind in StoreKind::ALL {
            self.place_store(kind, wanted.store(kind), events).await?;
        }
        let processes = self.stores.values().filter_map(RunningStore::process);
        try_join_all(processes.map(|process| process.ready(limit))).await?;

        let environment =
            recipes::environment(&wanted, self.port(StoreKind::Mongodb), self.port(StoreKind::Redis));
        let start = Start { wanted: &wanted, environment: &environment, limit, events };
        self.add_replicas(&start).await?;
        let stale: Vec<u32> = self
            .replicas
            .iter()
            .filter(|(number, replica)| {
                **number <= wanted.replicas && !self.is_current(replica, &environment)
            })
            .map(|(number, _)| *number)
            .collect();
        self.replace(&stale, &start).await?;
        let extra: Vec<u32> =
            self.replicas.keys().copied().filter(|number| *number > wanted.replicas).collect();
        self.remove_replicas(&extra, events).await;
        self.share_limit(wanted.replicas).await;
        Ok(())
    }

    fn is_current(&self, replica: &Replica, environment: &BTreeMap<String, Setting>) -> bool {
        let public = self.public.as_ref().map(|(_, listener)| listener);
        let sockets = &replica.process.recipe().sockets;
        let same_socket =
            sockets.iter().any(|(_, socket)| public.is_some_and(|public| Arc::ptr_eq(socket, public)));
        same_socket && replica.differences(environment).is_empty()
    }

    /// Starts or restarts a store where that is needed; does not wait until it is ready.
    async fn place_store(&mut self, kind: StoreKind, store: &Store, events: &Events) -> Result<()> {
        let name = kind.as_str();
        let is_current = |running: &RunningStore| {
            let path = self.layout.data().join(name);
            running.differences(name, store, &path).is_empty()
                && running.kept.as_ref().is_none_or(|(_, process)| process.is_some())
        };
        if self.stores.get(&kind).is_some_and(is_current) {
            return Ok(());
        }
        let old = self.stores.remove(&kind);
        let old_port = old.as_ref().and_then(|old| old.kept.as_ref()).map(|kept| kept.0);
        if let Some((_, Some(process))) = old.and_then(|old| old.kept) {
            events.progress(format!("stopping {name}"));
            process.stop().await;
        }
        let mut entry =
            Entry { kind: kind.into(), endpoint: None, program: store.described(), view: None, data: None };
        let mut running = RunningStore { store: store.clone(), kept: None, data: None };
        if !store.is_external() {
            events.progress(format!("starting {name} ({})", store.described()));
            running = self.start_store(kind, store, old_port)?;
            entry.endpoint = running.kept.as_ref().map(|(port, _)| format!("127.0.0.1:{port}"));
            entry.view = running.process().map(ManagedProcess::view);
            entry.data = running.data.clone();
        }
        self.components.set(0, name, entry);
        self.stores.insert(kind, running);
        Ok(())
    }

    async fn add_replicas(&mut self, start: &Start<'_>) -> Result<()> {
        let Start { wanted, environment, limit, events } = *start;
        let fresh: Vec<u32> =
            (1..=wanted.replicas).filter(|number| !self.replicas.contains_key(number)).collect();
        for number in &fresh {
            events.progress(format!("starting service-{number}"));
            let replica = self.start_replica(*number, wanted.replicas, environment)?;
            self.show(*number, &replica);
            self.replicas.insert(*number, replica);
        }
        let started = fresh.iter().filter_map(|number| self.replicas.get(number));
        let outcome = try_join_all(started.map(|replica| replica.process.ready(limit))).await;
        if outcome.is_err() && !self.replicas.keys().all(|number| fresh.contains(number)) {
            // Those that served before go on; the new ones that cannot are taken away again.
            self.remove_replicas(&fresh, events).await;
        }
        outcome.map(drop)
    }

    /// Replaces replicas one after the other: the new one is ready before the old one has to finish.
    async fn replace(&mut self, numbers: &[u32], start: &Start<'_>) -> Result<()> {
        let Start { wanted, environment, limit, events } = *start;
        let mut leaving = Vec::new();
        let mut outcome = Ok(());
        for number in numbers {
            events.progress(format!("replacing service-{number}"));
            let replica = self.start_replica(*number, wanted.replicas, environment)?;
            outcome = replica.process.ready(limit).await;
            if outcome.is_err() {
                replica.process.stop().await;
                break;
            }
            self.show(*number, &replica);
            if let Some(old) = self.replicas.insert(*number, replica) {
                // It lets its clients go in its own time; the next one need not wait for that.
                leaving.push(tokio::spawn(old.process.stop()));
            }
        }
        join_all(leaving).await;
        outcome
    }

    async fn remove_replicas(&mut self, numbers: &[u32], events: &Events) {
        let mut leaving = Vec::new();
        for number in numbers {
            if let Some(replica) = self.replicas.remove(number) {
                events.progress(format!("stopping service-{number}"));
                leaving.push((*number, replica));
            }
        }
        let numbers: Vec<u32> = leaving.iter().map(|(number, _)| *number).collect();
        join_all(leaving.into_iter().map(|(_, replica)| replica.process.stop())).await;
        for number in numbers {
            self.components.remove(ComponentKind::Service, number);
        }
    }

    /// Replaces every replica by a new one of the same form.
    ///
    /// # Errors
    /// When a new one does not become ready; the old one goes on then.
    pub(crate) async fn restart(&mut self, limit: Duration, events: &Events) -> Result<Plan> {
        let wanted = self.desired.clone().ok_or_else(down)?;
        let environment =
            recipes::environment(&wanted, self.port(StoreKind::Mongodb), self.port(StoreKind::Redis));
        let numbers: Vec<u32> = self.replicas.keys().copied().collect();
        let start = Start { wanted: &wanted, environment: &environment, limit, events };
        self.replace(&numbers, &start).await?;
        let mut plan = Plan::default();
        for number in numbers {
            plan.push(Action::Restart, format!("service-{number}"), Vec::new());
        }
        Ok(plan)
    }

    /// Stops everything: replicas, then stores.
    pub(crate) async fn tear_down(&mut self, events: &Events) -> Plan {
        let mut plan = Plan::default();
        let numbers: Vec<u32> = self.replicas.keys().copied().collect();
        for number in &numbers {
            plan.push(Action::Remove, format!("service-{number}"), Vec::new());
        }
        self.remove_replicas(&numbers, events).await;
        self.public = None;
        let stores = std::mem::take(&mut self.stores);
        let mut leaving = Vec::new();
        for (kind, store) in stores {
            let name = kind.as_str();
            if let Some((_, Some(process))) = store.kept {
                events.progress(format!("stopping {name}"));
                plan.push(Action::Remove, name, Vec::new());
                leaving.push(process);
            }
            self.components.remove(kind.into(), 0);
        }
        join_all(leaving.into_iter().map(ManagedProcess::stop)).await;
        self.desired = None;
        plan
    }

    /// Stops or starts Redis alone, to see what the service does without it.
    ///
    /// # Errors
    /// When the stack is down, or Redis is run by someone else.
    pub(crate) async fn switch_redis(&mut self, on: bool, limit: Duration) -> Result<()> {
        let running = self.stores.get_mut(&StoreKind::Redis).ok_or_else(down)?;
        let Some((port, process)) = &mut running.kept else {
            return Err(
                Failure::new(ExitStatus::Failed, "Redis is external; appforge does not stop it").into()
            );
        };
        match (process.take(), on) {
            (Some(process), false) => process.stop().await,
            (None, true) => {
                let (store, port) = (running.store.clone(), *port);
                let fresh = self.start_store(StoreKind::Redis, &store, Some(port))?;
                let endpoint = Some(format!("127.0.0.1:{port}"));
                let view = fresh.process().map(ManagedProcess::view);
                self.components.set(
                    0,
                    StoreKind::Redis.as_str(),
                    Entry {
                        kind: StoreKind::Redis.into(),
                        endpoint,
                        program: store.described(),
                        view,
                        data: fresh.data.clone(),
                    },
                );
                let ready = match fresh.process() {
                    Some(process) => process.ready(limit).await,
                    None => Ok(()),
                };
                self.stores.insert(StoreKind::Redis, fresh);
                ready?;
            }
            (same, _) => *process = same,
        }
        Ok(())
    }

    /// Starts a store that we run; on `port`, or on one that is chosen.
    fn start_store(&self, kind: StoreKind, store: &Store, port: Option<u16>) -> Result<RunningStore> {
        let path = self.layout.data().join(kind.as_str());
        crate::files::make_private_folder(&path)?;
        let data = Arc::new(DataFolder::open(&path)?);
        let listener = sockets::store(&self.record, kind, port)?;
        let port = listener.local_addr()?.port();
        let recipe = recipes::store(kind, store, data.clone(), listener);
        let kept = Some((port, recipe.map(|recipe| self.keep(recipe))));
        Ok(RunningStore { store: store.clone(), kept, data: Some(data) })
    }

    fn start_replica(
        &self,
        number: u32,
        replicas: u32,
        environment: &BTreeMap<String, Setting>,
    ) -> Result<Replica> {
        let (_, public) = self.public.as_ref().ok_or_else(down)?;
        let listener = Arc::new(sockets::any()?);
        let admin = listener.local_addr()?;
        let recipe = recipes::replica(number, replicas, environment, [public.clone(), listener])?;
        let folder = std::env::current_dir().context("while looking up the state folder")?;
        Ok(Replica { process: self.keep(recipe), admin, environment: environment.clone(), folder })
    }

    /// Sets over how many replicas the limit is shared while Redis is away.
    async fn share_limit(&self, replicas: u32) {
        let links = self.replicas.values().map(|replica| {
            (replica.process.recipe().name.clone(), admin::connect(format!("http://{}", replica.admin)))
        });
        let links = links.collect();
        for line in admin::share_limit(links, replicas).await {
            tracing::warn!("{line}");
        }
    }

    fn show(&self, number: u32, replica: &Replica) {
        let entry = Entry {
            kind: ComponentKind::Service,
            endpoint: Some(format!("http://{}", replica.admin)),
            program: "bundled".into(),
            view: Some(replica.process.view()),
            data: None,
        };
        self.components.set(number, format!("service-{number}"), entry);
    }

    fn keep(&self, recipe: Recipe) -> ManagedProcess {
        let log = Log::new(&self.layout.logs(), &recipe.name);
        ManagedProcess::start(recipe, log, self.record.clone())
    }

    pub(super) fn port(&self, kind: StoreKind) -> Option<u16> {
        self.stores.get(&kind)?.kept.as_ref().map(|kept| kept.0)
    }
}

impl RunningStore {
    fn process(&self) -> Option<&ManagedProcess> {
        self.kept.as_ref()?.1.as_ref()
    }
}

fn down() -> anyhow::Error {
    Failure::new(ExitStatus::Unreachable, "the stack is down").hint("appforge up").into()
}
