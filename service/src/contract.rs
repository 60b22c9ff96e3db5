//! The contract between the service and whatever runs it: names of variables, admin paths, ports, defaults and ranges, once, and
//! the typed [`Environment`]. Reads and writes nothing.

mod environment;
mod exporter;
mod key;
mod reader;
mod redis_url;
mod upstream;

use std::time::Duration;

pub use environment::{Environment, LogFormat, OnRedisFailure, Parsed};
pub use exporter::{ExporterEnvironment, ProbeUrl};
pub use key::RateLimitKey;
pub use reader::{Given, Problem};
pub use redis_url::{Finds, REDIS_SCHEMES, RedisHosts, cluster_prefix};
pub use upstream::{Endpoint, UpstreamUrl};

/// Names of environment variables.
pub mod variable {
    /// The address of the public listener.
    pub const BIND: &str = "BIND";
    /// The port of the public listener.
    pub const PORT: &str = "PORT";
    /// The address of the admin listener.
    pub const ADMIN_BIND: &str = "ADMIN_BIND";
    /// The port of the admin listener.
    pub const ADMIN_PORT: &str = "ADMIN_PORT";
    /// The replica's name.
    pub const REPLICA_ID: &str = "REPLICA_ID";
    /// The replica's name where `REPLICA_ID` is unset; container engines set it.
    pub const HOSTNAME: &str = "HOSTNAME";
    /// `text` or `json`.
    pub const LOG_FORMAT: &str = "LOG_FORMAT";
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub const LOG_LEVEL: &str = "LOG_LEVEL";
    /// Milliseconds that requests have to finish after SIGTERM.
    pub const SHUTDOWN_TIMEOUT_MS: &str = "SHUTDOWN_TIMEOUT_MS";
    /// The address of MongoDB with its credentials.
    pub const MONGODB_URI: &str = "MONGODB_URI";
    /// The file that holds the address of MongoDB.
    pub const MONGODB_URI_FILE: &str = "MONGODB_URI_FILE";
    /// The database; that of the address where it is unset.
    pub const MONGODB_DATABASE: &str = "MONGODB_DATABASE";
    /// Most connections of the pool.
    pub const MONGODB_MAX_POOL_SIZE: &str = "MONGODB_MAX_POOL_SIZE";
    /// Connections that the pool keeps open.
    pub const MONGODB_MIN_POOL_SIZE: &str = "MONGODB_MIN_POOL_SIZE";
    /// Milliseconds after which an unused connection is closed.
    pub const MONGODB_MAX_IDLE_TIME_MS: &str = "MONGODB_MAX_IDLE_TIME_MS";
    /// Milliseconds that an operation waits for a server.
    pub const MONGODB_SERVER_SELECTION_TIMEOUT_MS: &str = "MONGODB_SERVER_SELECTION_TIMEOUT_MS";
    /// Milliseconds that an operation waits for an answer.
    pub const MONGODB_SOCKET_TIMEOUT_MS: &str = "MONGODB_SOCKET_TIMEOUT_MS";
    /// The address of Redis with its credentials.
    pub const REDIS_URL: &str = "REDIS_URL";
    /// The file that holds the address of Redis.
    pub const REDIS_URL_FILE: &str = "REDIS_URL_FILE";
    /// What every key in Redis begins with.
    pub const REDIS_KEY_PREFIX: &str = "REDIS_KEY_PREFIX";
    /// The port on 127.0.0.1 that leads to the current master of Redis, for the app of a front; off where it is unset.
    pub const REDIS_FORWARD_PORT: &str = "REDIS_FORWARD_PORT";
    /// `true` or `false`.
    pub const RATE_LIMIT_ENABLED: &str = "RATE_LIMIT_ENABLED";
    /// Requests that a client has in a window.
    pub const RATE_LIMIT_REQUESTS: &str = "RATE_LIMIT_REQUESTS";
    /// Milliseconds of a window.
    pub const RATE_LIMIT_WINDOW_MS: &str = "RATE_LIMIT_WINDOW_MS";
    /// `memory`, `open` or `closed`: what counts while Redis is away.
    pub const RATE_LIMIT_ON_REDIS_FAILURE: &str = "RATE_LIMIT_ON_REDIS_FAILURE";
    /// Bits of an IPv6 address that make a client.
    pub const RATE_LIMIT_IPV6_PREFIX: &str = "RATE_LIMIT_IPV6_PREFIX";
    /// Replicas that share the budget while Redis is away.
    pub const RATE_LIMIT_REPLICAS: &str = "RATE_LIMIT_REPLICAS";
    /// What requests are counted by: `address` or `header:NAME`.
    pub const RATE_LIMIT_KEY: &str = "RATE_LIMIT_KEY";
    /// Networks of proxies that set or check the header of [`RATE_LIMIT_KEY`], in the form of [`TRUSTED_PROXIES`]: through them it counts
    /// without the address.
    pub const RATE_LIMIT_KEY_PROXIES: &str = "RATE_LIMIT_KEY_PROXIES";
    /// Networks whose `X-Forwarded-For` counts, `file:PATH` with one a line, or `cloudflare`; separated by commas.
    pub const TRUSTED_PROXIES: &str = "TRUSTED_PROXIES";
    /// The key of simulated clients.
    pub const PROBE_SECRET: &str = "PROBE_SECRET";
    /// The file that holds the key of simulated clients.
    pub const PROBE_SECRET_FILE: &str = "PROBE_SECRET_FILE";
    /// Milliseconds that an answer stays in the cache.
    pub const CACHE_TTL_MS: &str = "CACHE_TTL_MS";
    /// The app that the front forwards to, such as `http://127.0.0.1:3000`; unset, the bundled service runs.
    pub const UPSTREAM_URL: &str = "UPSTREAM_URL";
    /// The path that the front asks for the app's health; a TCP connect where it is unset.
    pub const UPSTREAM_HEALTH_PATH: &str = "UPSTREAM_HEALTH_PATH";
    /// The `Host` of health requests.
    pub const UPSTREAM_HEALTH_HOST: &str = "UPSTREAM_HEALTH_HOST";
    /// The port of `GET /check`, for other proxies; off where it is unset.
    pub const CHECK_PORT: &str = "CHECK_PORT";
    /// The URL that the exporter requests as a client would.
    pub const PROBE_URL: &str = "PROBE_URL";
    /// Replicas that the stack asks for, as the exporter shows them.
    pub const REPLICAS_DESIRED: &str = "REPLICAS_DESIRED";
    /// Most replicas that the stack may have, as the exporter shows them.
    pub const REPLICAS_MAX: &str = "REPLICAS_MAX";
    /// Milliseconds, separated by commas, that become bounds of the histogram of durations: thresholds, mostly.
    pub const LATENCY_BOUNDS_MS: &str = "LATENCY_BOUNDS_MS";
}

/// A whole number that a variable carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The name of the variable.
    pub variable: &'static str,
    /// The value when the variable is unset.
    pub default: u32,
    /// The smallest value.
    pub least: u32,
    /// The largest value.
    pub most: u32,
}

impl Number {
    /// The default of a variable that carries milliseconds.
    pub const fn default_time(self) -> Duration {
        Duration::from_millis(self.default as u64)
    }
}

/// The whole numbers, with their defaults and ranges. The brief names the defaults of the pool and of the limit.
pub mod number {
    use super::{Number, variable};

    /// 31 days, the longest time in milliseconds.
    const LONGEST: u32 = 2_678_400_000;

    const fn of(variable: &'static str, default: u32, least: u32, most: u32) -> Number {
        Number { variable, default, least, most }
    }

    const fn millis(variable: &'static str, default: u32) -> Number {
        of(variable, default, 1, LONGEST)
    }

    /// See [`variable::SHUTDOWN_TIMEOUT_MS`].
    pub const SHUTDOWN_TIMEOUT_MS: Number = millis(variable::SHUTDOWN_TIMEOUT_MS, 10_000);
    /// See [`variable::MONGODB_MAX_POOL_SIZE`].
    pub const MONGODB_MAX_POOL_SIZE: Number = of(variable::MONGODB_MAX_POOL_SIZE, 50, 1, 10_000);
    /// See [`variable::MONGODB_MIN_POOL_SIZE`].
    pub const MONGODB_MIN_POOL_SIZE: Number = of(variable::MONGODB_MIN_POOL_SIZE, 10, 0, 10_000);
    /// See [`variable::MONGODB_MAX_IDLE_TIME_MS`].
    pub const MONGODB_MAX_IDLE_TIME_MS: Number = millis(variable::MONGODB_MAX_IDLE_TIME_MS, 30_000);
    /// See [`variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS`].
    pub const MONGODB_SERVER_SELECTION_TIMEOUT_MS: Number =
        millis(variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS, 5_000);
    /// See [`variable::MONGODB_SOCKET_TIMEOUT_MS`].
    pub const MONGODB_SOCKET_TIMEOUT_MS: Number = millis(variable::MONGODB_SOCKET_TIMEOUT_MS, 45_000);
    /// See [`variable::RATE_LIMIT_REQUESTS`].
    pub const RATE_LIMIT_REQUESTS: Number = of(variable::RATE_LIMIT_REQUESTS, 100, 1, 1_000_000_000);
    /// See [`variable::RATE_LIMIT_WINDOW_MS`].
    pub const RATE_LIMIT_WINDOW_MS: Number = millis(variable::RATE_LIMIT_WINDOW_MS, 900_000);
    /// See [`variable::RATE_LIMIT_IPV6_PREFIX`].
    pub const RATE_LIMIT_IPV6_PREFIX: Number = of(variable::RATE_LIMIT_IPV6_PREFIX, 64, 32, 128);
    /// See [`variable::RATE_LIMIT_REPLICAS`].
    pub const RATE_LIMIT_REPLICAS: Number = of(variable::RATE_LIMIT_REPLICAS, 1, 1, 1000);
    /// See [`variable::REPLICAS_DESIRED`].
    pub const REPLICAS_DESIRED: Number = of(variable::REPLICAS_DESIRED, 1, 1, 1000);
    /// See [`variable::REPLICAS_MAX`].
    pub const REPLICAS_MAX: Number = of(variable::REPLICAS_MAX, 1, 1, 1000);
    /// See [`variable::CACHE_TTL_MS`].
    pub const CACHE_TTL_MS: Number = millis(variable::CACHE_TTL_MS, 30_000);
}

/// Paths of the admin listener.
pub mod admin {
    /// 200 while the process works.
    pub const LIVEZ: &str = "/livez";
    /// 200 while the replica takes requests.
    pub const READYZ: &str = "/readyz";
    /// Metrics in the text format of Prometheus.
    pub const METRICS: &str = "/metrics";
    /// [`crate::status::Statusz`] as JSON.
    pub const STATUSZ: &str = "/statusz";
    /// Takes `{"replicas": N}` by PUT.
    pub const REPLICAS: &str = "/replicas";
    /// Takes `{"upstreams": ["HOST:PORT", ...]}` by PUT, on a front: its own app first, then those of other fronts of the
    /// machine. Without entries the app is away.
    pub const UPSTREAMS: &str = "/upstreams";
}

/// Upper bounds of the histogram of durations, in milliseconds. Those of [`variable::LATENCY_BOUNDS_MS`] come on top.
pub const LATENCY_BOUNDS_MS: [u32; 12] = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
/// Most bounds that [`variable::LATENCY_BOUNDS_MS`] adds: each is a series for each route and outcome.
pub const MOST_LATENCY_BOUNDS: usize = 2;

/// The name of the networks of Cloudflare's edge in [`variable::TRUSTED_PROXIES`].
pub const CLOUDFLARE: &str = "cloudflare";

/// The path of the listener at [`variable::CHECK_PORT`].
pub const CHECK: &str = "/check";
/// The `Host` of health requests by default.
pub const UPSTREAM_HEALTH_HOST: &str = "localhost";

/// The port of the public listener by default.
pub const PORT: u16 = 5000;
/// The port of the admin listener by default.
pub const ADMIN_PORT: u16 = 9090;
/// The usual port of Redis.
pub const REDIS_PORT: u16 = 6379;
/// The usual port of a sentinel.
pub const REDIS_SENTINEL_PORT: u16 = 26379;
/// What keys in Redis begin with by default.
pub const REDIS_KEY_PREFIX: &str = "appforge:";
/// The header of an error that a front answers itself, and not its app (RFC 9209).
pub const PROXY_STATUS: &str = "proxy-status";
/// The header that names a simulated client.
pub const PROBE_HEADER: &str = "x-appforge-probe";
