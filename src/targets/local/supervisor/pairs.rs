//! Gives each front the news of where its app listens, and where those of its siblings do, whenever that changes. Starts and stops nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::targets::admin;
use crate::targets::local::supervisor::components::View;
use crate::targets::status::ComponentState;

/// The pause before a front that did not take the news gets it again.
const AGAIN: Duration = Duration::from_millis(50);

/// By pair: the port of the app while it accepts connections. A pair that has ended has no entry, and gets none again.
type Ports = watch::Sender<BTreeMap<u64, Option<u16>>>;

/// The ports of the apps.
#[derive(Debug)]
pub(super) struct Pairs {
    ports: Ports,
    next: AtomicU64,
}

/// Keeps one front informed as long as it lives.
#[derive(Debug)]
pub(super) struct Link {
    number: u64,
    ports: Ports,
    task: AbortOnDropHandle<()>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { ports: watch::Sender::new(BTreeMap::new()), next: AtomicU64::new(0) }
    }
}

impl Pairs {
    /// Links the app with the front whose admin listener is at `admin`; `first` is the port that the front starts with.
    pub(super) fn link(
        &self,
        app: watch::Receiver<View>,
        front: watch::Receiver<View>,
        admin: SocketAddr,
        first: u16,
    ) -> Link {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.ports.send_modify(|ports| {
            ports.insert(number, None);
        });
        let task = inform(number, self.ports.clone(), app, front, admin, first);
        Link { number, ports: self.ports.clone(), task: AbortOnDropHandle::new(tokio::spawn(task)) }
    }
}

/// Siblings no longer use the app: it is about to end.
impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        self.ports.send_if_modified(|ports| ports.remove(&self.number).is_some());
    }
}

async fn inform(
    number: u64,
    ports: Ports,
    mut app: watch::Receiver<View>,
    mut front: watch::Receiver<View>,
    admin: SocketAddr,
    first: u16,
) {
    let mut all = ports.subscribe();
    let mut own = first;
    let mut known = None;
    loop {
        let accepting = {
            let view = app.borrow_and_update();
            view.port.filter(|_| view.state == ComponentState::Ready)
        };
        // The last one stays the first in the list while the app is away: the front finds nothing there, and waits.
        own = accepting.unwrap_or(own);
        ports.send_if_modified(|ports| match ports.get_mut(&number) {
            Some(port) => std::mem::replace(port, accepting) != accepting,
            None => false,
        });
        let process = front.borrow_and_update().pid;
        let siblings = all.borrow_and_update().clone();
        let siblings =
            siblings.into_iter().filter(|(other, _)| *other != number).filter_map(|(_, port)| port);
        let list: Vec<u16> = std::iter::once(own).chain(siblings).collect();
        let news = (process, list);
        let mut again = false;
        if process.is_some() && known.as_ref() != Some(&news) {
            let taken = admin::upstreams(admin::connect(format!("http://{admin}")), &news.1).await;
            again = taken.is_err();
            known = taken.is_ok().then_some(news);
        }
        tokio::select! {
            changed = app.changed() => if changed.is_err() { return },
            changed = front.changed() => if changed.is_err() { return },
            changed = all.changed() => if changed.is_err() { return },
            // A front that does not listen yet gives no event to wait for.
            () = sleep(AGAIN), if again => {}
        }
    }
}
