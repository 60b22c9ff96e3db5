//! The running stack, and how it is brought to what it should be: apply, restart, tear down. What differs says `plan.rs`.
//!
//! One change at a time: the caller holds the stack exclusively. Stores come first, replicas are replaced without a gap.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::{join_all, try_join_all};

use crate::error::{ExitStatus, Failure};
use crate::stack::values::CommandLine;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::admin;
use crate::targets::local::layout::Layout;
use crate::targets::local::protocol::{Desired, Setting, Store, Surroundings};
use crate::targets::local::supervisor::components::Components;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::managed::{ManagedProcess, Recipe, SharedRecord};
use crate::targets::local::supervisor::output::Log;
use crate::targets::local::supervisor::pairs::Pairs;
use crate::targets::local::supervisor::replica::{Form, Replica};
use crate::targets::local::supervisor::sockets;
use crate::targets::plan::{Action, Plan};

/// The running stack.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) layout: Layout,
    pub(super) record: SharedRecord,
    pub(super) components: Components,
    desired: Option<Desired>,
    pub(super) public: Option<Public>,
    pub(super) stores: BTreeMap<StoreKind, RunningStore>,
    pub(super) replicas: BTreeMap<u32, Replica>,
    pub(super) pairs: Pairs,
    /// What an app of the user's own sees besides the stack file, since the last `up`.
    pub(super) surroundings: Arc<Surroundings>,
    /// The release command that ran last, and for which form.
    pub(super) released: Option<(CommandLine, BTreeMap<String, Setting>)>,
}

/// The published sockets.
#[derive(Clone, Debug)]
pub(super) struct Public {
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    pub(super) sockets: Vec<Arc<TcpListener>>,
}

impl Public {
    fn open(desired: &Desired) -> Result<Self> {
        let (address, port) = (desired.address, desired.port);
        Ok(Self { address, port, sockets: sockets::public(address, port)? })
    }

    fn is(&self, desired: &Desired) -> bool {
        (self.address, self.port) == (desired.address, desired.port)
    }
}

#[derive(Debug)]
pub(super) struct RunningStore {
    pub(super) store: Store,
    /// `None` for one that others run.
    pub(super) kept: Option<(u16, Option<ManagedProcess>)>,
    /// Its data; `None` for one that others run.
    pub(super) data: Option<Arc<DataFolder>>,
}

/// How a change starts replicas.
#[derive(Clone, Copy)]
struct Start<'a> {
    desired: &'a Desired,
    form: &'a Form,
    /// How long each may take to become ready.
    limit: Duration,
    events: &'a Events,
}

impl Running {
    /// A stack in which nothing runs yet.
    pub(crate) fn new(layout: Layout, record: SharedRecord, components: Components) -> Self {
        let (stores, replicas) = (BTreeMap::new(), BTreeMap::new());
        let (pairs, surroundings) = (Pairs::default(), Arc::default());
        Self {
            layout,
            record,
            components,
            desired: None,
            public: None,
            stores,
            replicas,
            pairs,
            surroundings,
            released: None,
        }
    }

    /// Whether nothing was ever started, or all is stopped.
    pub(crate) fn is_down(&self) -> bool {
        self.desired.is_none()
    }

    /// Brings the stack to `desired` and waits until it is ready; each component has `limit`.
    ///
    /// # Errors
    /// When the port is taken (nothing has changed then) or a component does not become ready; a stack that was down is
    /// down again then, and a replica that runs goes on in its old form.
    pub(crate) async fn apply(
        &mut self,
        desired: Desired,
        surroundings: Surroundings,
        limit: Duration,
        events: &Events,
    ) -> Result<Plan> {
        let plan = self.plan(&desired);
        let was_down = self.is_down();
        match &self.public {
            Some(public) if public.is(&desired) => {}
            Some(public) if public.port == desired.port => self.move_to(&desired, limit, events).await?,
            _ => self.public = Some(Public::open(&desired)?),
        }
        let before =
            (self.desired.clone(), std::mem::replace(&mut self.surroundings, Arc::new(surroundings)));
        let outcome = self.converge(desired, limit, events).await;
        if outcome.is_err() {
            if was_down {
                self.tear_down(events).await;
            } else {
                // What did not become ready is not what `restart` should start.
                (self.desired, self.surroundings) = before;
            }
        }
        outcome.map(|()| plan)
    }

    /// Publishes the same port on another address. The new sockets cannot be opened while a replica still listens on an old
    /// one, so this is the one change with a gap. When they cannot be opened at all, the old ones are again.
    async fn move_to(&mut self, desired: &Desired, limit: Duration, events: &Events) -> Result<()> {
        let numbers: Vec<u32> = self.replicas.keys().copied().collect();
        self.remove_replicas(&numbers, events).await;
        self.public = None;
        match (Public::open(desired), self.desired.clone()) {
            (Ok(public), _) => self.public = Some(public),
            (Err(error), None) => return Err(error),
            (Err(error), Some(before)) => {
                self.public = Some(Public::open(&before)?);
                self.converge(before, limit, events).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn converge(&mut self, desired: Desired, limit: Duration, events: &Events) -> Result<()> {
        let url = sockets::url(desired.address, desired.port);
        self.components.head(&desired.name, Some(url), desired.replicas);
        self.desired = Some(desired.clone());
        for kind in StoreKind::ALL {
            self.place_store(kind, desired.store(kind), events).await?;
        }
        let processes = self.stores.values().filter_map(RunningStore::process);
        try_join_all(processes.map(|process| process.ready(limit))).await?;

        let form = self.form(&desired);
        self.release(&desired, &form, limit, events).await?;
        let start = Start { desired: &desired, form: &form, limit, events };
        self.add_replicas(&start).await?;
        let stale: Vec<u32> = self
            .replicas
            .iter()
            .filter(|(number, replica)| **number <= desired.replicas && !self.is_current(replica, &form))
            .map(|(number, _)| *number)
            .collect();
        self.replace(&stale, &start).await?;
        let extra: Vec<u32> =
            self.replicas.keys().copied().filter(|number| *number > desired.replicas).collect();
        self.remove_replicas(&extra, events).await;
        self.share_limit(desired.replicas).await;
        Ok(())
    }

    fn is_current(&self, replica: &Replica, form: &Form) -> bool {
        let public = self.public.as_ref().and_then(|public| public.sockets.first());
        let sockets = &replica.process.recipe().sockets;
        let same_socket =
            sockets.iter().any(|(_, socket)| public.is_some_and(|public| Arc::ptr_eq(socket, public)));
        same_socket && replica.differences(form).is_empty()
    }

    async fn add_replicas(&mut self, start: &Start<'_>) -> Result<()> {
        let Start { desired, form, limit, events } = *start;
        let fresh: Vec<u32> =
            (1..=desired.replicas).filter(|number| !self.replicas.contains_key(number)).collect();
        for number in &fresh {
            events.progress(format!("starting service-{number}"));
            let replica = self.start_replica(*number, desired, form)?;
            self.show(*number, &replica);
            self.replicas.insert(*number, replica);
        }
        let started = fresh.iter().filter_map(|number| self.replicas.get(number));
        let outcome = try_join_all(started.map(|replica| replica.ready(limit, events))).await;
        if outcome.is_err() && !self.replicas.keys().all(|number| fresh.contains(number)) {
            // Those that served before go on; the new ones that cannot are taken away again.
            self.remove_replicas(&fresh, events).await;
        }
        outcome.map(drop)
    }

    /// Replaces replicas one after the other: the new one is ready before the old one has to finish.
    async fn replace(&mut self, numbers: &[u32], start: &Start<'_>) -> Result<()> {
        let Start { desired, form, limit, events } = *start;
        let mut leaving = Vec::new();
        let mut outcome = Ok(());
        for number in numbers {
            events.progress(format!("replacing service-{number}"));
            let mut before = None;
            if form.has_own_port()
                && let Some(old) = self.replicas.remove(number)
            {
                // Two apps cannot listen on one port, so this is the one change with a gap; connections wait.
                before = Some(old.form.clone());
                old.stop().await;
            }
            let replica = self.start_replica(*number, desired, form)?;
            outcome = replica.ready(limit, events).await;
            if outcome.is_err() {
                replica.stop().await;
                if let Some(before) = before {
                    events.progress(format!("starting service-{number} as it was before"));
                    let old = self.start_replica(*number, desired, &before)?;
                    self.show(*number, &old);
                    self.replicas.insert(*number, old);
                }
                break;
            }
            self.show(*number, &replica);
            if let Some(old) = self.replicas.insert(*number, replica) {
                // It lets its clients go in its own time; the next one need not wait for that.
                leaving.push(tokio::spawn(old.stop()));
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
        join_all(leaving.into_iter().map(|(_, replica)| replica.stop())).await;
        for number in numbers {
            self.components.remove(ComponentKind::Service, number);
        }
    }

    /// Replaces every replica by a new one of the same form.
    ///
    /// # Errors
    /// When a new one does not become ready; the old one goes on then.
    pub(crate) async fn restart(&mut self, limit: Duration, events: &Events) -> Result<Plan> {
        let desired = self.desired.clone().ok_or_else(down)?;
        let form = self.form(&desired);
        let numbers: Vec<u32> = self.replicas.keys().copied().collect();
        self.release(&desired, &form, limit, events).await?;
        let start = Start { desired: &desired, form: &form, limit, events };
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
        self.released = None;
        plan
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
        self.components.set(number, format!("service-{number}"), replica.entry());
    }

    pub(super) fn keep(&self, recipe: Recipe) -> ManagedProcess {
        let log = Log::new(&self.layout.logs(), &recipe.name);
        ManagedProcess::start(recipe, log, self.record.clone())
    }

    /// What sets the processes of this stack apart from others.
    pub(super) fn mark(&self) -> String {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).mark()
    }

    pub(super) fn port(&self, kind: StoreKind) -> Option<u16> {
        self.stores.get(&kind)?.kept.as_ref().map(|kept| kept.0)
    }
}

impl RunningStore {
    pub(super) fn process(&self) -> Option<&ManagedProcess> {
        self.kept.as_ref()?.1.as_ref()
    }
}

pub(super) fn down() -> anyhow::Error {
    Failure::new(ExitStatus::Unreachable, "the stack is down").hint("appforge up").into()
}
