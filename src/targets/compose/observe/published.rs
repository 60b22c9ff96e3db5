//! Whether the published port answers on this machine. A container may be well while the engine's proxy for its port is gone.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::render::context::compose::{published_on, reachable};
use crate::stack::ComponentKind;
use crate::targets::compose::observe::container::{Container, State};
use crate::targets::compose::observe::engine::Engine;
use crate::targets::compose::session::Compose;

/// How long a connection within this machine may take.
const LIMIT: Duration = Duration::from_secs(1);

impl Compose {
    /// Marks a gateway that is well and whose port does not answer. The ports of an engine elsewhere are not tried.
    pub(crate) async fn mark_unpublished(&self, engine: &Engine, containers: &mut [Container]) {
        let mut gateways = containers.iter_mut().filter(|container| container.is(ComponentKind::Gateway));
        let Some(gateway) = gateways.find(|gateway| gateway.state == State::Healthy) else { return };
        if !engine.is_local() {
            return;
        }
        let address = SocketAddr::new(reachable(published_on(&self.stack)), self.stack.service.port);
        let answers = tokio::time::timeout(LIMIT, TcpStream::connect(address)).await;
        if !answers.is_ok_and(|connected| connected.is_ok()) {
            gateway.state = State::Unpublished;
        }
    }
}
