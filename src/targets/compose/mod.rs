//! The stack on Docker: documents that Compose converges, and an engine that is watched through its API.
//!
//! Compose alone creates and removes; what happened is never read from its output but asked from the engine. Its files lie
//! in `.appforge/compose`, where `docker compose` by hand finds the same stack.

pub mod cli;
mod converge;
mod credentials;
mod doctor;
pub mod engine;
mod gateway;
mod gateway_check;
pub mod image;
mod logs;
pub mod observe;
mod owner;
mod plan;
mod preflight;
mod reach;
mod ready;
mod status;
mod subject;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use bollard::query_parameters::RemoveVolumeOptions;
use tokio::time::Instant;

pub use subject::{Replica, Subject};

use crate::error::Failure;
use crate::files;
use crate::render::context::compose::component_key;
use crate::render::{self, Document, Overrides};
use crate::stack::{Stack, TargetKind};
use crate::targets::Say;
use crate::targets::compose::cli::Cli;
use crate::targets::compose::engine::Engine;
use crate::targets::local::lock::Lock;
use crate::targets::outcome;
use crate::targets::ownership::Claim;

/// A stack on Docker.
#[derive(Clone, Debug)]
pub struct Compose {
    stack: Stack,
    folder: PathBuf,
    templates: std::collections::BTreeMap<String, String>,
    claim: Claim,
}

impl Compose {
    /// The stack of the project with this state folder; `templates` are those that the project puts in place of ours.
    pub fn new(
        state_folder: &Path,
        stack: &Stack,
        templates: std::collections::BTreeMap<String, String>,
    ) -> Self {
        let folder = state_folder.join("compose");
        let claim =
            Claim::new(state_folder.parent().unwrap_or(state_folder), state_folder, stack.id.clone(), false);
        Self { stack: stack.clone(), folder, templates, claim }
    }

    /// The same stack, asked for by this project.
    pub fn claimed(self, claim: Claim) -> Self {
        Self { claim, ..self }
    }

    /// Where the documents lie that run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of the Compose project, which is the stack's.
    pub fn project(&self) -> &str {
        self.stack.name.as_str()
    }

    /// The key of the service in the compose file.
    fn service(&self) -> &str {
        component_key(&self.stack)
    }

    /// The same stack with another number of replicas.
    fn with_replicas(&self, replicas: u32) -> Self {
        let mut other = self.clone();
        other.stack.service.replicas = replicas;
        other
    }

    /// Takes the right to change the stack; `say` is told once whom for, if another command has it.
    async fn lock(&self, verb: &str, say: Say<'_>) -> Result<Lock> {
        files::make_private_folder(&self.folder)?;
        files::check_private(&self.folder)?;
        Lock::of_command(self.folder.join("lock"), verb, say).await
    }

    /// Where the last packing of the service image is remembered.
    fn memory(&self) -> PathBuf {
        self.folder.join("image.json")
    }

    fn documents(&self) -> Result<Vec<Document>> {
        let overrides = Overrides { templates: self.templates.clone(), ..Overrides::default() };
        render::render(&self.stack, TargetKind::Compose, &overrides)
    }

    async fn cli(&self, engine: &Engine) -> Result<Cli> {
        Cli::find(&engine.host, self.project(), &self.folder).await
    }

    /// The names of the volumes, which hold the data.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub async fn volumes(&self) -> Result<Vec<String>> {
        self.engine().await?.volumes(self.project()).await
    }

    /// Ends the stack: gateway, replicas, stores, in this order. Data stays unless `volumes`. Returns how many containers ended.
    ///
    /// # Errors
    /// When engine or Compose cannot be reached, or `timeout` passes.
    pub async fn down(&self, volumes: bool, timeout: Duration, say: Say<'_>) -> Result<usize> {
        let engine = self.engine().await?;
        let cli = self.cli(&engine).await?;
        let _lock = self.lock("down", say).await?;
        self.remove_trials(&engine).await?;
        let there = engine.containers(self.project()).await?.len();
        let mut arguments = vec!["down", "--remove-orphans"];
        if volumes {
            arguments.push("--volumes");
        }
        let deadline = Instant::now() + timeout;
        match self.folder.join("docker-compose.yml").is_file() {
            true => cli.run(&arguments, deadline, say).await?,
            false => cli.run_by_labels(&arguments, deadline, say).await?,
        }
        if volumes {
            // A store that no document names any more left its volume behind.
            let left = engine.volumes(self.project()).await?;
            for volume in &left {
                engine.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await?;
            }
            self.forget_store_credentials()?;
            self.forget_owner(&engine).await?;
        }
        Ok(there)
    }
}

/// The failure of a verb that needs a running stack.
fn not_up(stack: &str) -> Failure {
    outcome::not_up(stack, " on compose", "appforge up --target compose")
}
