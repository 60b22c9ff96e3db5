//! What `/health` and `/statusz` answer, as types that `verify` and `status` read back. Data only.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Whether a store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreState {
    /// It answered last.
    Up,
    /// It did not.
    Down,
}

/// MongoDB as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MongodbStatus {
    /// Whether it answers.
    pub status: StoreState,
    /// Why not; never with credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The connection pool of this replica.
    pub pool: PoolStatus,
}

/// A connection pool, from the driver's CMAP events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PoolStatus {
    /// Most connections, as configured.
    pub max: u32,
    /// Connections kept ready, as configured.
    pub min: u32,
    /// Open connections.
    pub open: u32,
    /// Of them, those that carry an operation.
    pub in_use: u32,
}

/// Redis as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedisStatus {
    /// Whether it answers.
    pub status: StoreState,
    /// Why not; never with credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How the rate limit is counted now.
    pub mode: LimitMode,
}

/// The app behind a front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Where it is; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it was healthy once and answers.
    pub ready: bool,
    /// Whether it accepts connections.
    pub accepting: bool,
    /// The last status of its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Apps of other fronts that step in for it.
    pub siblings: u64,
    /// Where it listens beyond the loopback interface that it shares with its front; absent while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_loopback: Option<SocketAddr>,
}

impl UpstreamStatus {
    /// What is wrong with an app that listens beyond the loopback interface.
    pub fn beyond(&self) -> Option<String> {
        let address = self.beyond_loopback?;
        Some(format!("the app also listens on {address}, past its front and the rate limit; bind HOST"))
    }
}

/// How the rate limit is counted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// In Redis, over all replicas.
    Shared,
    /// Redis is away: in this replica, its share.
    Memory,
    /// Redis is away: all pass.
    Open,
    /// Redis is away: none pass.
    Closed,
    /// Not at all: the limit is switched off.
    Off,
}

/// The rate limiter of this replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitStatus {
    /// Requests that pass per window and client.
    pub requests: u32,
    /// The window, in milliseconds.
    pub window_ms: u64,
    /// How it is counted now.
    pub mode: LimitMode,
    /// Clients in the table of this replica.
    pub tracked_clients: u64,
    /// Over how many replicas the budget is shared while Redis is away.
    pub replicas: u32,
}

impl RateLimitStatus {
    /// That of a replica that limits nobody.
    pub const OFF: Self =
        Self { requests: 0, window_ms: 0, mode: LimitMode::Off, tracked_clients: 0, replicas: 0 };
}

/// The answer of `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    /// `ok`, or `degraded` while a store is away.
    pub status: HealthState,
    /// The version of the service.
    pub version: String,
    /// The replica that answered.
    pub replica: String,
    /// MongoDB as that replica sees it.
    pub mongodb: MongodbStatus,
    /// Redis as that replica sees it.
    pub redis: RedisStatus,
}

/// Whether all stores answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Both stores answer.
    Ok,
    /// One is away; what can work without it does.
    Degraded,
}

/// The answer of `GET /statusz` on the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statusz {
    /// The version of the service.
    pub version: String,
    /// The replica's identity.
    pub replica: String,
    /// Its process.
    pub pid: u32,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Open public connections.
    pub connections: u64,
    /// Public requests answered.
    pub requests_total: u64,
    /// MongoDB as it sees it; absent for a front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongodbStatus>,
    /// The app behind a front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamStatus>,
    /// Redis as it sees it.
    pub redis: RedisStatus,
    /// Its rate limiter.
    pub rate_limit: RateLimitStatus,
}
