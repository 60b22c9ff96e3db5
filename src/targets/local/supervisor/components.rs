//! What the supervisor shows of its components at any time, also while it changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use tokio::sync::watch;

use crate::stack::ComponentKind;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::probe::Probe;
use crate::targets::status::{Component, ComponentState, Replicas, Status};

/// How long a component may take to answer `status`. A busy one answers within milliseconds.
const ANSWER: Duration = Duration::from_secs(2);

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
    /// Where an app of the user's own accepts connections, while it does.
    pub(crate) port: Option<u16>,
    /// What is odd about it though it works, such as that it listens beyond the loopback interface.
    pub(crate) notice: Option<String>,
    /// The ports on which it listens instead of the one that it was given.
    pub(crate) misplaced: Vec<u16>,
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
            port: None,
            notice: None,
            misplaced: Vec::new(),
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
    /// What the app behind a front reports.
    pub(super) app: Option<watch::Receiver<View>>,
    /// How to ask whether it still answers.
    pub(crate) probe: Option<Probe>,
    /// Its data, when it has any of ours.
    pub(super) data: Option<Arc<DataFolder>>,
}

impl Entry {
    fn is_ready(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.borrow().state == ComponentState::Ready)
    }
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

    /// The status now, as the processes were seen last.
    pub(crate) fn status(&self) -> Status {
        self.status_with(&BTreeSet::new())
    }

    /// The status now, with each component asked: a process that is stopped or hangs is still there and does no work.
    pub(crate) async fn asked(&self) -> Status {
        let questions: Vec<_> = self
            .lock()
            .entries
            .iter()
            .filter(|(_, (_, entry))| entry.is_ready())
            .filter_map(|(key, (_, entry))| Some((*key, entry.probe.clone()?)))
            .collect();
        let asked = join_all(questions.into_iter().map(async |(key, probe)| {
            let answers = tokio::time::timeout(ANSWER, probe.ask()).await.is_ok_and(|answer| answer.is_ok());
            (!answers).then_some(key)
        }));
        self.status_with(&asked.await.into_iter().flatten().collect())
    }

    fn status_with(&self, silent: &BTreeSet<(ComponentKind, u32)>) -> Status {
        let inner = self.lock();
        let components: Vec<Component> = inner
            .entries
            .iter()
            .map(|(key, (name, entry))| {
                let mut component = component(name, entry);
                if silent.contains(key) && component.state == ComponentState::Ready {
                    component.state = ComponentState::Unresponsive;
                    component.detail.push_str("; does not answer");
                }
                component
            })
            .collect();
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

/// A front and its app, as one: it works when both do, and its process is the app's.
fn together(front: View, app: &View) -> View {
    let works = app.state == ComponentState::Ready;
    let misplaced =
        app.misplaced.first().map(|port| format!("listens on port {port} and does not read PORT"));
    View {
        state: if works { front.state } else { app.state },
        pid: app.pid.or(front.pid),
        restarts: front.restarts + app.restarts,
        version: None,
        trouble: app.trouble.clone().or(misplaced).or(front.trouble),
        notice: app.notice.clone(),
        ..front
    }
}

fn component(name: &str, entry: &Entry) -> Component {
    let external = View { state: ComponentState::External, ..View::default() };
    let mut view = entry.view.as_ref().map_or(external, |view| view.borrow().clone());
    if let Some(app) = &entry.app {
        view = together(view, &app.borrow());
    }
    let mut detail = entry.program.clone();
    // A removed folder is not seen by the store that has its files open.
    let lost = entry.data.as_ref().and_then(|data| data.path().err());
    for trouble in view
        .trouble
        .into_iter()
        .chain(view.notice)
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
