//! What `verify` and `load` need to know of a running stack: where it answers, where its replicas and stores are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::stack::values::Secret;
use crate::targets::certificates::Accept;
use crate::targets::status::Autoscaler;

/// A running stack as `verify` and `load` see it. Addresses of containers are reached from the engine's own machine.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where the service answers.
    pub service: ServiceAddress,
    /// Signs simulated clients.
    pub probe_secret: Secret,
    /// How many replicas there should be.
    pub desired: u32,
    /// The replicas that run.
    pub replicas: Vec<Replica>,
    /// MongoDB, directly.
    pub mongodb_uri: Secret,
    /// Redis, directly.
    pub redis_url: Secret,
    /// What adds and removes replicas, where something does.
    pub autoscaler: Option<Autoscaler>,
    /// Prometheus and Alertmanager, where the stack runs them.
    pub monitoring: Option<Monitoring>,
    /// What a load on `url` passes through beside the service, as a warning.
    pub detour: Option<&'static str>,
    /// How long the replicas may take to reach Redis again once it is back.
    pub redis_back_within: Duration,
    /// What keeps the addresses working.
    pub ways: Ways,
}

/// Where monitoring answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitoring {
    /// Prometheus, such as `http://10.200.204.3:9090`, while it runs.
    pub prometheus: Option<String>,
    /// Alertmanager, while it runs.
    pub alertmanager: Option<String>,
}

/// Where a service answers.
#[derive(Clone, Debug)]
pub struct ServiceAddress {
    /// Scheme, host and port.
    pub url: String,
    /// Whose certificate is accepted there, if it is HTTPS.
    pub(crate) accept: Accept,
}

impl ServiceAddress {
    /// An address whose certificate, if it has one, is of this machine's authorities.
    pub(crate) fn of(url: String) -> Self {
        Self { url, accept: Accept::Trusted }
    }
}

/// Once Redis takes connections, replicas reach it again within this.
pub(crate) const REDIS_BACK_WITHIN: Duration = Duration::from_secs(2);

/// What keeps addresses of a subject working: they stop when the last copy of the subject is dropped.
#[derive(Clone, Debug, Default)]
pub struct Ways(pub Arc<Vec<AbortOnDropHandle<()>>>);

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name, such as `service-1`.
    pub name: String,
    /// Its admin listener, such as `http://10.200.204.2:9090`.
    pub admin: String,
}
