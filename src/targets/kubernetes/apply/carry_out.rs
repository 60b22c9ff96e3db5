//! Carries out what `up` has found to do: what runs is taken away only when what follows it works.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::error::{ExitStatus, status_of};
use crate::render::context::kubernetes::names;
use crate::targets::address::Tried;
use crate::targets::kubernetes::apply::changes::ObjectChange;
use crate::targets::kubernetes::apply::documents::is_service;
use crate::targets::kubernetes::apply::drift::claim;
use crate::targets::kubernetes::apply::prepared::{Prepared, Wanted};
use crate::targets::kubernetes::apply::reach::{running_values, template_of};
use crate::targets::kubernetes::apply::references::mark_changes;
use crate::targets::kubernetes::apply::release::is_release;
use crate::targets::kubernetes::apply::transition::{FROM, Passage, is_policy};
use crate::targets::kubernetes::apply::volumes::is_claim;
use crate::targets::kubernetes::client::{MANAGER, Object, apply, is_forbidden, remove, set_replicas};
use crate::targets::kubernetes::observe::Waiting;
use crate::targets::kubernetes::scale::replicas::{HANDOVER, Handover};
use crate::targets::kubernetes::session::Session;
use crate::targets::plan::Action;

/// How long addresses may be tried after the rollout, whatever is left of the command's own time.
const LAST: Duration = Duration::from_secs(30);

impl Session<'_> {
    /// Tries new addresses before a replica gets them; `None` when there are none.
    pub(crate) async fn try_first(
        &self,
        wanted: &Wanted,
        prepared: &Prepared,
        strict: bool,
    ) -> Result<Option<Vec<String>>> {
        let service = names::service(self.stack);
        let inventory = &wanted.inventory;
        let Some(running) = running_values(inventory, &service)? else { return Ok(None) };
        let values = wanted.credentials.contents.get(&service).context("the service has a Secret")?;
        let mut addresses = self.kubernetes.addresses(values, Some(&running));
        let template = template_of(prepared.deployment(&service)?)?;
        if let Some(live) = inventory.named("Deployment", &service) {
            mark_changes(&mut addresses, live, template);
        }
        let changed = addresses.iter().any(|address| address.changed);
        let there = |object: &Object| inventory.find(&object.kind, &object.name).is_some();
        let secret = prepared.copy(&service, &wanted.credentials.digest)?;
        let passage = Passage {
            policy: prepared.beside.clone().map(|policy| (policy.clone(), there(&policy))),
            secret: (secret, there(secret)),
            template,
            addresses,
            strict,
        };
        let warnings = self.pass(&passage).await?;
        Ok(changed.then_some(warnings))
    }

    /// Tries addresses that are the first ones or the old ones: what does not answer is a warning, since replicas have them.
    pub(crate) async fn try_last(
        &self,
        wanted: &Wanted,
        prepared: &Prepared,
        strict: bool,
    ) -> Result<Vec<String>> {
        let say = self.say;
        let service = names::service(self.stack);
        let values = wanted.credentials.contents.get(&service).context("the service has a Secret")?;
        let addresses = self.kubernetes.addresses(values, None);
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let secret = &prepared.copy(&service, &wanted.credentials.digest)?.name;
        let template = template_of(prepared.deployment(&service)?)?;
        let late = self.until(self.cluster.deadline().max(Instant::now() + LAST));
        let tried = match late.try_addresses(template, secret, &addresses).await {
            // The stack is up, so a missing right or a lack of time to try an address does not fail the command.
            Err(error) if is_forbidden(&error) || status_of(&error) == ExitStatus::TimedOut => {
                Tried::Not(error.to_string())
            }
            other => other?,
        };
        Ok(tried.faults(&addresses, FROM, strict, say))
    }

    pub(crate) async fn carry_out(&self, prepared: &Prepared, force: bool) -> Result<()> {
        let (cluster, say) = (&self.cluster, self.say);
        let name = names::service(self.stack);
        for gone in prepared.changes.prunes.iter().filter(|object| is_scaler(object)) {
            // An autoscaler that has to go must not answer to what comes.
            say(&format!("removing {}", gone.title()));
            remove(cluster, gone).await?;
        }
        let new_stores = prepared.new_stores(&name);
        for change in &prepared.changes.changes {
            if prepared.beside.is_some() && is_policy(&change.object, &name) {
                continue;
            }
            if is_release(&change.object) {
                continue;
            }
            let service = is_service(&change.object, &name);
            if service && !new_stores.is_empty() {
                // Replicas that run have the old store until the new one answers.
                let meant = Waiting { only: Some(&new_stores), ..Waiting::default() };
                self.wait_for_rollout(meant).await?;
            }
            if service && let Some(release) = &prepared.release {
                // Its command may need what the stores have.
                let stores = prepared.stores();
                self.wait_for_rollout(Waiting { only: Some(&stores), ..Waiting::default() }).await?;
                self.run_release(release).await?;
            }
            let handover = if service { prepared.handover } else { Handover::None };
            if change.action.is_some() || matches!(handover, Handover::Give(_)) {
                say(&format!("applying {}", change.object.title()));
                self.apply_change(change, handover, force).await?;
            }
        }
        Ok(())
    }

    /// What waits until no replica needs the old any more.
    pub(crate) async fn conclude(&self, prepared: &Prepared, force: bool) -> Result<()> {
        let (cluster, say) = (&self.cluster, self.say);
        let name = names::service(self.stack);
        if let Some(beside) = &prepared.beside {
            for change in prepared.changes.changes.iter().filter(|change| is_policy(&change.object, &name)) {
                say(&format!("applying {}", change.object.title()));
                self.apply_change(change, Handover::None, force).await?;
            }
            remove(cluster, beside).await?;
        }
        for gone in prepared.changes.prunes.iter().filter(|object| !is_scaler(object)) {
            say(&format!("removing {}", gone.title()));
            remove(cluster, gone).await?;
        }
        Ok(())
    }

    /// An autoscaler raises the number of replicas to its floor within some seconds; this is sooner, and works without one.
    pub(crate) async fn lift(&self, floor: u32) -> Result<()> {
        let cluster = &self.cluster;
        if self.stack.kubernetes.autoscaling.is_none() {
            return Ok(());
        }
        let live = self.live().await?;
        match live.at("/spec/replicas").and_then(Value::as_u64) {
            Some(running) if running < u64::from(floor) => {
                set_replicas(cluster, &live, floor, HANDOVER).await
            }
            _ => Ok(()),
        }
    }

    async fn apply_change(&self, change: &ObjectChange, handover: Handover, force: bool) -> Result<()> {
        let cluster = &self.cluster;
        let object = &change.object;
        if force && !change.additions.is_empty() {
            claim(cluster, object).await?;
        }
        match handover {
            Handover::Give(count) => {
                let mut held = object.clone();
                held.set(&["spec", "replicas"], count);
                if change.action == Some(Action::Create) {
                    // Made with the right number, so that it does not start with one replica.
                    apply(cluster, &held, MANAGER, force).await?;
                }
                let holder = Object {
                    value: json!({
                        "apiVersion": object.value["apiVersion"], "kind": object.value["kind"],
                        "metadata": {"name": object.name}, "spec": {"replicas": count},
                    }),
                    ..object.clone()
                };
                apply(cluster, &holder, HANDOVER, true).await?;
            }
            Handover::Take(count) => {
                // The server had no other objection to this object; the number is the only field that is forced.
                let mut taken = object.clone();
                taken.set(&["spec", "replicas"], count);
                return apply(cluster, &taken, MANAGER, true).await.map(drop);
            }
            Handover::None | Handover::Keep(_) => {}
        }
        apply(cluster, object, MANAGER, force || is_claim(object)).await.map(drop)
    }
}

fn is_scaler(object: &Object) -> bool {
    object.kind.name() == "HorizontalPodAutoscaler"
}
