//! Who sets the number of replicas: the file, an autoscaler, or another manager.

pub(crate) mod autoscaler;
pub(crate) mod replicas;
