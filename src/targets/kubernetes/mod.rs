//! The stack on a Kubernetes cluster: documents that are applied server-side, and objects that are watched.
//!
//! The API server alone knows what is; nothing is remembered here but passwords (which the cluster has too) and what was
//! packed last. kubectl and appforge may both work on the same objects: each field has one owner, the server says who.

mod apply;
mod backend;
mod client;
mod doctor;
mod lease;
mod observe;
mod scale;
mod session;

pub(crate) use session::Kubernetes;
