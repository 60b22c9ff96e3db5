//! The status of a stack, in the words of every target. Data only.

use serde::{Deserialize, Serialize};

use crate::stack::model::StoreMode;
use crate::stack::{ComponentKind, Stack, StoreKind};

/// The answer of `appforge status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The stack's name.
    pub stack: String,
    /// `local`, `compose` or `kubernetes`.
    pub target: String,
    /// Where the service answers; `null` while the stack is down.
    pub url: Option<String>,
    /// How many replicas there should be, and how many accept work.
    pub replicas: Replicas,
    /// Everything that runs, stores first.
    pub components: Vec<Component>,
    /// What only a cluster has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Box<ClusterStatus>>,
}

/// What only a cluster has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The kubeconfig context.
    pub context: String,
    /// The namespace.
    pub namespace: String,
    /// What adds and removes replicas, if anything does.
    pub autoscaler: Option<Autoscaler>,
    /// How many pods may be taken away at once.
    pub budgets: Vec<Budget>,
    /// What the workloads say of themselves.
    pub conditions: Vec<Condition>,
}

/// What adds and removes replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Autoscaler {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Replicas that it counts.
    pub current: u32,
    /// Replicas that it wants.
    pub desired: u32,
    /// What it goes by.
    pub metrics: Vec<Metric>,
    /// What it says of itself.
    pub conditions: Vec<Condition>,
}

impl Autoscaler {
    /// The condition that says why it does not scale.
    pub(crate) fn inactive(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.name == "ScalingActive" && !condition.holds)
    }
}

/// What an autoscaler goes by, in percent of what the pods request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// `cpu` or `memory`.
    pub name: String,
    /// What is measured; `null` without metrics.
    pub current: Option<u32>,
    /// What it aims at.
    pub target: Option<u32>,
}

/// How many pods may be taken away at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// So many now.
    pub allowed: u32,
    /// Healthy pods.
    pub healthy: u32,
    /// So many have to stay healthy.
    pub wanted: u32,
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whose it is, such as `deployment/shop-app`.
    pub object: String,
    /// Its type, such as `Available`.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// How many replicas there should be, and how many accept work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// Asked for.
    pub desired: u32,
    /// Accepting work.
    pub ready: u32,
}

/// One thing that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, such as `service-1` or `redis`.
    pub name: String,
    /// What it is.
    pub kind: ComponentKind,
    /// What it does now.
    pub state: ComponentState,
    /// Where it listens; for a replica its admin listener.
    pub endpoint: Option<String>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// The version, where it is known.
    pub version: Option<String>,
    /// What else there is to say: which program runs, why it failed.
    pub detail: String,
    /// The process, where there is one on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

impl Component {
    /// The stores of `stack` that appforge does not run.
    pub(crate) fn external_of(stack: &Stack) -> Vec<Self> {
        let external = |kind: &StoreKind| stack.store_mode(*kind) == StoreMode::External;
        StoreKind::ALL.into_iter().filter(external).map(Self::external).collect()
    }

    fn external(kind: StoreKind) -> Self {
        Self {
            name: kind.as_str().to_owned(),
            kind: kind.into(),
            state: ComponentState::External,
            endpoint: None,
            restarts: 0,
            version: None,
            detail: "run outside appforge".to_owned(),
            pid: None,
        }
    }
}

/// What a component does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentState {
    /// Started, not yet ready.
    Starting,
    /// It accepts work.
    Ready,
    /// It was ready, and does not answer now.
    Unresponsive,
    /// It finishes its work, then ends.
    Stopping,
    /// It ended by itself and is started again soon.
    Crashed,
    /// It was stopped.
    Stopped,
    /// Run by someone else.
    External,
}

impl ComponentState {
    /// The word that users read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unresponsive => "unresponsive",
            Self::Stopping => "stopping",
            Self::Crashed => "crashed",
            Self::Stopped => "stopped",
            Self::External => "external",
        }
    }
}
