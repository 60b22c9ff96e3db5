//! Checks a configuration with the gateway's own program before it replaces one that works.

use std::time::Duration;

use anyhow::{Context, Result};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::Compose;
use super::engine::Engine;
use super::observe::{Container, State};
use super::plan::Wanted;
use crate::error::{ExitStatus, Failure};
use crate::render::Document;
use crate::stack::yaml;

/// The program of the gateway, as `docker-compose.yml` starts it.
const PROGRAM: &str = "haproxy";
/// Where it reads its configuration, as `docker-compose.yml` mounts it.
const FILE: &str = "usr/local/etc/haproxy/haproxy.cfg";
/// How long the check may take.
const CHECK: Duration = Duration::from_secs(30);
/// How many of its lines an error shows at most.
const LINES: usize = 8;

impl Compose {
    /// Refuses a configuration that the gateway would not start with. Runs only when `up` will create or replace the gateway.
    ///
    /// # Errors
    /// Exit 3 with the lines of HAProxy when it refuses; exit 1 when the image has no HAProxy.
    pub(super) async fn check_gateway(
        &self,
        engine: &Engine,
        wanted: &Wanted,
        containers: &[Container],
        documents: &[Document],
    ) -> Result<()> {
        let old = containers.iter().find(|container| container.component == "gateway");
        let (Some(image), Some(text)) = (wanted.image("gateway"), configuration(documents)) else {
            return Ok(());
        };
        if old.is_some_and(|old| wanted.is_current(old)) {
            return Ok(());
        }
        // A fixed name, so that what a killed command left behind is removed here.
        let name = format!("{}-gateway-check", self.project());
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        let outcome = tokio::time::timeout(CHECK, check(engine, &name, image, text)).await;
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        let refusal = outcome.with_context(|| format!("`{PROGRAM} -c` did not end within 30s"))??;
        let Some(lines) = refusal else { return Ok(()) };
        let runs = old.is_some_and(|old| old.state == State::Healthy);
        let stays = if runs { "; the running gateway keeps its own" } else { "" };
        let lines: String = lines.iter().map(|line| format!("\n  | {line}")).collect();
        let message = format!("the gateway refuses the new haproxy.cfg{stays}{lines}");
        Err(Failure::new(ExitStatus::Config, message)
            .hint("appforge render --target compose --out DIR writes the file; nothing was changed")
            .into())
    }
}

/// The configuration, when the gateway of the documents is HAProxy. A template of the user may start something else.
fn configuration(documents: &[Document]) -> Option<&str> {
    let text = |path: &str| Some(documents.iter().find(|document| document.path == path)?.text.as_str());
    let compose = yaml::parse(text("docker-compose.yml")?).ok()?.to_json();
    let command = compose.pointer("/services/gateway/command/0")?;
    if command == PROGRAM { text("haproxy.cfg") } else { None }
}

/// Runs `haproxy -c` in a container without network. Returns its lines when it refuses.
async fn check(engine: &Engine, name: &str, image: &str, text: &str) -> Result<Option<Vec<String>>> {
    let docker = &engine.docker;
    let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: owned(&[PROGRAM, "-c", "-f", &format!("/{FILE}")]),
        user: Some("99:99".to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: owned(&["ALL"]),
            security_opt: owned(&["no-new-privileges:true"]),
            memory: Some(256 << 20),
            pids_limit: Some(64),
            // Its lines are read from the engine, whatever the engine's default log driver is.
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(options), body).await.context("while checking haproxy.cfg")?;
    let place = UploadToContainerOptionsBuilder::default().path("/").build();
    docker.upload_to_container(name, Some(place), bollard::body_full(archive(text)?.into())).await?;
    docker.start_container(name, None).await.map_err(|error| {
        Failure::new(ExitStatus::Failed, format!("the image `{image}` cannot run `{PROGRAM}`"))
            .hint("`compose.gateway_image` takes an image of HAProxy 2.6 or later; nothing was changed")
            .caused_by(error)
    })?;
    // The exit code is read below; an error of the stream carries the same code.
    let _ = docker.wait_container(name, None::<WaitContainerOptions>).next().await;
    let state = docker.inspect_container(name, None).await?.state.unwrap_or_default();
    if state.exit_code == Some(0) {
        return Ok(None);
    }
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let mut said = String::new();
    let mut log = docker.logs(name, Some(options));
    while let Some(part) = log.next().await {
        said.push_str(&part?.to_string());
    }
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Some(lines.take(LINES).map(str::to_owned).collect()))
}

/// The configuration as the engine takes files: at its place below the root.
fn archive(text: &str) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(text.len())?);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, FILE, text.as_bytes())?;
    Ok(archive.into_inner()?)
}
