//! When a process that was started is ready, and what that shows of it.

use std::net::IpAddr;

use crate::targets::local::supervisor::components::View;
use crate::targets::local::supervisor::listening::{Seen, listens};
use crate::targets::local::supervisor::probe::Probe;
use crate::targets::status::ComponentState;

/// What the wait for a process has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// It is ready; its version.
    Version(String),
    /// An app accepts connections; perhaps beyond the loopback interface.
    Accepts { port: u16, beyond: Option<IpAddr> },
    /// An app listens on these ports only.
    Misplaced(Vec<u16>),
}

impl Ready {
    /// Whether it is ready.
    pub(super) fn is_ready(&self) -> bool {
        !matches!(self, Self::Misplaced(_))
    }

    /// Puts it into what the component reports.
    pub(super) fn show(self, view: &mut View) {
        if self.is_ready() {
            view.state = ComponentState::Ready;
            view.trouble = None;
        }
        match self {
            Self::Version(version) => view.version = Some(version),
            Self::Accepts { port, beyond } => {
                view.port = Some(port);
                view.notice = beyond.map(|address| {
                    format!("the app listens on {address}, beyond its front; bind HOST, which is 127.0.0.1")
                });
            }
            Self::Misplaced(ports) => view.misplaced = ports,
        }
    }
}

/// Waits until a process is ready: asked by its probe, or the process and the port of an app. The caller bounds it.
pub(super) async fn until_ready(probe: Option<Probe>, app: Option<(u32, u16)>) -> Ready {
    match (probe, app) {
        (Some(probe), _) => Ready::Version(probe.until_ready().await),
        (None, Some((root, port))) => match listens(root, port).await {
            Seen::Listens { beyond } => Ready::Accepts { port, beyond },
            Seen::Misplaced(ports) => Ready::Misplaced(ports),
        },
        // A process without an id has ended.
        (None, None) => std::future::pending().await,
    }
}
