//! When a process that was started is ready, and what that shows of it.

use std::net::IpAddr;

use crate::targets::local::supervisor::components::View;
use crate::targets::local::supervisor::listening::listens;
use crate::targets::local::supervisor::probe::Probe;
use crate::targets::status::ComponentState;

/// What the wait for a process has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// It is ready; its version.
    Version(String),
    /// An app accepts connections; perhaps beyond the loopback interface.
    Accepts { port: u16, beyond: Option<IpAddr> },
}

impl Ready {
    /// Puts it into what the component reports.
    pub(super) fn show(self, view: &mut View) {
        view.state = ComponentState::Ready;
        view.trouble = None;
        view.misplaced.clear();
        match self {
            Self::Version(version) => view.version = Some(version),
            Self::Accepts { port, beyond } => {
                view.port = Some(port);
                view.notice = beyond.map(|address| {
                    format!("the app listens on {address}, so clients can bypass the rate limit; listen on HOST, which is 127.0.0.1")
                });
            }
        }
    }
}

/// Waits until a process is ready: asked by its probe, or the process and the port of an app; `elsewhere` gets the ports on which
/// that listens meanwhile. The caller bounds it.
pub(super) async fn until_ready(
    probe: Option<Probe>,
    app: Option<(u32, u16)>,
    elsewhere: impl FnMut(Vec<u16>),
) -> Ready {
    match (probe, app) {
        (Some(probe), _) => Ready::Version(probe.until_ready().await),
        (None, Some((root, port))) => Ready::Accepts { port, beyond: listens(root, port, elsewhere).await },
        // A process without an id has ended.
        (None, None) => std::future::pending().await,
    }
}
