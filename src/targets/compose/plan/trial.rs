//! Runs one program in a container that lives for seconds, to learn something before anything is changed. Removes it again.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerStateStatusEnum, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;

use crate::error::{ExitStatus, Failure};
use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::compose::session::Compose;

/// What trials are for, as their containers are called.
pub(crate) const GATEWAY_CHECK: &str = "gateway-check";
pub(crate) const REACH: &str = "reach";
/// The container of `service.release`, which is removed like that of a trial.
pub(crate) const RELEASE: &str = "release";

/// The stack of a container.
const STACK: &str = "appforge.stack";
/// The same, as Compose marks what it makes.
const PROJECT: &str = "com.docker.compose.project";

/// What to run.
pub(crate) struct Trial<'a> {
    /// The stack, and what the trial is for: the name of the container is made of both, so that what a killed command left
    /// behind is removed by the next.
    pub(crate) of: (&'a Compose, &'static str),
    pub(crate) image: &'a str,
    /// The program in place of the image's own; `None` keeps that.
    pub(crate) entrypoint: Option<&'a str>,
    pub(crate) arguments: Vec<String>,
    /// `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// The user and group, both with this number.
    pub(crate) user: u64,
    /// The network; `none` for none.
    pub(crate) network: &'a str,
    /// The files that it finds, with their paths below the root.
    pub(crate) files: tar::Builder<Vec<u8>>,
    /// How long it may take.
    pub(crate) limit: Duration,
}

/// What became of it.
pub(crate) enum Outcome {
    /// It ended with this exit code after it printed this.
    Ended(Option<i64>, String),
    /// The engine could not start it.
    NotStarted(Error),
    /// It did not end in time.
    Late,
}

/// The container that has the name of a trial.
pub(crate) struct Present {
    pub(crate) id: String,
    pub(crate) labels: HashMap<String, String>,
    /// Whether it was started at all.
    pub(crate) is_started: bool,
    pub(crate) is_running: bool,
    /// Once it ended.
    pub(crate) exit_code: Option<i64>,
}

impl Compose {
    /// The name of the container of a trial.
    pub(crate) fn trial_name(&self, purpose: &str) -> String {
        format!("{}-{purpose}", self.project())
    }

    /// Removes what a killed command left: the containers of trials hold addresses with their credentials. A container of
    /// another owner that has such a name stays.
    pub(crate) async fn remove_trials(&self, engine: &Engine) -> Result<()> {
        for purpose in [GATEWAY_CHECK, REACH, RELEASE] {
            if let Some(found) = self.present(engine, purpose).await?.filter(|found| self.has(found)) {
                engine.stop_and_remove(&found.id, Duration::ZERO).await?;
            }
        }
        Ok(())
    }

    /// The container of a trial.
    ///
    /// # Errors
    /// Exit 1 when the container of that name is not of this stack.
    pub(crate) async fn trial(&self, engine: &Engine, purpose: &str) -> Result<Option<Present>> {
        let found = self.present(engine, purpose).await?;
        if found.as_ref().is_some_and(|found| !self.has(found)) {
            let name = self.trial_name(purpose);
            let message = format!(
                "the container `{name}` is not of the stack `{}`, which needs that name",
                self.project()
            );
            return Err(Failure::new(ExitStatus::Failed, message)
                .hint(format!("rename it: docker rename {name} NAME"))
                .hint("or give this stack another `name`")
                .into());
        }
        Ok(found)
    }

    /// Removes the container of a trial.
    ///
    /// # Errors
    /// As [`Compose::trial`].
    pub(crate) async fn remove_trial(&self, engine: &Engine, purpose: &str) -> Result<()> {
        match self.trial(engine, purpose).await? {
            Some(found) => engine.stop_and_remove(&found.id, Duration::ZERO).await,
            None => Ok(()),
        }
    }

    /// Whether a container is of this stack, by the label of its trials or by that of Compose.
    fn has(&self, found: &Present) -> bool {
        [STACK, PROJECT].iter().any(|label| found.labels.get(*label).is_some_and(|of| of == self.project()))
    }

    async fn present(&self, engine: &Engine, purpose: &str) -> Result<Option<Present>> {
        let found = match engine.docker.inspect_container(&self.trial_name(purpose), None).await {
            Err(error) if is_missing(&error) => return Ok(None),
            found => found?,
        };
        let state = found.state.unwrap_or_default();
        let is_running = state.running == Some(true);
        Ok(Some(Present {
            id: found.id.unwrap_or_default(),
            labels: found.config.and_then(|config| config.labels).unwrap_or_default(),
            is_started: state.status != Some(ContainerStateStatusEnum::CREATED),
            is_running,
            exit_code: state.exit_code.filter(|_| !is_running),
        }))
    }
}

impl Trial<'_> {
    /// Runs it. The container is removed in any case.
    ///
    /// # Errors
    /// When the engine does not take the container, or a container of another owner has its name.
    pub(crate) async fn run(self, engine: &Engine) -> Result<Outcome> {
        let ((compose, purpose), limit) = (self.of, self.limit);
        compose.remove_trial(engine, purpose).await?;
        let outcome = tokio::time::timeout(limit, self.attempt(engine)).await;
        compose.remove_trial(engine, purpose).await?;
        outcome.unwrap_or(Ok(Outcome::Late))
    }

    async fn attempt(self, engine: &Engine) -> Result<Outcome> {
        let (compose, purpose) = self.of;
        let (docker, name) = (&engine.docker, compose.trial_name(purpose));
        let name = name.as_str();
        let body = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            entrypoint: self.entrypoint.map(|program| vec![program.to_owned()]),
            cmd: Some(self.arguments),
            env: Some(self.environment),
            user: Some(format!("{0}:{0}", self.user)),
            labels: Some(HashMap::from([(STACK.to_owned(), compose.project().to_owned())])),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.to_owned()),
                extra_hosts: (self.network != "none")
                    .then(|| vec!["host.docker.internal:host-gateway".to_owned()]),
                cap_drop: Some(vec!["ALL".to_owned()]),
                security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
                memory: Some(256 << 20),
                pids_limit: Some(64),
                // Its lines are read from the engine, whatever the engine's default log driver is.
                log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        docker.create_container(Some(options), body).await?;
        let place = UploadToContainerOptionsBuilder::default().path("/").build();
        let files = bollard::body_full(self.files.into_inner()?.into());
        docker.upload_to_container(name, Some(place), files).await?;
        if let Err(error) = docker.start_container(name, None).await {
            return Ok(Outcome::NotStarted(error));
        }
        // The exit code is read below; an error of the stream carries the same code.
        let _ = docker.wait_container(name, None::<WaitContainerOptions>).next().await;
        let code = docker.inspect_container(name, None).await?.state.unwrap_or_default().exit_code;
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let mut said = String::new();
        let mut log = docker.logs(name, Some(options));
        while let Some(part) = log.next().await {
            said.push_str(&part?.to_string());
        }
        Ok(Outcome::Ended(code, said))
    }
}
