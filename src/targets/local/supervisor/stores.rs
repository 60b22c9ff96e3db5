//! The stores of the running stack: started, restarted where they differ, stopped for a drill.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::error::{ExitStatus, Failure};
use crate::secrets::Secrets;
use crate::stack::StoreKind;
use crate::targets::local::protocol::Store;
use crate::targets::local::stores::{
    REDIS_CONFIGURATION, REDIS_PASSWORD, REDIS_URL, redis_configuration, redis_url,
};
use crate::targets::local::supervisor::components::Entry;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::managed::ManagedProcess;
use crate::targets::local::supervisor::recipes::Protected;
use crate::targets::local::supervisor::stack::{Running, RunningStore, down};
use crate::targets::local::supervisor::{recipes, replica_set, sockets};

/// What the user should know of a MongoDB whose data was made without a replica set.
const ALONE: &str = "warning: mongodb has no replica set, because its data was made without one; transactions and change streams \
                     need one: copy the data, then `appforge down --volumes` and `appforge up`";

/// Whether it is a server of another maker, and not the embedded store.
fn is_server(store: &Store) -> bool {
    matches!(store, Store::Found { .. } | Store::Container { .. })
}

impl Running {
    /// Starts or restarts a store where that is needed; does not wait until it is ready.
    pub(super) async fn place_store(
        &mut self,
        kind: StoreKind,
        store: &Store,
        events: &Events,
    ) -> Result<()> {
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
        let program = store.described();
        let mut entry = Entry {
            kind: kind.into(),
            endpoint: None,
            program,
            view: None,
            app: None,
            probe: None,
            data: None,
        };
        let mut running = RunningStore { store: store.clone(), kept: None, data: None };
        if !store.is_external() {
            events.progress(format!("starting {name} ({})", store.described()));
            running = self.start_store(kind, store, old_port).await?;
            entry.endpoint = running.kept.as_ref().map(|(port, _)| format!("127.0.0.1:{port}"));
            entry.view = running.process().map(ManagedProcess::view);
            entry.probe = running.process().and_then(|process| process.recipe().probe().cloned());
            entry.data = running.data.clone();
            if let Some(data) =
                running.data.as_ref().filter(|_| kind == StoreKind::Mongodb && is_server(store))
                && !replica_set::is_set(&data.path()?)?
            {
                events.progress(ALONE);
                entry.program.push_str("; no replica set, so no transactions and change streams");
            }
        } else if kind == StoreKind::Redis {
            self.secrets().remove(REDIS_URL)?;
        }
        self.components.set(0, name, entry);
        self.stores.insert(kind, running);
        Ok(())
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
                let fresh = self.start_store(StoreKind::Redis, &store, Some(port)).await?;
                let endpoint = Some(format!("127.0.0.1:{port}"));
                let view = fresh.process().map(ManagedProcess::view);
                let probe = fresh.process().and_then(|process| process.recipe().probe().cloned());
                self.components.set(
                    0,
                    StoreKind::Redis.as_str(),
                    Entry {
                        kind: StoreKind::Redis.into(),
                        endpoint,
                        program: store.described(),
                        view,
                        app: None,
                        probe,
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
    async fn start_store(&self, kind: StoreKind, store: &Store, port: Option<u16>) -> Result<RunningStore> {
        let path = self.layout.data().join(kind.as_str());
        crate::files::make_private_folder(&path)?;
        let data = Arc::new(DataFolder::open(&path)?);
        // A server that outlived its supervisor ends here: until then it has the port that this one should get.
        drop(data.lock().await?);
        let listener = sockets::store(&self.record, kind, port)?;
        let port = listener.local_addr()?.port();
        let protected = if kind == StoreKind::Redis { self.protect_redis(store, port)? } else { None };
        let set = kind == StoreKind::Mongodb && is_server(store) && replica_set::is_set(&data.path()?)?;
        let recipe = recipes::store(kind, store, protected, set, data.clone(), listener);
        let kept = Some((port, recipe.map(|recipe| self.keep(recipe))));
        Ok(RunningStore { store: store.clone(), kept, data: Some(data) })
    }

    /// Writes the password of a Redis that was found on PATH, for the server and for its clients.
    fn protect_redis(&self, store: &Store, port: u16) -> Result<Option<Protected>> {
        let secrets = self.secrets();
        if !is_server(store) {
            secrets.remove(REDIS_URL)?;
            return Ok(None);
        }
        let password = secrets.get_or_make(REDIS_PASSWORD)?;
        let url = redis_url(port, &password);
        secrets.keep(REDIS_URL, &url)?;
        let configuration = secrets.keep(REDIS_CONFIGURATION, &redis_configuration(&password))?;
        Ok(Some(Protected { configuration, url }))
    }

    fn secrets(&self) -> Secrets {
        Secrets::of(self.layout.root())
    }
}
