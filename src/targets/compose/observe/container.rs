//! One container as the engine describes it, in our words. Reads answers; asks nothing.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use jiff::{SignedDuration, Timestamp};

use crate::stack::ComponentKind;

/// A container of the stack.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// The engine's id.
    pub(crate) id: String,
    /// Its name, such as `appforge-redis`.
    pub(crate) name: String,
    /// Which component it is, by our label; the name of the Compose service when it has none.
    pub(crate) component: String,
    /// Its number among those of its component.
    pub(crate) number: u32,
    /// What it does now.
    pub(crate) state: State,
    /// Its exit code, once it ended.
    pub(crate) exit_code: Option<i64>,
    /// Whether the kernel ended it for using more memory than it may.
    pub(crate) out_of_memory: bool,
    /// Why the engine could not start it.
    pub(crate) error: Option<String>,
    /// When the engine started it last.
    pub(crate) started: Option<Timestamp>,
    /// How often the engine started it again.
    pub(crate) restarts: u32,
    /// The last answer of its health check.
    pub(crate) health_answer: Option<String>,
    /// Its address in the network of the gateway, else in that of the stores.
    pub(crate) address: Option<String>,
    /// The image as the documents name it.
    pub(crate) image: String,
    /// The id of that image when the container was made.
    pub(crate) image_id: String,
    /// The folder of the documents that it was made from.
    pub(crate) documents: Option<String>,
    /// What Compose made it from, hashed.
    pub(crate) config_hash: String,
    /// Its environment, `NAME=value`.
    pub(crate) environment: Vec<String>,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs and its health check, if it has one, says so.
    Healthy,
    /// It runs, and the gateway does not reach it (yet).
    Unreached,
    /// It runs, and the port that it publishes does not answer on this machine.
    Unpublished,
    /// It runs; the health check has not decided yet.
    Starting,
    /// It runs; the health check failed.
    Unhealthy,
    /// It ended and the engine starts it again.
    Restarting,
    /// It was made and not started.
    Created,
    /// It ended.
    Ended,
}

/// A container that the engine had to start again is believed after this long, if no health check passed before.
const SETTLED: SignedDuration = SignedDuration::from_secs(10);

/// Whether a start lies at least `age` back. A time that cannot be read is believed to.
fn is_older(started: Option<Timestamp>, age: SignedDuration) -> bool {
    started.is_none_or(|started| Timestamp::now().duration_since(started) >= age)
}

impl Container {
    /// Reads the engine's description.
    pub(crate) fn read(inspected: ContainerInspectResponse, project: &str) -> Option<Self> {
        let config = inspected.config?;
        let labels = config.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned();
        let state = inspected.state.unwrap_or_default();
        let health = state.health.as_ref().and_then(|health| health.status);
        let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let address = |network: &str| {
            networks
                .get(&format!("{project}_{network}"))
                .and_then(|endpoint| endpoint.ip_address.clone())
                .filter(|address| !address.is_empty())
        };
        let restarts = inspected.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
        let started: Option<Timestamp> = state.started_at.as_deref().and_then(|text| text.parse().ok());
        Some(Self {
            id: inspected.id?,
            name: inspected.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            component: label("appforge.component").or_else(|| label("com.docker.compose.service"))?,
            number: label("com.docker.compose.container-number")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            state: match (state.status, health) {
                (Some(ContainerStateStatusEnum::RUNNING), Some(HealthStatusEnum::UNHEALTHY)) => {
                    State::Unhealthy
                }
                // No check has passed since the engine started it again: what ended it may well do so once more.
                (Some(ContainerStateStatusEnum::RUNNING), None | Some(HealthStatusEnum::STARTING))
                    if restarts > 0 && !is_older(started, SETTLED) =>
                {
                    State::Restarting
                }
                (Some(ContainerStateStatusEnum::RUNNING), Some(HealthStatusEnum::STARTING)) => {
                    State::Starting
                }
                (Some(ContainerStateStatusEnum::RUNNING), _) => State::Healthy,
                (Some(ContainerStateStatusEnum::RESTARTING), _) => State::Restarting,
                (Some(ContainerStateStatusEnum::CREATED), _) => State::Created,
                _ => State::Ended,
            },
            // The engine calls what it is about to start again running.
            exit_code: (state.running != Some(true) || state.restarting == Some(true))
                .then_some(state.exit_code)
                .flatten(),
            out_of_memory: state.oom_killed.unwrap_or(false),
            error: state.error.filter(|error| !error.is_empty()),
            started,
            restarts,
            health_answer: state
                .health
                .and_then(|health| health.log?.pop()?.output)
                .map(|output| output.trim().to_owned())
                .filter(|output| !output.is_empty()),
            address: ["edge", "app", "data", "monitor"].into_iter().find_map(address),
            image: config.image.unwrap_or_default(),
            image_id: inspected.image.unwrap_or_default(),
            documents: label("com.docker.compose.project.working_dir"),
            config_hash: label("com.docker.compose.config-hash").unwrap_or_default(),
            environment: config.env.unwrap_or_default(),
        })
    }

    /// Whether it is of this kind; the user's own documents may have other components.
    pub(crate) fn is(&self, kind: ComponentKind) -> bool {
        self.component == kind.as_str()
    }

    /// Whether it has not ended for good.
    pub(crate) fn is_up(&self) -> bool {
        matches!(
            self.state,
            State::Healthy
                | State::Unreached
                | State::Unpublished
                | State::Starting
                | State::Unhealthy
                | State::Restarting
        )
    }

    /// Whether it has run for at least `age` since its last start.
    pub(crate) fn has_run_for(&self, age: SignedDuration) -> bool {
        is_older(self.started, age)
    }

    /// Whether it failed, rather than had no time yet.
    pub(crate) fn is_guilty(&self) -> bool {
        matches!(self.state, State::Unpublished | State::Unhealthy | State::Restarting | State::Ended)
    }

    /// Its name among the components: `redis`, `service-2`.
    pub(crate) fn short_name(&self) -> String {
        if self.is(ComponentKind::Service) || self.is(ComponentKind::Front) {
            format!("{}-{}", self.component, self.number)
        } else {
            self.component.clone()
        }
    }

    /// What is wrong with it, or what it waits for, in one line.
    pub(crate) fn complaint(&self) -> String {
        let mut text = match self.state {
            State::Healthy => "ready".to_owned(),
            State::Unreached => "the gateway cannot connect to its port (service.port)".to_owned(),
            State::Unpublished => {
                format!(
                    "its published port does not answer; `docker restart {}` publishes it again",
                    self.name
                )
            }
            State::Starting => "its health check has not passed yet".to_owned(),
            State::Unhealthy => "unhealthy".to_owned(),
            State::Restarting => format!("restarts repeatedly ({} times)", self.restarts.max(1)),
            State::Created => "was created but did not start".to_owned(),
            State::Ended => "ended".to_owned(),
        };
        if self.out_of_memory {
            text.push_str(", for using more memory than its limit");
        } else if let Some(code) = self.exit_code.filter(|_| self.state != State::Created) {
            let (comma, last) = match self.state {
                State::Restarting => (",", "last "),
                _ => ("", ""),
            };
            text.push_str(&format!("{comma} {last}with exit code {code}"));
        }
        if let Some(error) = &self.error {
            text.push_str(&format!(": {error}"));
        }
        if let Some(answer) =
            self.health_answer.as_ref().filter(|_| !matches!(self.state, State::Healthy | State::Unpublished))
        {
            let first = answer.lines().next().unwrap_or_default();
            text.push_str(&format!("; last health answer: {first}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, Health};

    use super::*;

    fn running(restarts: i64, health: HealthStatusEnum, started: Timestamp) -> Container {
        let labels = [("appforge.component".to_owned(), "mongodb".to_owned())];
        let inspected = ContainerInspectResponse {
            id: Some("id".into()),
            config: Some(ContainerConfig { labels: Some(labels.into()), ..ContainerConfig::default() }),
            restart_count: Some(restarts),
            state: Some(ContainerState {
                status: Some(ContainerStateStatusEnum::RUNNING),
                started_at: Some(started.to_string()),
                health: Some(Health { status: Some(health), ..Health::default() }),
                ..ContainerState::default()
            }),
            ..ContainerInspectResponse::default()
        };
        Container::read(inspected, "project").unwrap()
    }

    /// Compose gives up on it at its first end; asked a moment later, the engine has often started it again.
    #[test]
    fn container_is_guilty_when_it_was_just_restarted() {
        let (now, before) = (Timestamp::now(), Timestamp::now() - SETTLED * 2);
        assert!(running(1, HealthStatusEnum::STARTING, now).is_guilty());
        assert!(!running(0, HealthStatusEnum::STARTING, now).is_guilty(), "it had no time yet");
        assert_eq!(running(1, HealthStatusEnum::STARTING, before).state, State::Starting);
        assert_eq!(running(1, HealthStatusEnum::HEALTHY, now).state, State::Healthy);
    }
}
