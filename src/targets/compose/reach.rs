//! Tries the addresses of external stores from where replicas run, before a replica depends on them: by a container that lives
//! for seconds, in the service's network and of its image. Changes nothing that runs.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::reach::Reached;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::Compose;
use super::converge::replicas_of;
use super::engine::Engine;
use super::observe::Container;
use crate::render::context::compose::external;
use crate::stack::values::Secret;
use crate::targets::Say;
use crate::targets::address::{ANSWER, Address, Tried};

/// Where the addresses are tried from, in a sentence.
const FROM: &str = "the containers";
/// How long the container may take beyond the answers of the stores.
const LIFE: Duration = Duration::from_secs(20);
/// The user of the bundled service, by number; the files are its alone.
const USER: u64 = 65532;
/// The folder of the files.
const FOLDER: &str = "addresses";

impl Compose {
    /// Refuses new addresses that do not answer while a stack runs with others.
    ///
    /// # Errors
    /// Exit 1 when one does not answer; nothing was changed then.
    pub(super) async fn refuse_dead_addresses(
        &self,
        engine: &Engine,
        before: &[Container],
        say: Say<'_>,
    ) -> Result<()> {
        let Some(replica) = replicas_of(before).find(|container| container.is_up()) else { return Ok(()) };
        let found = self.external_addresses()?;
        if !found.iter().any(|(address, _)| address.changed) {
            return Ok(());
        }
        let addresses: Vec<Address> = found.iter().map(|(address, _)| *address).collect();
        let tried = self.try_addresses(engine, replica, &found, say).await?;
        tried.refusal(&addresses, FROM).map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// What the user should know of the addresses with which the stack runs, one sentence each.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub async fn unreachable(&self, say: Say<'_>) -> Result<Vec<String>> {
        let found = self.external_addresses()?;
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let replica = replicas_of(&containers).find(|container| container.is_up());
        let (false, Some(replica)) = (found.is_empty(), replica) else { return Ok(Vec::new()) };
        let addresses: Vec<Address> = found.iter().map(|(address, _)| *address).collect();
        Ok(self.try_addresses(&engine, replica, &found, say).await?.warnings(&addresses, FROM))
    }

    /// The addresses of the external stores, and whether the files of the running stack hold others.
    fn external_addresses(&self) -> Result<Vec<(Address, Secret)>> {
        let (mongodb, redis) = (&self.stack.mongodb, &self.stack.redis);
        let stores = [
            (Address::all(true, false), external(mongodb.mode, mongodb.uri.as_ref()), "mongodb_uri"),
            (Address::all(false, true), external(redis.mode, redis.url.as_ref()), "redis_url"),
        ];
        let mut found = Vec::new();
        for (address, uri, file) in stores {
            if let (Some(mut address), Some(uri)) = (address.first().copied(), uri.cloned()) {
                address.changed = self.secrets().get(file)?.is_none_or(|kept| kept.reveal() != uri.reveal());
                found.push((address, uri));
            }
        }
        Ok(found)
    }

    async fn try_addresses(
        &self,
        engine: &Engine,
        replica: &Container,
        external: &[(Address, Secret)],
        say: Say<'_>,
    ) -> Result<Tried> {
        if !self.stack.service.image.is_bundled() {
            return Ok(Tried::Not(format!("the image `{}` has no `appforge reach`", replica.image)));
        }
        let paths: Vec<&str> = external.iter().map(|(address, _)| address.path).collect();
        say(&format!("trying {} from {FROM}", paths.join(" and ")));
        // A fixed name, so that what a killed command left behind is removed here.
        let name = format!("{}-reach", self.project());
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        let network = format!("{}_edge", self.project());
        let work = run(engine, &name, &replica.image_id, &network, external);
        let outcome = tokio::time::timeout(ANSWER * 2 + LIFE, work).await;
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        outcome.unwrap_or_else(|_| Ok(Tried::Not("the container that tries them did not end".into())))
    }
}

/// Runs `appforge reach` in a container. Its last line is the answer.
async fn run(
    engine: &Engine,
    name: &str,
    image: &str,
    network: &str,
    external: &[(Address, Secret)],
) -> Result<Tried> {
    let docker = &engine.docker;
    let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let environment = external
        .iter()
        .map(|(address, _)| format!("{}_FILE=/{FOLDER}/{}", address.variable, address.key))
        .collect();
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: owned(&["/appforge"]),
        cmd: owned(&["reach", "--timeout", &format!("{}s", ANSWER.as_secs())]),
        env: Some(environment),
        user: Some(format!("{USER}:{USER}")),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            extra_hosts: owned(&["host.docker.internal:host-gateway"]),
            cap_drop: owned(&["ALL"]),
            security_opt: owned(&["no-new-privileges:true"]),
            memory: Some(256 << 20),
            pids_limit: Some(64),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    docker.create_container(Some(options), body).await.context("while trying the addresses of the stores")?;
    let place = UploadToContainerOptionsBuilder::default().path("/").build();
    docker.upload_to_container(name, Some(place), bollard::body_full(archive(external)?.into())).await?;
    docker.start_container(name, None).await?;
    // The exit code is read below; an error of the stream carries the same code.
    let _ = docker.wait_container(name, None::<WaitContainerOptions>).next().await;
    let code = docker.inspect_container(name, None).await?.state.unwrap_or_default().exit_code;
    let mut said = String::new();
    let mut log = docker.logs(name, Some(LogsOptionsBuilder::default().stdout(true).build()));
    while let Some(part) = log.next().await {
        said.push_str(&part?.to_string());
    }
    let answer = said.lines().last().and_then(|line| serde_json::from_str::<Reached>(line).ok());
    Ok(match (code, answer) {
        (Some(0), _) => Tried::Done(Reached::default()),
        (Some(1), Some(reached)) => Tried::Done(reached),
        (code, _) => Tried::Not(format!("its image ended with exit code {}", code.unwrap_or(-1))),
    })
}

/// The addresses as the engine takes files, for the user of the container alone.
fn archive(external: &[(Address, Secret)]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (address, uri) in external {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(uri.reveal().len())?);
        header.set_mode(0o400);
        header.set_uid(USER);
        header.set_gid(USER);
        archive.append_data(&mut header, format!("{FOLDER}/{}", address.key), uri.reveal().as_bytes())?;
    }
    Ok(archive.into_inner()?)
}
