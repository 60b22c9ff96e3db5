//! What `appforge.yaml` describes, typed, with its defaults. Pure.
//!
//! The defaults are the single list of known keys: an unknown key is one that the default tree does not have.

use std::collections::BTreeMap;
use std::time::Duration;

use appforge_service::contract::number;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use appforge_service::contract::{OnRedisFailure, RateLimitKey};

pub use crate::stack::alerts::{Alerts, Monitoring};
pub use crate::stack::compose::{Compose, Patch};
pub use crate::stack::kubernetes::{Autoscaling, Kubernetes};
pub use crate::stack::service::{Runtime, Service};
use crate::stack::values::{Amount, ByteSize, ImageRef, Name, Percent, Span, StackId, StoreAddress};

/// A stack: one service with its stores, on one of three targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// The version of the file format; 1.
    pub version: u32,
    /// Prefixes containers, volumes, the namespace.
    pub name: Name,
    /// Tells this stack from others of its name; `appforge init` makes it. In no document.
    pub id: Option<StackId>,
    /// Where the stack runs unless `--target` says otherwise.
    pub target: TargetKind,
    /// The service.
    pub service: Service,
    /// The front before an app of your own: the program that limits, counts and drains.
    pub runtime: Runtime,
    /// The global rate limit.
    pub rate_limit: RateLimit,
    /// The document store.
    pub mongodb: Mongodb,
    /// The counter and cache store.
    pub redis: Redis,
    /// What only the Compose target reads.
    pub compose: Compose,
    /// What only the Kubernetes target reads.
    pub kubernetes: Kubernetes,
    /// What monitors the stack.
    pub monitoring: Monitoring,
    /// Who is notified of alerts.
    pub alerts: Alerts,
    /// What `load` reads.
    pub load: Load,
    /// What `cost` reads.
    pub cost: Cost,
    /// Changes to rendered documents, by `TARGET/DOCUMENT` such as `compose/docker-compose.yml`.
    pub patches: BTreeMap<String, Vec<Patch>>,
}

/// Where a stack runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// Supervised processes on this machine.
    Local,
    /// Docker Compose.
    Compose,
    /// A Kubernetes cluster.
    Kubernetes,
}

impl TargetKind {
    /// The word users type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Compose => "compose",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// The global rate limit: a fixed window per client, exact across replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Whether requests are counted at all.
    pub enabled: bool,
    /// What a client is known by: `address`, or `header:NAME`, which a proxy of `trusted_proxies` sets or checks (other than
    /// `cloudflare`); elsewhere both count.
    #[serde(with = "crate::stack::values::text")]
    #[schemars(with = "String")]
    pub key: RateLimitKey,
    /// Requests that pass per window and client.
    pub requests: u32,
    /// The window; the client's first request opens it.
    pub window: Span,
    /// What replicas do while Redis is away.
    pub on_redis_failure: OnRedisFailure,
    /// Proxies whose `X-Forwarded-For` is believed: networks (CIDR), `cloudflare`, or `file:PATH` with a network a line.
    pub trusted_proxies: Vec<String>,
    /// IPv6 clients are counted by this prefix, 32 to 128.
    pub ipv6_prefix: u32,
}

/// Who runs a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreMode {
    /// On local a server found on PATH, else the embedded one; managed elsewhere.
    Auto,
    /// The development store within appforge, on local.
    Embedded,
    /// A container or StatefulSet of the stack.
    Managed,
    /// A container, on local: the store of the other targets beside processes.
    Container,
    /// Yours; needs a URI.
    External,
}

/// The document store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mongodb {
    /// Who runs it.
    pub mode: StoreMode,
    /// Where it is, for `external`: the URI, or on Kubernetes the `secret` and `key` that hold it.
    pub uri: Option<StoreAddress>,
    /// The database.
    pub database: String,
    /// The image, where a target runs it in a container.
    pub image: ImageRef,
    /// The limit of the container; the cache is sized from it.
    pub memory: ByteSize,
    /// Most connections that the server takes; `null` derives it from the memory of a managed one.
    pub max_connections: Option<u32>,
    /// Disk, on Kubernetes.
    pub storage: ByteSize,
    /// The connection pool of each replica.
    pub pool: Pool,
}

/// The connection pool of each replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Most connections.
    pub max: u32,
    /// Connections kept ready.
    pub min: u32,
    /// An idle connection is closed after this.
    pub max_idle: Span,
    /// How long a request waits for a server.
    pub server_selection_timeout: Span,
    /// How long one operation may take.
    pub socket_timeout: Span,
}

/// The counter and cache store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Who runs it.
    pub mode: StoreMode,
    /// Where it is, for `external`: `redis://`, `redis+sentinel://HOST,HOST/MASTER` or `redis+cluster://HOST,HOST`; `rediss` for TLS.
    /// On Kubernetes also the `secret` and `key` that hold it.
    pub url: Option<StoreAddress>,
    /// The image, where a target runs it in a container.
    pub image: ImageRef,
    /// The limit of the container; `maxmemory` is derived below it.
    pub memory: ByteSize,
    /// Disk of each server, on Kubernetes; `null` keeps the volume that is there, and makes a new one of twice the memory.
    pub storage: Option<ByteSize>,
    /// What goes when memory is full.
    pub eviction: Eviction,
    /// How it survives a restart.
    pub persistence: Persistence,
    /// One server, or three of which one takes over, on Kubernetes.
    pub topology: Topology,
    /// With `sentinel`: replicas that must follow the master for it to take writes, 0 to 2; 0 takes them always.
    pub min_replicas: u32,
}

/// The servers of a Redis with Sentinel, each with a sentinel beside it.
pub const SENTINEL_SERVERS: u32 = 3;

impl Redis {
    /// Whether the stack runs Redis itself, with Sentinel. An external one has the topology that its owner gave it.
    pub fn runs_sentinel(&self) -> bool {
        self.topology == Topology::Sentinel && self.mode != StoreMode::External
    }
}

/// What Redis drops when memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Eviction {
    /// The least recently used key.
    AllkeysLru,
    /// The least recently used key that has a TTL.
    VolatileLru,
    /// The key that ends first.
    VolatileTtl,
    /// Nothing: writes fail.
    Noeviction,
}

impl Eviction {
    /// The value of `maxmemory-policy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllkeysLru => "allkeys-lru",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileTtl => "volatile-ttl",
            Self::Noeviction => "noeviction",
        }
    }
}

/// How Redis survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Persistence {
    /// Append-only file, synced every second.
    Aof,
    /// Not at all.
    None,
}

/// How many servers Redis has, on Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// One.
    Single,
    /// Three with Sentinel: when the master goes, another takes over.
    Sentinel,
}

/// What `load` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How long a virtual user waits between requests.
    pub think_time: Span,
    /// What must hold.
    pub thresholds: Thresholds,
}

/// What must hold under load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// 95 of 100 requests are faster.
    pub p95: Span,
    /// 99 of 100 requests are faster.
    pub p99: Span,
    /// Fewer requests fail.
    pub error_rate: Percent,
    /// More checks succeed.
    pub checks: Percent,
}

/// What `cost` reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Requests of one user a day.
    pub requests_per_user: u32,
    /// Peak over average.
    pub peak_factor: Amount,
    /// Most money a month.
    pub budget: Option<Amount>,
    /// A price catalogue of your own.
    pub catalogue: Option<String>,
}

impl Stack {
    /// How many replicas the stack asks for on a target; with autoscaling, the fewest.
    pub fn replicas_on(&self, target: TargetKind) -> u32 {
        match (target, &self.kubernetes.autoscaling) {
            (TargetKind::Kubernetes, Some(autoscaling)) => autoscaling.min,
            _ => self.service.replicas,
        }
    }

    /// The same stack with another number of replicas on a target; with autoscaling, the fewest.
    pub fn with_replicas_on(mut self, target: TargetKind, replicas: u32) -> Self {
        match (target, &mut self.kubernetes.autoscaling) {
            (TargetKind::Kubernetes, Some(autoscaling)) => {
                autoscaling.min = replicas;
                autoscaling.max = autoscaling.max.max(replicas);
            }
            _ => self.service.replicas = replicas,
        }
        self
    }
}

impl Default for Stack {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        let literal = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("a literal of this file"));
        let name: Name = "appforge".parse().unwrap_or_else(|_| unreachable!("a literal of this file"));
        Self {
            version: 1,
            name: name.clone(),
            id: None,
            target: TargetKind::Local,
            service: Service::default(),
            runtime: Runtime::default(),
            rate_limit: RateLimit {
                enabled: true,
                key: RateLimitKey::default(),
                requests: number::RATE_LIMIT_REQUESTS.default,
                window: Span(number::RATE_LIMIT_WINDOW_MS.default_time()),
                on_redis_failure: OnRedisFailure::default(),
                trusted_proxies: Vec::new(),
                ipv6_prefix: number::RATE_LIMIT_IPV6_PREFIX.default,
            },
            mongodb: Mongodb {
                mode: StoreMode::Auto,
                uri: None,
                database: "appforge".into(),
                image: literal("mongo:8.0"),
                memory: ByteSize(2 * GIB),
                max_connections: None,
                storage: ByteSize(10 * GIB),
                pool: Pool {
                    max: number::MONGODB_MAX_POOL_SIZE.default,
                    min: number::MONGODB_MIN_POOL_SIZE.default,
                    max_idle: Span(number::MONGODB_MAX_IDLE_TIME_MS.default_time()),
                    server_selection_timeout: Span(
                        number::MONGODB_SERVER_SELECTION_TIMEOUT_MS.default_time(),
                    ),
                    socket_timeout: Span(number::MONGODB_SOCKET_TIMEOUT_MS.default_time()),
                },
            },
            redis: Redis {
                mode: StoreMode::Auto,
                url: None,
                image: literal("redis:8-alpine"),
                memory: ByteSize(2 * GIB),
                storage: None,
                eviction: Eviction::AllkeysLru,
                persistence: Persistence::Aof,
                topology: Topology::Single,
                min_replicas: 1,
            },
            compose: Compose::default(),
            kubernetes: Kubernetes::of(name),
            monitoring: Monitoring::default(),
            alerts: Alerts::default(),
            load: Load {
                think_time: seconds(1),
                thresholds: Thresholds {
                    p95: Span(Duration::from_millis(500)),
                    p99: seconds(1),
                    error_rate: Percent(1.0),
                    checks: Percent(95.0),
                },
            },
            cost: Cost {
                requests_per_user: 50,
                peak_factor: Amount(Decimal::from(5)),
                budget: None,
                catalogue: None,
            },
            patches: BTreeMap::new(),
        }
    }
}
