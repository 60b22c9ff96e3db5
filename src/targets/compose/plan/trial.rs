//! Runs one program in a container that lives for seconds, to learn something before anything is changed. Removes it again.

use std::time::Duration;

use anyhow::Result;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;

use crate::targets::compose::observe::Engine;
use crate::targets::compose::session::Compose;

/// What trials are for, as their containers are called.
pub(crate) const GATEWAY_CHECK: &str = "gateway-check";
pub(crate) const REACH: &str = "reach";
/// The container of `service.release`, which is removed like that of a trial.
pub(crate) const RELEASE: &str = "release";

/// What to run.
pub(crate) struct Trial<'a> {
    /// The name of the container: a fixed one, so that what a killed command left behind is removed by the next.
    pub(crate) name: String,
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

impl Compose {
    /// The name of the container of a trial.
    pub(crate) fn trial_name(&self, purpose: &str) -> String {
        format!("{}-{purpose}", self.project())
    }

    /// Removes what a killed command left: the containers of trials hold addresses with their credentials.
    pub(crate) async fn remove_trials(&self, engine: &Engine) -> Result<()> {
        for purpose in [GATEWAY_CHECK, REACH, RELEASE] {
            engine.stop_and_remove(&self.trial_name(purpose), Duration::ZERO).await?;
        }
        Ok(())
    }
}

impl Trial<'_> {
    /// Runs it. The container is removed in any case.
    ///
    /// # Errors
    /// When the engine does not take the container.
    pub(crate) async fn run(self, engine: &Engine) -> Result<Outcome> {
        let (name, limit) = (self.name.clone(), self.limit);
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        let outcome = tokio::time::timeout(limit, self.attempt(engine)).await;
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        outcome.unwrap_or(Ok(Outcome::Late))
    }

    async fn attempt(self, engine: &Engine) -> Result<Outcome> {
        let (docker, name) = (&engine.docker, self.name.as_str());
        let body = ContainerCreateBody {
            image: Some(self.image.to_owned()),
            entrypoint: self.entrypoint.map(|program| vec![program.to_owned()]),
            cmd: Some(self.arguments),
            env: Some(self.environment),
            user: Some(format!("{0}:{0}", self.user)),
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
