//! What the supervisor shows of its components at any time, also while it changes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::stack::ComponentKind;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::status::{Component, ComponentState, Replicas, Status};

/// What a component reports of itself.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// What it does now.
    pub(crate) state: ComponentState,
    /// Its process.
    pub(crate) pid: Option<u32>,
    /// How often it was started again after it ended by itself.
    pub(crate) restarts: u32,
    /// The version, once known.
    pub(crate) version: Option<String>,
    /// Why it ended, while it is down.
    pub(crate) trouble: Option<String>,
    /// What it printed before that.
    pub(crate) last_lines: Vec<String>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            state: ComponentState::Starting,
            pid: None,
            restarts: 0,
            version: None,
            trouble: None,
            last_lines: Vec::new(),
        }
    }
}

/// One component.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: ComponentKind,
    /// Where it listens.
    pub(crate) endpoint: Option<String>,
    /// Which program it is.
    pub(crate) program: String,
    /// What it reports; `None` for what others run.
    pub(crate) view: Option<watch::Receiver<View>>,
    /// Its data, when it has any of ours.
    pub(super) data: Option<Arc<DataFolder>>,
}

/// All components, readable at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Components {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    name: String,
    url: Option<String>,
    desired: u32,
    entries: BTreeMap<(ComponentKind, u32), (String, Entry)>,
}

impl Components {
    /// Sets what the stack is called, where it answers and how many replicas it should have.
    pub(crate) fn head(&self, name: &str, url: Option<String>, desired: u32) {
        let mut inner = self.lock();
        inner.name = name.to_owned();
        inner.url = url;
        inner.desired = desired;
    }

    /// Adds or replaces a component; `number` orders those of one kind.
    pub(crate) fn set(&self, number: u32, name: impl Into<String>, entry: Entry) {
        self.lock().entries.insert((entry.kind, number), (name.into(), entry));
    }

    /// Removes a component.
    pub(crate) fn remove(&self, kind: ComponentKind, number: u32) {
        self.lock().entries.remove(&(kind, number));
    }

    /// The status now.
    pub(crate) fn status(&self) -> Status {
        let inner = self.lock();
        let components: Vec<Component> =
            inner.entries.values().map(|(name, entry)| component(name, entry)).collect();
        let ready = components
            .iter()
            .filter(|component| {
                component.kind == ComponentKind::Service && component.state == ComponentState::Ready
            })
            .count();
        Status {
            stack: inner.name.clone(),
            target: "local".into(),
            url: inner.url.clone(),
            replicas: Replicas { desired: inner.desired, ready: u32::try_from(ready).unwrap_or(u32::MAX) },
            components,
            cluster: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is one assignment, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn component(name: &str, entry: &Entry) -> Component {
    let external = View { state: ComponentState::External, ..View::default() };
    let view = entry.view.as_ref().map_or(external, |view| view.borrow().clone());
    let mut detail = entry.program.clone();
    // A removed folder is not seen by the store that has its files open.
    let lost = entry.data.as_ref().and_then(|data| data.path().err());
    for trouble in view
        .trouble
        .into_iter()
        .chain(lost.map(|error| format!("{error}; `appforge up` starts the store empty")))
    {
        detail.push_str("; ");
        detail.push_str(&trouble);
    }
    Component {
        name: name.to_owned(),
        kind: entry.kind,
        state: view.state,
        endpoint: entry.endpoint.clone(),
        restarts: view.restarts,
        version: view.version,
        detail,
        pid: view.pid,
    }
}
