//! Waits until the stack is ready, and says of each component that is not why, with its last words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use appforge_service::contract::variable;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use jiff::SignedDuration;
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::render::context::compose::{FRONTS, components};
use crate::stack::model::StoreMode;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::compose::observe::container::{Container, State};
use crate::targets::compose::observe::engine::Engine;
use crate::targets::compose::observe::gateway::{Gateway, Slot};
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::Session;

/// Looks again at least this often; an event makes it earlier.
const LOOK: Duration = Duration::from_millis(500);
/// By then the gateway has found a closed port: 1 s until the first check, 250 ms until the second, 200 ms for a connection
/// that times out; HAProxy reports whole seconds.
const CHECKED: SignedDuration = SignedDuration::from_secs(3);
/// An engine opens a published port before it starts the container; after this it will not.
const PUBLISHED: Duration = Duration::from_secs(5);
/// A container that ended this often will not come by waiting.
const MOST_RESTARTS: u32 = 3;
/// Lines of its log that a stuck component is shown with.
const LAST_LINES: usize = 8;

impl Session<'_> {
    /// Waits until every component is healthy and the gateway sends work to as many of a kind as `counts` says.
    ///
    /// # Errors
    /// Exit 1 when a component ends again and again, exit 9 at `deadline`; either names each component that is not ready.
    pub(crate) async fn wait_until_ready(&self, counts: &[(ComponentKind, u32)]) -> Result<Vec<Container>> {
        let (compose, engine, say, deadline) = (self.compose, &self.engine, self.say, self.deadline);
        let mut events = engine.events(compose.project());
        let mut expected: BTreeMap<&str, u32> =
            compose.stores().into_iter().map(|store| (store.as_str(), 1)).collect();
        expected.insert(ComponentKind::Gateway.as_str(), 1);
        expected.extend(components(&compose.stack).into_iter().map(|kind| (kind.as_str(), 1)));
        expected.extend(counts.iter().map(|(kind, count)| (kind.as_str(), *count)));
        let mut shown = String::new();
        let mut revived = BTreeSet::new();
        let mut unpublished = None;
        loop {
            let mut containers = engine.containers(compose.project()).await?;
            // The engine starts again what ends by itself. What was stopped, as by a command that was cut off before it
            // removed the replica, stays down; starting it once is enough.
            for stopped in containers.iter().filter(|container| container.state == State::Ended) {
                if expected.contains_key(stopped.component.as_str()) && revived.insert(stopped.id.clone()) {
                    say(&format!("starting {} again, because it was stopped", stopped.name));
                    engine.start(&stopped.id).await?;
                }
            }
            let mut waiting = missing(&containers, &expected);
            if let Some(gateway) = Gateway::of(engine, &containers).filter(|_| waiting.is_empty()) {
                // One that cannot be asked yet is asked again.
                let slots = gateway.slots().await.unwrap_or_default();
                gateway.heal(&slots, &containers.iter().collect::<Vec<_>>()).await?;
                compose.mark_unreached(&mut containers, &slots);
                compose.mark_unpublished(engine, &mut containers).await;
                waiting = missing(&containers, &expected);
                if waiting.is_empty() {
                    return Ok(containers);
                }
            }
            let line = if containers.iter().any(|container| container.state == State::Unreached) {
                "waiting for the gateway to see the replicas".to_owned()
            } else {
                format!("waiting for {}", waiting.join(", "))
            };
            if line != shown {
                say(&line);
                shown = line;
            }
            let is_unpublished = containers.iter().any(|container| container.state == State::Unpublished);
            let since = unpublished.filter(|_| is_unpublished).unwrap_or_else(Instant::now);
            unpublished = is_unpublished.then_some(since);
            let failed = since.elapsed() > PUBLISHED
                || containers.iter().any(|container| {
                    container.restarts >= MOST_RESTARTS
                        && !matches!(container.state, State::Healthy | State::Unreached | State::Unpublished)
                });
            if failed || Instant::now() >= deadline {
                let status = if failed { ExitStatus::Failed } else { ExitStatus::TimedOut };
                return Err(self.stuck(&containers, &waiting, status).await.into());
            }
            let until = (Instant::now() + LOOK).min(deadline);
            if let Ok(None) = tokio::time::timeout_at(until, events.next()).await {
                // The stream of events ended; the clock alone wakes us now.
                tokio::time::sleep_until(until).await;
            }
        }
    }

    /// Adds to a failure of Compose what its containers say.
    pub(crate) async fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Ok(containers) = self.engine.containers(self.compose.project()).await else { return error };
        let status = crate::error::status_of(&error);
        // Compose waits for the health of a store, and without it fronts are unhealthy, too.
        let stores = self.compose.stores();
        let is_store = |container: &Container| stores.iter().any(|store| container.is((*store).into()));
        let is_awaited = |container: &&Container| {
            status == ExitStatus::TimedOut && is_store(container) && container.state != State::Healthy
        };
        let mut guilty: Vec<Container> = containers.iter().filter(is_awaited).cloned().collect();
        if guilty.is_empty() {
            guilty = containers.into_iter().filter(Container::is_guilty).collect();
        }
        if guilty.is_empty() {
            return error;
        }
        let names: Vec<String> = guilty.iter().map(|container| container.component.clone()).collect();
        self.stuck(&guilty, &names, status).await.caused_by(error).into()
    }

    async fn stuck(&self, containers: &[Container], waiting: &[String], status: ExitStatus) -> Failure {
        let mut message = format!("not ready: {}", waiting.join(", "));
        let mut stuck: Vec<&Container> =
            containers.iter().filter(|container| container.state != State::Healthy).collect();
        // Those that only had no time yet come last, and without their words when others are to blame.
        stuck.sort_by_key(|container| !container.is_guilty());
        let first = stuck.first().map(|container| container.component.clone());
        let blamed = stuck.first().is_some_and(|container| container.is_guilty());
        for container in stuck {
            message.push_str(&format!("\n  {}: {}", container.name, container.complaint()));
            if blamed && !container.is_guilty() {
                continue;
            }
            for line in last_lines(&self.engine, &container.id).await {
                message.push_str(&format!("\n    | {line}"));
            }
        }
        let component = first.unwrap_or_else(|| ComponentKind::Gateway.as_str().to_owned());
        Failure::new(status, message)
            .hint(format!("appforge logs {component}"))
            .hint("ready components keep running; `appforge up` continues from here")
    }
}

impl Compose {
    /// Marks the replicas and fronts to which the gateway, whose places are `slots`, sends no work.
    ///
    /// HAProxy marks a place as up as soon as it has an address, before its first check. The bundled service and the front have
    /// a health check of their port; an app counts once the place has been up, and the replica running, for longer than
    /// the checks of `haproxy.cfg` need to find a closed port.
    pub(crate) fn mark_unreached(&self, containers: &mut [Container], slots: &[Slot]) {
        for kind in self.rolling() {
            let asks_docker = kind == ComponentKind::Front || !self.stack.service.is_own();
            for container in containers.iter_mut().filter(|container| container.is(kind)) {
                let checked = asks_docker || container.has_run_for(CHECKED);
                let reached = checked
                    && slots.iter().any(|slot| {
                        let up_for = SignedDuration::from_secs(slot.since.try_into().unwrap_or(i64::MAX));
                        let confirmed = asks_docker || up_for >= CHECKED;
                        slot.up && confirmed && Some(&slot.address) == container.address.as_ref()
                    });
                if container.state == State::Healthy && !reached {
                    container.state = State::Unreached;
                }
            }
        }
    }

    /// Whether the gateway of the documents can reach a replica that runs, as far as its port goes. An app that listens on another
    /// one was made before `service.app_port` changed, or by a build without fronts.
    pub(crate) fn is_reached(&self, container: &Container) -> bool {
        let port = format!("{}={}", variable::PORT, self.stack.app_port());
        let is_app = self.stack.service.is_own() && container.is(ComponentKind::Service);
        !is_app || container.environment.contains(&port)
    }

    /// What is replaced one by one, in this order: new fronts find the new app.
    pub(crate) fn rolling(&self) -> Vec<ComponentKind> {
        let mut kinds = vec![ComponentKind::Service];
        kinds.extend(self.stack.service.is_own().then_some(ComponentKind::Front));
        kinds
    }

    /// How many of each of [`Compose::rolling`] there are when the service has `replicas`.
    pub(crate) fn counts(&self, replicas: u32) -> Vec<(ComponentKind, u32)> {
        let count = |kind| if kind == ComponentKind::Front { FRONTS } else { replicas };
        self.rolling().into_iter().map(|kind| (kind, count(kind))).collect()
    }

    /// The stores that the stack runs itself.
    pub(crate) fn stores(&self) -> Vec<StoreKind> {
        let ours = |kind: &StoreKind| self.stack.store_mode(*kind) != StoreMode::External;
        StoreKind::ALL.into_iter().filter(ours).collect()
    }
}

/// The components of which fewer are healthy than expected.
fn missing(containers: &[Container], expected: &BTreeMap<&str, u32>) -> Vec<String> {
    expected
        .iter()
        .filter_map(|(component, expected)| {
            let ready = containers
                .iter()
                .filter(|container| container.component == *component && container.state == State::Healthy)
                .count();
            let missing = u32::try_from(ready).is_ok_and(|ready| ready < *expected);
            missing.then(|| match expected {
                1 => (*component).to_owned(),
                _ => format!("{component} ({ready} of {expected})"),
            })
        })
        .collect()
}

/// The end of a container's log; empty when it cannot be read, since it only illustrates another error.
async fn last_lines(engine: &Engine, id: &str) -> Vec<String> {
    let options =
        LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&LAST_LINES.to_string()).build();
    let mut log = engine.docker.logs(id, Some(options));
    let read = async {
        let mut lines = Vec::new();
        while let Some(Ok(part)) = log.next().await {
            lines.extend(part.to_string().lines().map(str::to_owned));
        }
        lines
    };
    tokio::time::timeout(Duration::from_secs(3), read).await.unwrap_or_default()
}
