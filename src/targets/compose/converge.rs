//! `up` and `restart`: brings the containers to what the documents say, replicas without a gap.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::cli::Cli;
use super::engine::Engine;
use super::gateway::Gateway;
use super::observe::{Container, State};
use super::{Compose, not_up};
use crate::files;
use crate::render::Document;
use crate::targets::Say;
use crate::targets::plan::{Action, Plan};
use crate::targets::status::Status;

/// What a replica may take to end its work; the documents say the same to the engine.
const GRACE: Duration = Duration::from_secs(15);
/// What the gateway may take to see the last request of a replica end.
const DRAIN: Duration = Duration::from_secs(12);
/// What the gateway may take to see that a replica is gone.
const VACATED: Duration = Duration::from_secs(5);

impl Compose {
    /// Brings the stack up with `replicas` and waits until it is ready. Doing it again changes nothing; after a failure it
    /// goes on where it stopped. Replicas whose configuration or image changed are replaced one by one. Returns what was
    /// done.
    ///
    /// # Errors
    /// Each obstacle by its own exit status and next command: see `preflight` and `ready`.
    pub async fn up(&self, replicas: u32, timeout: Duration, say: Say<'_>) -> Result<(Plan, Status)> {
        let deadline = Instant::now() + timeout;
        let stack = self.with_replicas(replicas);
        let documents = stack.documents()?;
        let engine = self.engine().await?;
        let cli = stack.cli(&engine).await?;
        let _lock = stack.lock("up", say).await?;
        let before = engine.containers(stack.project()).await?;
        for port in stack.published() {
            stack.check_port(&engine, &before, port)?;
        }
        stack.check_subnet(&engine, &before).await?;
        stack.refuse_dead_addresses(&engine, &before, say).await?;
        // A project without the password of the data does not become its owner.
        stack.write_credentials(&engine, stack.is_owner(&engine).await?).await?;
        stack.record_owner(&engine, say).await?;
        stack.provide_images(&engine, &cli, &documents, deadline, say).await?;
        let wanted = stack.wanted(&engine, &cli, &documents, deadline).await?;
        stack.check_gateway(&engine, &wanted, &before, &documents).await?;
        stack.write(&documents)?;
        let plan = stack.plan(&wanted, &before, replicas);
        // A command that was cut off leaves containers without their second network, where the engine takes networks one by
        // one; Compose would start them as they are.
        let before = discard(&engine, before, |state| state == State::Created).await?;
        let outdated: Vec<Container> =
            replicas_of(&before).filter(|container| !wanted.is_current(container)).cloned().collect();
        // Replicas that do no work, such as the first of a version that does not start, need no replacing.
        let old = discard(&engine, outdated, |state| state != State::Healthy).await?;
        let moved = before
            .iter()
            .any(|container| container.component != "service" && wanted.left_folder(container).is_some());
        if moved || !old.is_empty() {
            let mut arguments = vec!["--no-deps", "gateway"];
            arguments.extend(stack.stores());
            if moved {
                arguments.push("--force-recreate");
            }
            stack.run(&engine, &cli, &arguments, deadline, say).await?;
        }
        if old.is_empty() {
            stack.retire(&engine, &before, replicas, say).await?;
        } else {
            stack.replace(&engine, &cli, &old, replicas, deadline, say).await?;
        }
        stack.run(&engine, &cli, &["--remove-orphans"], deadline, say).await?;
        let containers = stack.wait_until_ready(&engine, replicas, deadline, say).await?;
        stack.tell_replicas(&containers, replicas, say).await;
        Ok((plan, stack.status_of(&engine, &containers, replicas)))
    }

    /// Whether there is a stack to be scaled.
    ///
    /// # Errors
    /// Exit 4 when the engine cannot be reached or the stack is not up.
    pub async fn running(&self) -> Result<()> {
        let engine = self.engine().await?;
        match engine.containers(self.project()).await?.iter().any(Container::is_up) {
            true => Ok(()),
            false => Err(not_up(self.project()).into()),
        }
    }

    /// Replaces every replica, one by one: starts one, waits until the gateway sends it work, drains and stops one.
    ///
    /// # Errors
    /// As [`Compose::up`]; exit 4 when the stack is not up.
    pub async fn restart(&self, timeout: Duration, say: Say<'_>) -> Result<(Plan, Status)> {
        let deadline = Instant::now() + timeout;
        let engine = self.engine().await?;
        let cli = self.cli(&engine).await?;
        let _lock = self.lock("restart", say).await?;
        let before = engine.containers(self.project()).await?;
        let running = replicas_of(&before).filter(|container| container.is_up()).count();
        if running == 0 || !self.folder.join("docker-compose.yml").is_file() {
            return Err(not_up(self.project()).into());
        }
        let replicas = u32::try_from(running).unwrap_or(u32::MAX);
        let mut plan = Plan::default();
        for container in replicas_of(&before) {
            plan.push(Action::Restart, container.short_name(), Vec::new());
        }
        let all = replicas_of(&before).cloned().collect();
        let old = discard(&engine, all, |state| state != State::Healthy).await?;
        self.replace(&engine, &cli, &old, replicas, deadline, say).await?;
        let containers = self.wait_until_ready(&engine, replicas, deadline, say).await?;
        self.tell_replicas(&containers, replicas, say).await;
        Ok((plan, self.status_of(&engine, &containers, replicas)))
    }

    fn write(&self, documents: &[Document]) -> Result<()> {
        files::make_private_folder(&self.folder)?;
        for document in documents {
            let path = self.folder.join(&document.path);
            if files::read_private(&path)?.as_deref() != Some(&document.text) {
                files::write_private(&path, document.text.as_bytes(), document.mode)?;
            }
        }
        Ok(())
    }

    /// Replaces `old` one by one and ends with `replicas`.
    async fn replace(
        &self,
        engine: &Engine,
        cli: &Cli,
        old: &[Container],
        replicas: u32,
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        for (index, leaving) in old.iter().enumerate() {
            let now = engine.containers(self.project()).await?;
            let running = replicas_of(&now).filter(|container| container.is_up()).count();
            say(&format!("replacing {} ({} of {})", leaving.name, index + 1, old.len()));
            self.compose_scale(engine, cli, running + 1, deadline, say).await?;
            let enough = u32::try_from(running + 1).unwrap_or(u32::MAX);
            self.wait_until_ready(engine, enough, deadline, say).await?;
            self.leave(engine, leaving).await?;
        }
        self.compose_scale(engine, cli, usize::try_from(replicas).unwrap_or(usize::MAX), deadline, say).await
    }

    /// Takes away the replicas above `replicas`, the youngest first, each drained before.
    async fn retire(
        &self,
        engine: &Engine,
        containers: &[Container],
        replicas: u32,
        say: Say<'_>,
    ) -> Result<()> {
        let running: Vec<&Container> = replicas_of(containers).collect();
        for leaving in running.iter().skip(usize::try_from(replicas).unwrap_or(usize::MAX)).rev() {
            say(&format!("stopping {}", leaving.name));
            self.leave(engine, leaving).await?;
        }
        Ok(())
    }

    /// One replica leaves: the gateway sends it no more work, then it is stopped and removed.
    async fn leave(&self, engine: &Engine, leaving: &Container) -> Result<()> {
        let containers = engine.containers(self.project()).await?;
        let gateway = Gateway::of(engine, &containers).filter(|_| leaving.state == State::Healthy);
        let way = gateway.as_ref().zip(leaving.address.as_deref());
        let place = match way {
            Some((gateway, address)) => gateway.drain(address, DRAIN).await?,
            None => None,
        };
        engine.stop_and_remove(&leaving.id, GRACE).await?;
        if let (Some((gateway, address)), Some(place)) = (way, place) {
            gateway.reopen(&place, address, VACATED).await?;
        }
        Ok(())
    }

    async fn compose_scale(
        &self,
        engine: &Engine,
        cli: &Cli,
        count: usize,
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        let scale = format!("{}={count}", self.service());
        self.run(
            engine,
            cli,
            &["--no-deps", "--no-recreate", "--scale", &scale, self.service()],
            deadline,
            say,
        )
        .await
    }

    /// `docker compose up`; when it fails, the components say why better than it does.
    async fn run(
        &self,
        engine: &Engine,
        cli: &Cli,
        arguments: &[&str],
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        let all = [&["up", "--detach", "--no-build"], arguments].concat();
        let Err(error) = cli.run(&all, deadline, say).await else { return Ok(()) };
        Err(self.explain(engine, error).await)
    }
}

pub(super) fn replicas_of(containers: &[Container]) -> impl Iterator<Item = &Container> {
    containers.iter().filter(|container| container.component == "service")
}

/// Removes the containers that are of no use, and returns the others.
async fn discard(
    engine: &Engine,
    containers: Vec<Container>,
    useless: impl Fn(State) -> bool,
) -> Result<Vec<Container>> {
    let (useless, others): (Vec<_>, Vec<_>) =
        containers.into_iter().partition(|container| useless(container.state));
    for container in useless {
        engine.stop_and_remove(&container.id, GRACE).await?;
    }
    Ok(others)
}
