//! Tries the addresses of external stores from where replicas run, before a replica depends on them: by a container that lives
//! for seconds, in the service's network and of its image. Changes nothing that runs.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::reach::Reached;

use crate::stack::StoreKind;
use crate::stack::values::Secret;
use crate::targets::address::{ANSWER, Address, Tried};
use crate::targets::compose::apply::converge::of_kind;
use crate::targets::compose::observe::{Container, Engine};
use crate::targets::compose::plan::trial::{Outcome, REACH, Trial};
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::Session;
use crate::targets::progress::Say;

/// Where the addresses are tried from, in a sentence.
const FROM: &str = "the containers";
/// How long the container may take beyond the answers of the stores.
const LIFE: Duration = Duration::from_secs(20);
/// The user of the bundled service, by number; the files are its alone.
const USER: u64 = 65532;
/// The folder of the files.
const FOLDER: &str = "addresses";

impl Session<'_> {
    /// Refuses new addresses that do not answer while a stack runs with others.
    ///
    /// # Errors
    /// Exit 1 when one does not answer; nothing was changed then.
    pub(crate) async fn refuse_dead_addresses(&self, before: &[Container]) -> Result<()> {
        let mut counters = of_kind(before, self.compose.counter().0);
        let Some(replica) = counters.find(|container| container.is_up()) else { return Ok(()) };
        let found = self.compose.external_addresses()?;
        if !found.iter().any(|(address, _)| address.changed) {
            return Ok(());
        }
        let addresses: Vec<Address> = found.iter().map(|(address, _)| *address).collect();
        let tried = self.compose.try_addresses(&self.engine, replica, &found, self.say).await?;
        tried.refusal(&addresses, FROM).map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}

impl Compose {
    /// What the user should know of the addresses with which the stack runs, one sentence each.
    pub(crate) async fn unreachable(&self, strict: bool, say: Say<'_>) -> Result<Vec<String>> {
        let found = self.external_addresses()?;
        let engine = self.engine().await?;
        let containers = engine.containers(self.project()).await?;
        let replica = of_kind(&containers, self.counter().0).find(|container| container.is_up());
        let (false, Some(replica)) = (found.is_empty(), replica) else { return Ok(Vec::new()) };
        let addresses: Vec<Address> = found.iter().map(|(address, _)| *address).collect();
        Ok(self.try_addresses(&engine, replica, &found, say).await?.faults(&addresses, FROM, strict, say))
    }

    /// The addresses of the external stores, and whether the files of the running stack hold others.
    fn external_addresses(&self) -> Result<Vec<(Address, Secret)>> {
        let mut found = Vec::new();
        for (kind, file) in [(StoreKind::Mongodb, "mongodb_uri"), (StoreKind::Redis, "redis_url")] {
            let Some(uri) = self.stack.external_text(kind) else { continue };
            let changed = self.secrets().get(file)?.is_none_or(|kept| kept.reveal() != uri.reveal());
            found.push((Address { changed, ..Address::of(kind) }, uri.clone()));
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
        let paths: Vec<&str> = external.iter().map(|(address, _)| address.path).collect();
        say(&format!("testing {} from {FROM}", paths.join(" and ")));
        let variable = |address: &Address| format!("{}_FILE=/{FOLDER}/{}", address.variable, address.key);
        let trial = Trial {
            of: (self, REACH),
            image: &replica.image_id,
            entrypoint: Some("/appforge"),
            arguments: vec!["reach".into(), "--timeout".into(), format!("{}s", ANSWER.as_secs())],
            environment: external.iter().map(|(address, _)| variable(address)).collect(),
            user: USER,
            network: &format!("{}_edge", self.project()),
            files: archive(external)?,
            limit: ANSWER * 2 + LIFE,
        };
        Ok(match trial.run(engine).await.context("cannot test the addresses of the stores")? {
            Outcome::Ended(code, said) => tried(code, &said),
            Outcome::NotStarted(error) => Tried::Not(error.to_string()),
            Outcome::Late => Tried::Not("the container that tests them did not end in time".into()),
        })
    }
}

/// What `appforge reach` printed: the last line that is an answer counts.
fn tried(code: Option<i64>, said: &str) -> Tried {
    let answer = said.lines().rev().find_map(|line| serde_json::from_str::<Reached>(line).ok());
    match (code, answer) {
        (Some(0), _) => Tried::Done(Reached::default()),
        (Some(1), Some(reached)) => Tried::Done(reached),
        (code, _) => Tried::Not(format!("its image ended with exit code {}", code.unwrap_or(-1))),
    }
}

/// The addresses as the engine takes files, for the user of the container alone.
fn archive(external: &[(Address, Secret)]) -> Result<tar::Builder<Vec<u8>>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (address, uri) in external {
        let mut header = tar::Header::new_ustar();
        header.set_size(u64::try_from(uri.reveal().len())?);
        header.set_mode(0o400);
        header.set_uid(USER);
        header.set_gid(USER);
        archive.append_data(&mut header, format!("{FOLDER}/{}", address.key), uri.reveal().as_bytes())?;
    }
    Ok(archive)
}
