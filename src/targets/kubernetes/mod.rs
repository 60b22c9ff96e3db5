//! The stack on a Kubernetes cluster: documents that are applied server-side, and objects that are watched.
//!
//! The API server alone knows what is; nothing is remembered here but passwords (which the cluster has too) and what was
//! packed last. kubectl and appforge may both work on the same objects: each field has one owner, the server says who.

mod autoscaler;
mod backend;
mod carry_out;
mod changes;
mod client;
mod cluster;
mod compare;
mod converge;
mod doctor;
mod documents;
mod down;
mod fault;
mod image;
mod immutable;
mod inventory;
mod kind;
mod leftovers;
mod logs;
mod mounted;
mod object;
mod once;
mod own_secrets;
mod owner;
mod pods;
mod prepared;
mod reach;
mod replicas;
mod revisions;
mod rollout;
mod secrets;
mod session;
mod status;
mod subject;
mod transition;
mod tunnel;
mod workload;
mod write;

pub use session::Kubernetes;
