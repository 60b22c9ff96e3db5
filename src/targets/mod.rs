//! Where a stack runs: the only code that talks to engines. One folder a target; what they share is data.

pub mod address;
pub mod compose;
mod connector;
pub mod finding;
pub mod image;
pub mod kubernetes;
pub mod local;
pub mod logs;
mod machine;
pub mod outcome;
pub mod ownership;
pub mod plan;
mod port;
mod proxy;
pub mod revision;
pub mod status;
pub mod subject;

use anyhow::Result;

use crate::stack::Stack;
use crate::targets::compose::Compose;
use crate::targets::kubernetes::Kubernetes;
use crate::targets::local::Local;
use crate::targets::ownership::Claim;
use crate::targets::subject::Subject;

/// Hears what is being done.
pub type Say<'a> = &'a dyn Fn(&str);

/// A stack on the target that it is meant for.
#[derive(Clone, Debug)]
pub enum Target {
    /// Supervised processes of this machine.
    Local(Local),
    /// Containers on a Docker engine.
    Compose(Box<Compose>),
    /// Objects of a cluster.
    Kubernetes(Box<Kubernetes>),
}

impl Target {
    /// The same stack, asked for by this project.
    pub fn claimed(self, claim: Claim) -> Self {
        match self {
            Self::Local(local) => Self::Local(local.claimed(claim)),
            Self::Compose(compose) => Self::Compose(Box::new(compose.claimed(claim))),
            Self::Kubernetes(kubernetes) => Self::Kubernetes(Box::new(kubernetes.claimed(claim))),
        }
    }

    /// The running stack, for `verify` and `load`; `replicas` is how many there should be.
    ///
    /// # Errors
    /// When it is not running, or its engine cannot be reached.
    pub async fn subject(&self, stack: &Stack, replicas: u32) -> Result<Subject> {
        match self {
            Self::Local(local) => local.subject(stack, replicas).await,
            Self::Compose(compose) => compose.subject(replicas).await,
            Self::Kubernetes(kubernetes) => kubernetes.subject().await,
        }
    }
}
