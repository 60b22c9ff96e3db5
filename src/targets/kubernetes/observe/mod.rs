//! What runs: objects, pods, rollouts, logs, and the stack as `verify` and `load` reach it. Changes nothing.

pub(crate) mod exits;
pub(crate) mod inventory;
pub(crate) mod logs;
pub(crate) mod observed;
pub(crate) mod pods;
pub(crate) mod requests;
pub(crate) mod rollout;
pub(crate) mod status;
pub(crate) mod subject;
pub(crate) mod troubles;
pub(crate) mod tunnel;
pub(crate) mod workload;

pub(crate) use inventory::{Inventory, NamespaceState, namespace_state};
pub(crate) use observed::Waiting;
pub(crate) use rollout::{REVISION, fatal};
pub(crate) use status::Snapshot;
