//! From one revision to the next while both run: the network lets through what either needs, and a new address is tried
//! before any replica gets it.

use anyhow::Result;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::stack::model::StoreMode;
use crate::stack::values::{Secret, StoreAddress};
use crate::targets::address::{Address, Tried};
use crate::targets::kubernetes::apply::references::mounted;
use crate::targets::kubernetes::apply::secrets::Values;
use crate::targets::kubernetes::client::{MANAGER, Object, apply, remove};
use crate::targets::kubernetes::session::{Kubernetes, Session};

/// Where addresses are tried, for messages.
pub(crate) const FROM: &str = "the cluster";
/// How long taking back what was tried may take after the command's own deadline.
const TAKING_BACK: Duration = Duration::from_secs(15);

/// What has to be there before replicas with new addresses are.
pub(crate) struct Passage<'a> {
    /// The network policy that the next revision needs beside that of the running one, and whether it is there already.
    pub(crate) policy: Option<(Object, bool)>,
    /// The Secret with the addresses, and whether it is there already.
    pub(crate) secret: (&'a Object, bool),
    /// The pod template of the next revision.
    pub(crate) template: &'a Value,
    /// The addresses that can be tried.
    pub(crate) addresses: Vec<Address>,
    /// An address that cannot be tried is a failure.
    pub(crate) strict: bool,
}

/// Whether an object is the network policy of the service.
pub(crate) fn is_policy(object: &Object, service: &str) -> bool {
    object.kind.name() == "NetworkPolicy" && object.name == service
}

/// The policy of the next revision under a name of its own: policies add up, so both revisions get what they need.
pub(crate) fn beside(policy: &Object, service: &str) -> Object {
    let mut other = policy.clone();
    other.name = format!("{service}-rollout");
    other.set(&["metadata", "name"], other.name.clone());
    other
}

impl Kubernetes {
    /// The external addresses among what the service gets, and whether they are new to a service that runs.
    pub(crate) fn addresses(&self, wanted: &Values, running: Option<&Values>) -> Vec<Address> {
        let mut addresses = Address::external(&self.stack);
        for address in &mut addresses {
            address.changed =
                running.is_some_and(|running| running.get(address.key) != wanted.get(address.key));
        }
        addresses
    }

    /// The same stack with the stores at other addresses, as an earlier revision had them in its Secret, or by its pod template.
    pub(crate) fn with_addresses(&self, values: &Values, template: &Value) -> Self {
        let mut other = self.clone();
        let stack = &mut other.stack;
        if let Some(uri) = values.get(names::MONGODB_URI) {
            let managed = same_place(uri, &names::mongodb_uri(stack, &Secret::new("")));
            (stack.mongodb.mode, stack.mongodb.uri) = mode(managed, uri);
        }
        if let Some(url) = values.get(names::REDIS_URL) {
            let managed = same_place(url, &names::redis_url(stack, &Secret::new("")));
            (stack.redis.mode, stack.redis.url) = mode(managed, url);
        }
        if let Some(key) = mounted(template, names::MONGODB_URI) {
            (stack.mongodb.mode, stack.mongodb.uri) = (StoreMode::External, Some(StoreAddress::Key(key)));
        }
        if let Some(key) = mounted(template, names::REDIS_URL) {
            (stack.redis.mode, stack.redis.url) = (StoreMode::External, Some(StoreAddress::Key(key)));
        }
        other
    }
}

impl Kubernetes {
    /// The same stack on another port, as an earlier revision had it.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        let mut other = self.clone();
        other.stack.service.port = port;
        other
    }
}

impl Session<'_> {
    /// Opens the network for the next revision and tries its new addresses. Returns what the user should know of the others.
    ///
    /// # Errors
    /// Exit 1 when a new address does not answer; then all is as it was.
    pub(crate) async fn pass(&self, passage: &Passage<'_>) -> Result<Vec<String>> {
        let cluster = &self.cluster;
        let outcome = self.attempt(passage).await;
        if outcome.is_err() {
            let late = cluster.until(cluster.deadline().max(Instant::now() + TAKING_BACK));
            let made = [
                Some((passage.secret.0, passage.secret.1)),
                passage.policy.as_ref().map(|(it, there)| (it, *there)),
            ];
            for (object, there) in made.into_iter().flatten() {
                if !there {
                    // What cannot be removed now, the next `up` removes.
                    let _ = remove(&late, object).await;
                }
            }
        }
        outcome
    }

    async fn attempt(&self, passage: &Passage<'_>) -> Result<Vec<String>> {
        let cluster = &self.cluster;
        if let Some((policy, _)) = &passage.policy {
            apply(cluster, policy, MANAGER, true).await?;
        }
        if !passage.addresses.iter().any(|address| address.changed) {
            return Ok(Vec::new());
        }
        let (secret, there) = passage.secret;
        if !there {
            apply(cluster, secret, MANAGER, false).await?;
        }
        let tried = self.try_addresses(passage.template, &secret.name, &passage.addresses).await?;
        if let Some(refusal) = tried.refusal(&passage.addresses, FROM) {
            return Err(refusal.into());
        }
        match &tried {
            Tried::Not(why) if passage.strict => Err(Failure::new(
                ExitStatus::Failed,
                format!("the new address could not be tested from {FROM}, so nothing was applied: {why}"),
            )
            .hint("without `--strict` this is a warning")
            .into()),
            _ => Ok(tried.warnings(&passage.addresses, FROM)),
        }
    }
}

fn mode(managed: bool, address: &Secret) -> (StoreMode, Option<StoreAddress>) {
    if managed { (StoreMode::Managed, None) } else { (StoreMode::External, Some(address.clone().into())) }
}

/// Whether two addresses have the same servers: credentials and options may differ.
fn same_place(one: &Secret, other: &Secret) -> bool {
    let place = |address: &str| {
        let (_, place) = address.rsplit_once('@')?;
        Some(place.split(['/', '?']).next().unwrap_or(place).to_owned())
    };
    place(one.reveal()).is_some_and(|one| Some(one) == place(other.reveal()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::stack::Stack;
    use crate::targets::ownership::Claim;

    #[test]
    fn addresses_of_a_revision_say_who_ran_its_stores() {
        let stack = Stack::default();
        let own = names::mongodb_uri(&stack, &Secret::new("p@ss"));
        let values = Values::from([
            (names::MONGODB_URI, own),
            (names::REDIS_URL, Secret::new("redis://u:p@cache.example:6380")),
        ]);
        let claim = Claim::new(Path::new("/"), Path::new("/p"), None, true);
        let kubernetes = Kubernetes::new((Path::new("/"), Path::new("/p")), stack, Default::default(), claim);
        let other = kubernetes.with_addresses(&values, &Value::Null);
        assert_eq!(
            (other.stack.mongodb.mode, other.stack.redis.mode),
            (StoreMode::Managed, StoreMode::External)
        );
        assert_eq!(other.stack.redis.url, Some(Secret::new("redis://u:p@cache.example:6380").into()));
    }
}
