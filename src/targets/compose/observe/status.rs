//! The stack as it is, in the words of every target.

use appforge_service::contract::ADMIN_PORT;

use crate::render::context::compose::{
    ALERTMANAGER_PORT, GRAFANA_PORT, PROMETHEUS_PORT, published_on, reachable_host,
};
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::compose::observe::container::{Container, State};
use crate::targets::compose::observe::engine::Engine;
use crate::targets::compose::session::Compose;
use crate::targets::status::{Component, ComponentState, Replicas, Status};

impl Compose {
    pub(crate) fn status_of(&self, engine: &Engine, containers: &[Container], replicas: u32) -> Status {
        let mut components = Component::external_of(&self.stack);
        components.extend(containers.iter().filter_map(|container| self.component(engine, container)));
        components.sort_by_key(|component| component.kind);
        let ready = components
            .iter()
            .filter(|component| {
                component.kind == ComponentKind::Service && component.state == ComponentState::Ready
            })
            .count();
        let gateway =
            containers.iter().any(|container| container.is(ComponentKind::Gateway) && container.is_up());
        let running = containers.iter().any(Container::is_up);
        Status {
            stack: self.project().to_owned(),
            target: "compose".to_owned(),
            url: gateway.then(|| self.url(engine)),
            replicas: Replicas {
                desired: if running { replicas } else { 0 },
                ready: u32::try_from(ready).unwrap_or(u32::MAX),
            },
            components,
            cluster: None,
        }
    }

    fn component(&self, engine: &Engine, container: &Container) -> Option<Component> {
        let kind = ComponentKind::named(&container.component)?;
        let at = |port: u16| container.address.as_ref().map(|address| format!("{address}:{port}"));
        Some(Component {
            endpoint: match kind {
                ComponentKind::Service if self.stack.service.is_own() => {
                    at(self.stack.app_port()).map(|address| format!("http://{address}"))
                }
                ComponentKind::Front | ComponentKind::Service => {
                    at(self.admin_port()).map(|address| format!("http://{address}"))
                }
                ComponentKind::Gateway => Some(self.url(engine)),
                ComponentKind::Exporter => at(ADMIN_PORT).map(|address| format!("http://{address}")),
                ComponentKind::Prometheus => at(PROMETHEUS_PORT).map(|address| format!("http://{address}")),
                ComponentKind::Alertmanager => {
                    at(ALERTMANAGER_PORT).map(|address| format!("http://{address}"))
                }
                ComponentKind::Grafana => Some(format!("http://127.0.0.1:{GRAFANA_PORT}")),
                ComponentKind::Mongodb => at(StoreKind::Mongodb.port()),
                ComponentKind::Redis => at(StoreKind::Redis.port()),
            }
            .filter(|_| container.is_up()),
            name: container.short_name(),
            kind,
            state: match container.state {
                State::Healthy => ComponentState::Ready,
                State::Unreached | State::Starting => ComponentState::Starting,
                State::Unpublished => ComponentState::Unresponsive,
                State::Unhealthy | State::Restarting => ComponentState::Crashed,
                State::Created | State::Ended => ComponentState::Stopped,
            },
            restarts: container.restarts,
            version: container.image.rsplit_once(':').map(|(_, tag)| tag.to_owned()),
            detail: match container.state {
                State::Healthy => format!("container {}{}", container.name, self.note(kind)),
                _ => format!("container {}: {}", container.name, container.complaint()),
            },
            pid: None,
        })
    }

    /// What else to know of a component that works.
    fn note(&self, kind: ComponentKind) -> &'static str {
        let unheard = self.stack.alerts.receivers().is_empty();
        if kind == ComponentKind::Prometheus && unheard {
            "; without a receiver (`alerts`), alerts are sent nowhere"
        } else {
            ""
        }
    }

    /// Where the service answers.
    pub(crate) fn url(&self, engine: &Engine) -> String {
        let host = match engine.host.strip_prefix("tcp://").filter(|_| !engine.is_local()) {
            Some(remote) => remote.rsplit_once(':').map_or(remote, |(host, _)| host).to_owned(),
            None => reachable_host(published_on(&self.stack)),
        };
        let scheme = if self.stack.compose.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{host}:{}", self.stack.service.port)
    }

    pub(crate) fn admin_port(&self) -> u16 {
        crate::render::context::compose::admin_port(&self.stack)
    }
}
