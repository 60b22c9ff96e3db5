//! What a stack consists of, by kind: the words of `status` and `logs`, of labels and of documents. Pure.

use serde::{Deserialize, Serialize};

use crate::stack::Stack;
use crate::stack::model::StoreMode;
use crate::stack::values::{Secret, SecretKey, StoreAddress};

/// What a component is, in the order in which `status` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// The document store.
    Mongodb,
    /// The counter and cache store.
    Redis,
    /// What owns the published port.
    Gateway,
    /// What counts requests before an app of the user's own.
    Front,
    /// A replica of the service.
    Service,
    /// What shows the stores to Prometheus.
    Exporter,
    /// What measures and evaluates alerts.
    Prometheus,
    /// What sends alerts.
    Alertmanager,
    /// What shows dashboards.
    Grafana,
}

impl ComponentKind {
    const ALL: [Self; 9] = [
        Self::Mongodb,
        Self::Redis,
        Self::Gateway,
        Self::Front,
        Self::Service,
        Self::Exporter,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Grafana,
    ];

    /// The kind of this name; `None` for what only the user's own documents have.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The name in labels, documents and output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mongodb => StoreKind::Mongodb.as_str(),
            Self::Redis => StoreKind::Redis.as_str(),
            Self::Gateway => "gateway",
            Self::Front => "front",
            Self::Service => "service",
            Self::Exporter => "exporter",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
        }
    }

    /// Whether it only watches the others.
    pub(crate) const fn is_monitoring(self) -> bool {
        matches!(self, Self::Exporter | Self::Prometheus | Self::Alertmanager | Self::Grafana)
    }
}

impl From<StoreKind> for ComponentKind {
    fn from(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Mongodb => Self::Mongodb,
            StoreKind::Redis => Self::Redis,
        }
    }
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum StoreKind {
    /// The document store.
    Mongodb,
    /// The counter and cache store.
    Redis,
}

impl StoreKind {
    /// The stores, in the order in which they start.
    pub(crate) const ALL: [Self; 2] = [Self::Mongodb, Self::Redis];

    /// The name, which is also the key in the stack file and the scheme of an address.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mongodb => "mongodb",
            Self::Redis => "redis",
        }
    }

    /// The usual port.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Mongodb => 27017,
            Self::Redis => 6379,
        }
    }
}

impl Stack {
    /// Who runs a store.
    pub(crate) fn store_mode(&self, kind: StoreKind) -> StoreMode {
        match kind {
            StoreKind::Mongodb => self.mongodb.mode,
            StoreKind::Redis => self.redis.mode,
        }
    }

    /// The address of a store that the stack does not run.
    pub(crate) fn external(&self, kind: StoreKind) -> Option<&StoreAddress> {
        let address = match kind {
            StoreKind::Mongodb => &self.mongodb.uri,
            StoreKind::Redis => &self.redis.url,
        };
        address.as_ref().filter(|_| self.store_mode(kind) == StoreMode::External)
    }

    /// The same where the configuration has it as a text, as on all targets but Kubernetes.
    pub(crate) fn external_text(&self, kind: StoreKind) -> Option<&Secret> {
        self.external(kind).and_then(StoreAddress::text)
    }

    /// The stores whose address a Secret of the cluster holds.
    pub(crate) fn referenced(&self) -> impl Iterator<Item = (StoreKind, &SecretKey)> {
        StoreKind::ALL.into_iter().filter_map(|kind| Some((kind, self.external(kind)?.key()?)))
    }
}
