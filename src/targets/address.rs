//! The addresses of stores that others run: which of them are new, and what trying them from where replicas run gave.
//! Data and words only.

use std::time::Duration;

use appforge_service::contract::variable;
use appforge_service::reach::Reached;

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::stack::{Stack, StoreKind};

/// How long a store may take to answer when its address is tried.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// The address of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The store.
    pub(crate) store: StoreKind,
    /// The path of the address in the stack file.
    pub(crate) path: &'static str,
    /// The key of the address in the service's Secret.
    pub(crate) key: &'static str,
    /// The variable of the service that takes it.
    pub(crate) variable: &'static str,
    /// The service runs with another one now.
    pub(crate) changed: bool,
}

const MONGODB: Address = Address {
    store: StoreKind::Mongodb,
    path: "mongodb.uri",
    key: names::MONGODB_URI,
    variable: variable::MONGODB_URI,
    changed: false,
};
const REDIS: Address = Address {
    store: StoreKind::Redis,
    path: "redis.url",
    key: names::REDIS_URL,
    variable: variable::REDIS_URL,
    changed: false,
};

impl Address {
    /// The address of a store.
    pub(crate) fn of(store: StoreKind) -> Self {
        match store {
            StoreKind::Mongodb => MONGODB,
            StoreKind::Redis => REDIS,
        }
    }

    /// The addresses of the external stores of a stack.
    pub(crate) fn external(stack: &Stack) -> Vec<Self> {
        StoreKind::ALL.into_iter().filter(|kind| stack.external(*kind).is_some()).map(Self::of).collect()
    }

    /// Why the store did not answer.
    fn why<'a>(&self, reached: &'a Reached) -> Option<&'a str> {
        match self.store {
            StoreKind::Mongodb => reached.mongodb.as_deref(),
            StoreKind::Redis => reached.redis.as_deref(),
        }
    }
}

/// What trying addresses gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// They were tried.
    Done(Reached),
    /// They could not be, with the reason.
    Not(String),
}

impl Tried {
    /// The failure of a change whose new address does not answer, when there is one. `from` says where it was tried.
    pub(crate) fn refusal(&self, addresses: &[Address], from: &str) -> Option<Failure> {
        let Self::Done(reached) = self else { return None };
        let lines: Vec<String> = addresses
            .iter()
            .filter(|address| address.changed)
            .filter_map(|address| Some(format!("\n  {}: {}", address.path, address.why(reached)?)))
            .collect();
        if lines.is_empty() {
            return None;
        }
        let what = if lines.len() == 1 { "the new address does" } else { "the new addresses do" };
        Some(
            Failure::new(
                ExitStatus::Failed,
                format!("{what} not answer from {from}, so nothing was applied:{}", lines.concat()),
            )
            .hint("correct the address in the stack file, or start the store, then: appforge up")
            .hint("the stack keeps running with the old address"),
        )
    }

    /// What is known to be wrong with addresses that replicas have already, one sentence each. That they could not be tried,
    /// such as with an image of the user's own, only `say` hears, unless that is asked for strictly.
    pub(crate) fn faults(
        &self,
        addresses: &[Address],
        from: &str,
        strict: bool,
        say: impl Fn(&str),
    ) -> Vec<String> {
        let warnings = self.warnings(addresses, from);
        if matches!(self, Self::Not(_)) && !strict {
            warnings.iter().for_each(|line| say(line));
            return Vec::new();
        }
        warnings
    }

    /// What the user should know of addresses that are not the cause of a refusal, one sentence each.
    pub(crate) fn warnings(&self, addresses: &[Address], from: &str) -> Vec<String> {
        match self {
            Self::Done(reached) => addresses
                .iter()
                .filter_map(|address| {
                    Some(format!("{} does not answer from {from}: {}", address.path, address.why(reached)?))
                })
                .collect(),
            Self::Not(why) => {
                let paths: Vec<&str> = addresses.iter().map(|address| address.path).collect();
                vec![format!("{} could not be tested from {from}: {why}", paths.join(" and "))]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(mongodb: bool, redis: bool) -> Vec<Address> {
        vec![Address { changed: mongodb, ..MONGODB }, Address { changed: redis, ..REDIS }]
    }

    #[test]
    fn address_is_refused_only_when_it_changed() {
        let tried = Tried::Done(Reached { mongodb: Some("no server answers".into()), redis: None });
        let refusal = tried.refusal(&addresses(true, false), "the cluster").unwrap();
        assert_eq!(
            refusal.to_string(),
            "the new address does not answer from the cluster, so nothing was applied:\n  mongodb.uri: no server answers"
        );
        assert!(tried.refusal(&addresses(false, true), "the cluster").is_none());
        assert_eq!(
            tried.warnings(&addresses(false, true), "the cluster"),
            ["mongodb.uri does not answer from the cluster: no server answers"]
        );
    }

    #[test]
    fn address_that_could_not_be_tried_is_a_warning() {
        let tried = Tried::Not("ImagePullBackOff".into());
        assert!(tried.refusal(&addresses(true, true), "the cluster").is_none());
        assert_eq!(
            tried.warnings(&addresses(true, true), "the cluster"),
            ["mongodb.uri and redis.url could not be tested from the cluster: ImagePullBackOff"]
        );
    }

    #[test]
    fn image_that_cannot_try_is_a_fault_only_when_strict() {
        let (tried, addresses) = (Tried::Not("no `appforge reach`".into()), addresses(false, false));
        let said = std::cell::RefCell::new(Vec::new());
        let faults = |strict| {
            tried.faults(&addresses, "the containers", strict, |line| said.borrow_mut().push(line.to_owned()))
        };
        assert_eq!(faults(false), Vec::<String>::new());
        assert_eq!(faults(true), *said.borrow());
        assert_eq!(said.borrow().len(), 1, "only what is no fault is said");
    }
}
