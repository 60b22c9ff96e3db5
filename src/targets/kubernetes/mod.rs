//! The stack on a Kubernetes cluster: documents that are applied server-side, and objects that are watched.
//!
//! The API server alone knows what is; nothing is remembered here but passwords (which the cluster has too) and what was
//! packed last. kubectl and appforge may both work on the same objects: each field has one owner, the server says who.

mod announcer;
mod autoscaler;
mod carry_out;
mod changes;
mod client;
mod cluster;
mod compare;
mod converge;
mod doctor;
mod down;
mod fault;
mod image;
mod immutable;
mod kind;
mod leftovers;
mod logs;
mod mounted;
mod object;
mod own_secrets;
mod owner;
mod pods;
mod reach;
mod replicas;
mod revisions;
mod rollout;
mod secrets;
mod status;
mod subject;
mod tell;
mod transition;
mod tunnel;
mod workload;
mod world;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

pub use announcer::Announcer;
pub use cluster::{Choice, Cluster};
pub use converge::{Asking, Options};

use crate::error::Failure;
use crate::files;
use crate::stack::{Stack, TargetKind};
use crate::targets::Say;
use crate::targets::local::lock::Lock;
use crate::targets::outcome;
use crate::targets::ownership::Claim;

/// How long a command that only looks tries to reach the cluster.
const LOOK: Duration = Duration::from_secs(30);
/// A stack on a cluster.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    stack: Stack,
    folder: PathBuf,
    templates: BTreeMap<String, String>,
    context: Option<String>,
    announcer: Announcer,
    claim: Claim,
}

impl Kubernetes {
    /// The stack of the project with this state folder; `templates` are those that the project puts in place of ours, `context` is
    /// what the user named on the command line.
    pub fn new(
        state_folder: &Path,
        stack: &Stack,
        templates: BTreeMap<String, String>,
        context: Option<String>,
        announcer: Announcer,
    ) -> Self {
        let folder = state_folder.join("kubernetes");
        let claim =
            Claim::new(state_folder.parent().unwrap_or(state_folder), state_folder, stack.id.clone(), true);
        Self { stack: stack.clone(), folder, templates, context, announcer, claim }
    }

    /// The same stack, asked for by this project.
    pub fn claimed(self, claim: Claim) -> Self {
        Self { claim, ..self }
    }

    /// The stack's name, which is the value of the label that all its objects carry.
    pub fn name(&self) -> &str {
        self.stack.name.as_str()
    }

    /// The same stack with another number of replicas; with autoscaling, the fewest.
    fn with_replicas(&self, replicas: u32) -> Self {
        let stack = self.stack.clone().with_replicas_on(TargetKind::Kubernetes, replicas);
        Self { stack, ..self.clone() }
    }

    /// The cluster, for as long as `patience`, once it is sure that the stack of this name on it is this project's, or has
    /// no owner yet.
    ///
    /// # Errors
    /// See [`Cluster::connect`]; exit 1 when the stack is another project's.
    pub async fn connect(&self, patience: Duration) -> Result<Cluster> {
        let cluster = self.reach(patience).await?;
        self.check_owner(&cluster).await?;
        Ok(cluster)
    }

    /// The cluster, whoever owns the stack. Which cluster it is was printed before.
    async fn reach(&self, patience: Duration) -> Result<Cluster> {
        let choice = Choice {
            flag: self.context.clone(),
            file: self.stack.kubernetes.context.clone(),
            namespace: self.stack.kubernetes.namespace.as_str().to_owned(),
        };
        let cluster = Cluster::connect(&choice, patience, &self.announcer).await?;
        self.announcer.announce(&cluster.title());
        Ok(cluster)
    }

    /// Whether there is a stack to be scaled.
    ///
    /// # Errors
    /// Exit 4 when the cluster cannot be reached or the stack is not up.
    pub async fn running(&self) -> Result<()> {
        let cluster = self.connect(LOOK).await?;
        self.live(&cluster).await.map(drop)
    }

    /// The storage class of the stores' volumes; none is the cluster's default.
    fn storage_class(&self) -> Option<String> {
        self.stack.kubernetes.storage_class.clone()
    }

    async fn lock(&self, verb: &str, say: Say<'_>) -> Result<Lock> {
        files::make_private_folder(&self.folder)?;
        files::check_private(&self.folder)?;
        Lock::of_command(self.folder.join("lock"), verb, say).await
    }
}

/// The failure of a verb that needs a running stack.
fn not_up(stack: &str, cluster: &Cluster) -> Failure {
    let place = format!(" in the namespace `{}` of {}", cluster.namespace, cluster.place.context);
    outcome::not_up(stack, &place, "appforge up --target kubernetes")
}
