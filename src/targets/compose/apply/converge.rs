//! `up` and `restart`: brings the containers to what the documents say, replicas without a gap.

use std::time::Duration;

use anyhow::Result;

use crate::render::Document;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::change::Outcome;
use crate::targets::compose::observe::neighbours::left_running;
use crate::targets::compose::observe::{Container, Engine, Gateway, State};
use crate::targets::compose::session::Session;
use crate::targets::compose::session::not_up;
use crate::targets::plan::{Action, Plan};

/// What a replica may take to end its work; the documents say the same to the engine.
const GRACE: Duration = Duration::from_secs(15);
/// What the gateway may take to see the last request of a replica end.
const DRAIN: Duration = Duration::from_secs(12);
/// What the gateway may take to see that a replica is gone.
const VACATED: Duration = Duration::from_secs(5);

/// Looks for what `mongodb-start.sh` leaves beside the data of a replica set.
const REPLICA_SET: &str = "test -e /data/db/appforge-replica-set";

impl Session<'_> {
    /// Brings the stack up with its replicas and waits until it is ready. Replicas whose configuration or image changed are
    /// replaced one by one.
    ///
    /// Its steps are on the heap: together their futures do not fit on the stack of a thread of a test.
    ///
    /// # Errors
    /// Each obstacle by its own exit status and next command: see `preflight` and `ready`.
    pub(crate) async fn up(&self, documents: &[Document]) -> Result<Outcome> {
        let (compose, engine) = (self.compose, &self.engine);
        let before = engine.containers(compose.project()).await?;
        let neighbours = compose.neighbours(engine).await?;
        for port in compose.published() {
            compose.check_port(engine, &before, &neighbours, port)?;
        }
        left_running(&neighbours).for_each(|line| (self.say)(&line));
        compose.check_subnet(engine, &before).await?;
        Box::pin(self.refuse_dead_addresses(&before)).await?;
        // A release that failed, or whose command was cut off, has not replaced them.
        compose.restore_previous()?;
        // A project without the password of the data does not become its owner.
        compose.write_credentials(engine, compose.is_owner(engine).await?).await?;
        compose.record_owner(engine, self.say).await?;
        Box::pin(self.provide_images(documents)).await?;
        let desired = self.wanted(documents).await?;
        let unrendered = compose.unrendered(&compose.credentials()?)?;
        Box::pin(self.check_gateway(&desired, &before, (documents, &unrendered))).await?;
        let release = self.due_release(|words| desired.release_digest(words)).await?;
        if release.is_some() && running(&before, ComponentKind::Service) > 0 {
            compose.keep_previous(documents, &unrendered)?;
        }
        compose.write_documents(documents, &unrendered)?;
        let plan = compose.plan_of(&desired, &before);
        // A command that was cut off leaves containers without their second network, where the engine takes networks one by
        // one; Compose would start them as they are.
        let before = discard(engine, before, |container| container.state == State::Created).await?;
        if let Some(release) = &release
            && let Err(error) = Box::pin(self.release(release)).await
        {
            // `restart` continues with what the running replicas were made from.
            compose.restore_previous()?;
            return Err(error);
        }
        compose.forget_previous()?;
        let mut rollouts = Vec::new();
        for (kind, count) in compose.counts(compose.stack.service.replicas) {
            let outdated = of_kind(&before, kind).filter(|container| !desired.is_current(container));
            // Replicas that do no work, such as the first of a version that does not start, need no replacing; nor do those
            // that listen where the new gateway does not look.
            let useless =
                |container: &Container| container.state != State::Healthy || !compose.is_reached(container);
            let old = discard(engine, outdated.cloned().collect(), useless).await?;
            rollouts.push(Rollout { kind, old, count });
        }
        let moved = before.iter().any(|container| {
            !rollouts.iter().any(|rollout| container.is(rollout.kind))
                && desired.left_folder(container).is_some()
        });
        if moved || rollouts.iter().any(|rollout| !rollout.old.is_empty()) {
            let mut arguments = vec!["--no-deps", ComponentKind::Gateway.as_str()];
            arguments.extend(compose.stores().into_iter().map(StoreKind::as_str));
            if moved {
                arguments.push("--force-recreate");
            }
            self.compose_up(&arguments).await?;
        }
        for rollout in &rollouts {
            if rollout.old.is_empty() {
                Box::pin(self.retire(&before, rollout)).await?;
            } else {
                Box::pin(self.replace(rollout)).await?;
            }
        }
        self.compose_up(&["--remove-orphans"]).await?;
        Box::pin(self.finish(plan, compose.stack.service.replicas)).await
    }

    /// Replaces every replica, and every front of an app, one by one: starts one, waits until the gateway sends it work, drains
    /// and stops one.
    ///
    /// # Errors
    /// As [`Session::up`]; exit 4 when the stack is not up.
    pub(crate) async fn restart(&self) -> Result<Outcome> {
        let compose = self.compose;
        let before = self.engine.containers(compose.project()).await?;
        let running = running(&before, ComponentKind::Service);
        if running == 0 || !compose.folder.join("docker-compose.yml").is_file() {
            return Err(not_up(compose.project()).into());
        }
        compose.restore_previous()?;
        let (mut plan, counts) = (Plan::default(), compose.counts(running));
        for (kind, _) in &counts {
            for container in of_kind(&before, *kind) {
                plan.push(Action::Restart, container.short_name(), Vec::new());
            }
        }
        for (kind, count) in counts {
            let all = of_kind(&before, kind).cloned().collect();
            let old = discard(&self.engine, all, |container| container.state != State::Healthy).await?;
            Box::pin(self.replace(&Rollout { kind, old, count })).await?;
        }
        self.finish(plan, running).await
    }

    async fn finish(&self, plan: Plan, replicas: u32) -> Result<Outcome> {
        let containers = self.wait_until_ready(&self.compose.counts(replicas)).await?;
        self.share_limit(&containers).await;
        self.note_mongodb(&containers).await?;
        Ok(Outcome::new(plan, self.compose.status_of(&self.engine, &containers, replicas)))
    }

    /// What the user should know of the MongoDB that runs: a replica set is made with the data only.
    async fn note_mongodb(&self, containers: &[Container]) -> Result<()> {
        let Some(mongodb) = of_kind(containers, ComponentKind::Mongodb).next() else { return Ok(()) };
        if !self.engine.succeeds(&mongodb.id, &["sh", "-c", REPLICA_SET]).await? {
            (self.say)(
                "mongodb has no replica set, because its data was made without one; transactions and change streams need \
                 one: copy the data, then `appforge down --volumes` and `appforge up`",
            );
        }
        Ok(())
    }

    async fn replace(&self, rollout: &Rollout) -> Result<()> {
        let Rollout { kind, old, count } = rollout;
        for (index, leaving) in old.iter().enumerate() {
            let now = self.engine.containers(self.compose.project()).await?;
            let more = running(&now, *kind) + 1;
            (self.say)(&format!("replacing {} ({} of {})", leaving.name, index + 1, old.len()));
            self.compose_scale(*kind, more).await?;
            self.wait_until_ready(&[(*kind, more)]).await?;
            self.leave(leaving).await?;
        }
        self.compose_scale(*kind, *count).await
    }

    /// Takes away what is too many, the youngest first, each drained before.
    async fn retire(&self, containers: &[Container], rollout: &Rollout) -> Result<()> {
        let running: Vec<&Container> = of_kind(containers, rollout.kind).collect();
        for leaving in running.iter().skip(usize::try_from(rollout.count).unwrap_or(usize::MAX)).rev() {
            (self.say)(&format!("stopping {}", leaving.name));
            self.leave(leaving).await?;
        }
        Ok(())
    }

    /// One replica leaves: the gateway sends it no more work, then it is stopped and removed.
    async fn leave(&self, leaving: &Container) -> Result<()> {
        let engine = &self.engine;
        let containers = engine.containers(self.compose.project()).await?;
        let gateway = Gateway::of(engine, &containers).filter(|_| leaving.state == State::Healthy);
        let way = gateway.as_ref().zip(leaving.address.as_deref());
        let place = match way {
            Some((gateway, address)) => gateway.drain(address, DRAIN).await?,
            None => None,
        };
        engine.stop_and_remove(&leaving.id, GRACE).await?;
        if let (Some((gateway, _)), Some(place)) = (way, place) {
            gateway.reopen(&place, VACATED).await?;
        }
        Ok(())
    }

    async fn compose_scale(&self, kind: ComponentKind, count: u32) -> Result<()> {
        let key = if kind == ComponentKind::Front { kind.as_str() } else { self.compose.service() };
        let scale = format!("{key}={count}");
        self.compose_up(&["--no-deps", "--no-recreate", "--scale", &scale, key]).await
    }

    /// `docker compose up`; when it fails, the components say why better than it does.
    pub(crate) async fn compose_up(&self, arguments: &[&str]) -> Result<()> {
        let all = [&["up", "--detach", "--no-build"], arguments].concat();
        let Err(error) = Box::pin(self.cli.run(&all, self.deadline, self.say)).await else { return Ok(()) };
        Err(self.explain(error).await)
    }
}

/// What is replaced one by one until there are `count`.
struct Rollout {
    kind: ComponentKind,
    old: Vec<Container>,
    count: u32,
}

pub(crate) fn of_kind(containers: &[Container], kind: ComponentKind) -> impl Iterator<Item = &Container> {
    containers.iter().filter(move |container| container.is(kind))
}

fn running(containers: &[Container], kind: ComponentKind) -> u32 {
    let running = of_kind(containers, kind).filter(|container| container.is_up()).count();
    u32::try_from(running).unwrap_or(u32::MAX)
}

/// Removes the containers that are of no use, and returns the others.
async fn discard(
    engine: &Engine,
    containers: Vec<Container>,
    useless: impl Fn(&Container) -> bool,
) -> Result<Vec<Container>> {
    let (useless, others): (Vec<_>, Vec<_>) =
        containers.into_iter().partition(|container| useless(container));
    for container in useless {
        engine.stop_and_remove(&container.id, GRACE).await?;
    }
    Ok(others)
}
