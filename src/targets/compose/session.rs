//! A stack on Docker, and one command's work on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::error::Failure;
use crate::relative::{clean, relative};
use crate::render::context::compose::component_key;
use crate::render::{self, Document, Overrides};
use crate::stack::{Stack, TargetKind};
use crate::targets::change;
use crate::targets::compose::apply::cli::Cli;
use crate::targets::compose::observe::Engine;
use crate::targets::ownership::Claim;
use crate::targets::progress::Say;

/// A stack on Docker.
#[derive(Clone, Debug)]
pub(crate) struct Compose {
    pub(crate) stack: Stack,
    /// Where the documents lie that run.
    pub(crate) folder: PathBuf,
    /// Where the paths of the stack file start.
    pub(crate) project_folder: PathBuf,
    templates: BTreeMap<String, String>,
    pub(crate) claim: Claim,
}

/// What the change of a stack needs all along.
pub(crate) struct Session<'a> {
    pub(crate) compose: &'a Compose,
    pub(crate) engine: Engine,
    pub(crate) cli: Cli,
    /// When the command has to be done.
    pub(crate) deadline: Instant,
    pub(crate) say: Say<'a>,
}

impl Compose {
    /// The stack of the project in this folder; `templates` are those that the project puts in place of ours.
    pub(crate) fn new(
        (project_folder, state_folder): (&Path, &Path),
        stack: Stack,
        templates: BTreeMap<String, String>,
        claim: Claim,
    ) -> Self {
        let project_folder = project_folder.to_owned();
        Self { stack, folder: state_folder.join("compose"), project_folder, templates, claim }
    }

    /// The name of the Compose project, which is the stack's.
    pub(crate) fn project(&self) -> &str {
        self.stack.name.as_str()
    }

    /// The key of the service in the compose file.
    pub(crate) fn service(&self) -> &str {
        component_key(&self.stack)
    }

    /// Where the last packing of the service image is remembered.
    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join("image.json")
    }

    pub(crate) fn documents(&self) -> Result<Vec<Document>> {
        let project = relative(&clean(&self.folder), &clean(&self.project_folder));
        let overrides = Overrides { templates: self.templates.clone(), project, ..Overrides::default() };
        render::render(&self.stack, TargetKind::Compose, &overrides)
    }

    pub(crate) async fn cli(&self, engine: &Engine) -> Result<Cli> {
        Cli::find(&engine.host, self.project(), &self.folder).await
    }

    /// Begins a change that may take `timeout`.
    ///
    /// # Errors
    /// Exit 4 when engine or Compose cannot be reached.
    pub(crate) async fn session<'a>(&'a self, timeout: Duration, say: Say<'a>) -> Result<Session<'a>> {
        let deadline = Instant::now() + timeout;
        let engine = self.engine().await?;
        let cli = self.cli(&engine).await?;
        Ok(Session { compose: self, engine, cli, deadline, say })
    }
}

/// The failure of a verb that needs a running stack.
pub(crate) fn not_up(stack: &str) -> Failure {
    change::not_up(stack, " on compose", "appforge up --target compose")
}
