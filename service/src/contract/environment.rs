//! The environment of a replica, typed: what a runner sets and the service reads. Secrets are given as text or as the path of a
//! file; this module reads no file.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::RateLimitKey;
use super::reader::{Given, Problem, Reader};
use super::upstream::UpstreamUrl;
use super::{number, variable};

/// The variables of a replica; what is `None` is not set and has the service's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Address of the public listener.
    pub bind: Option<IpAddr>,
    /// Port of the public listener.
    pub port: Option<u16>,
    /// Address of the admin listener.
    pub admin_bind: Option<IpAddr>,
    /// Port of the admin listener.
    pub admin_port: Option<u16>,
    /// Name of the replica.
    pub replica_id: Option<String>,
    /// Format of a log line.
    pub log_format: Option<LogFormat>,
    /// Least severe level that is logged.
    pub log_level: Option<tracing::Level>,
    /// How long requests may take to finish after SIGTERM.
    pub shutdown_timeout: Option<Duration>,
    /// Address of MongoDB.
    pub mongodb_uri: Option<Given>,
    /// Database; that of the address when unset.
    pub mongodb_database: Option<String>,
    /// Most connections of the pool.
    pub mongodb_max_pool_size: Option<u32>,
    /// Connections that the pool keeps open.
    pub mongodb_min_pool_size: Option<u32>,
    /// An unused connection is closed after this time.
    pub mongodb_max_idle_time: Option<Duration>,
    /// How long an operation waits for a server.
    pub mongodb_server_selection_timeout: Option<Duration>,
    /// How long an operation waits for a reply.
    pub mongodb_socket_timeout: Option<Duration>,
    /// Address of Redis.
    pub redis_url: Option<Given>,
    /// Prefix of every key in Redis.
    pub redis_key_prefix: Option<String>,
    /// Port on 127.0.0.1 that leads to the master of Redis.
    pub redis_forward_port: Option<u16>,
    /// Whether requests are counted.
    pub rate_limit_enabled: Option<bool>,
    /// Requests that a client has in a window.
    pub rate_limit_requests: Option<u32>,
    /// The window.
    pub rate_limit_window: Option<Duration>,
    /// What replicas do while Redis is unreachable.
    pub rate_limit_on_redis_failure: Option<OnRedisFailure>,
    /// Bits of an IPv6 address that identify a client.
    pub rate_limit_ipv6_prefix: Option<u32>,
    /// Replicas that share the budget while Redis is unreachable.
    pub rate_limit_replicas: Option<u32>,
    /// What requests are counted by.
    pub rate_limit_key: Option<RateLimitKey>,
    /// Networks of the proxies that set or check the key, in the form of `trusted_proxies`.
    pub rate_limit_key_proxies: Option<Vec<String>>,
    /// Networks of trusted proxies: CIDR notation, `file:PATH` or `cloudflare`. An empty list is an empty variable, which counts as unset.
    pub trusted_proxies: Option<Vec<String>>,
    /// The key that signs simulated clients.
    pub probe_secret: Option<Given>,
    /// How long a response stays in the cache.
    pub cache_ttl: Option<Duration>,
    /// The app behind a front.
    pub upstream_url: Option<UpstreamUrl>,
    /// Path of the app's health.
    pub upstream_health_path: Option<String>,
    /// `Host` of health requests.
    pub upstream_health_host: Option<String>,
    /// Port of `GET /check`.
    pub check_port: Option<u16>,
    /// Further bounds of the histogram of durations, in milliseconds.
    pub latency_bounds: Option<Vec<u32>>,
}

impl Environment {
    /// The variables that are set, each with its text.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Pairs(Vec::new());
        pairs.add(variable::BIND, self.bind);
        pairs.add(variable::PORT, self.port);
        pairs.add(variable::ADMIN_BIND, self.admin_bind);
        pairs.add(variable::ADMIN_PORT, self.admin_port);
        pairs.add(variable::REPLICA_ID, self.replica_id.as_deref());
        pairs.add(variable::LOG_FORMAT, self.log_format);
        pairs.add(variable::LOG_LEVEL, self.log_level.map(|level| level.as_str().to_lowercase()));
        pairs.add_millis(variable::SHUTDOWN_TIMEOUT_MS, self.shutdown_timeout);
        pairs.add(variable::RATE_LIMIT_ENABLED, self.rate_limit_enabled);
        pairs.add(variable::RATE_LIMIT_REQUESTS, self.rate_limit_requests);
        pairs.add_millis(variable::RATE_LIMIT_WINDOW_MS, self.rate_limit_window);
        pairs.add(variable::RATE_LIMIT_ON_REDIS_FAILURE, self.rate_limit_on_redis_failure);
        pairs.add(variable::RATE_LIMIT_IPV6_PREFIX, self.rate_limit_ipv6_prefix);
        pairs.add(variable::RATE_LIMIT_REPLICAS, self.rate_limit_replicas);
        pairs.add(variable::RATE_LIMIT_KEY, self.rate_limit_key.as_ref());
        let joined = |list: Option<&Vec<String>>| list.map(|all| all.join(","));
        pairs.add(variable::RATE_LIMIT_KEY_PROXIES, joined(self.rate_limit_key_proxies.as_ref()));
        pairs.add(variable::TRUSTED_PROXIES, joined(self.trusted_proxies.as_ref()));
        pairs.add_given(variable::PROBE_SECRET, variable::PROBE_SECRET_FILE, self.probe_secret.as_ref());
        pairs.add_given(variable::MONGODB_URI, variable::MONGODB_URI_FILE, self.mongodb_uri.as_ref());
        pairs.add(variable::MONGODB_DATABASE, self.mongodb_database.as_deref());
        pairs.add(variable::MONGODB_MAX_POOL_SIZE, self.mongodb_max_pool_size);
        pairs.add(variable::MONGODB_MIN_POOL_SIZE, self.mongodb_min_pool_size);
        pairs.add_millis(variable::MONGODB_MAX_IDLE_TIME_MS, self.mongodb_max_idle_time);
        pairs
            .add_millis(variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS, self.mongodb_server_selection_timeout);
        pairs.add_millis(variable::MONGODB_SOCKET_TIMEOUT_MS, self.mongodb_socket_timeout);
        pairs.add_given(variable::REDIS_URL, variable::REDIS_URL_FILE, self.redis_url.as_ref());
        pairs.add(variable::REDIS_KEY_PREFIX, self.redis_key_prefix.as_deref());
        pairs.add(variable::REDIS_FORWARD_PORT, self.redis_forward_port);
        pairs.add_millis(variable::CACHE_TTL_MS, self.cache_ttl);
        pairs.add(variable::UPSTREAM_URL, self.upstream_url.as_ref());
        pairs.add(variable::UPSTREAM_HEALTH_PATH, self.upstream_health_path.as_deref());
        pairs.add(variable::UPSTREAM_HEALTH_HOST, self.upstream_health_host.as_deref());
        pairs.add(variable::CHECK_PORT, self.check_port);
        let bounds = self.latency_bounds.as_ref();
        let bounds = bounds.map(|all| all.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        pairs.add(variable::LATENCY_BOUNDS_MS, bounds);
        pairs.0
    }

    /// The environment in these variables. An empty variable is unset; an invalid one is a problem, and unset too.
    pub fn parse(variables: impl IntoIterator<Item = (String, String)>) -> Parsed {
        let mut from = Reader::new(variables);
        let environment = Self {
            bind: from.address(variable::BIND),
            port: from.port(variable::PORT, super::PORT),
            admin_bind: from.address(variable::ADMIN_BIND),
            admin_port: from.port(variable::ADMIN_PORT, super::ADMIN_PORT),
            // In a container the process has the same number in each replica, while the host name is the container's own.
            replica_id: from.text(variable::REPLICA_ID).or_else(|| from.text(variable::HOSTNAME)),
            log_format: from.choice(variable::LOG_FORMAT),
            log_level: from.value(variable::LOG_LEVEL, LEVEL),
            shutdown_timeout: from.millis(number::SHUTDOWN_TIMEOUT_MS),
            mongodb_uri: from.given(variable::MONGODB_URI, variable::MONGODB_URI_FILE),
            mongodb_database: from.text(variable::MONGODB_DATABASE),
            mongodb_max_pool_size: from.number(number::MONGODB_MAX_POOL_SIZE),
            mongodb_min_pool_size: from.number(number::MONGODB_MIN_POOL_SIZE),
            mongodb_max_idle_time: from.millis(number::MONGODB_MAX_IDLE_TIME_MS),
            mongodb_server_selection_timeout: from.millis(number::MONGODB_SERVER_SELECTION_TIMEOUT_MS),
            mongodb_socket_timeout: from.millis(number::MONGODB_SOCKET_TIMEOUT_MS),
            redis_url: from.given(variable::REDIS_URL, variable::REDIS_URL_FILE),
            redis_key_prefix: from.text(variable::REDIS_KEY_PREFIX),
            redis_forward_port: from.port(variable::REDIS_FORWARD_PORT, super::REDIS_PORT),
            rate_limit_requests: from.number(number::RATE_LIMIT_REQUESTS),
            rate_limit_window: from.millis(number::RATE_LIMIT_WINDOW_MS),
            rate_limit_on_redis_failure: from.choice(variable::RATE_LIMIT_ON_REDIS_FAILURE),
            rate_limit_replicas: from.number(number::RATE_LIMIT_REPLICAS),
            rate_limit_enabled: from.value(variable::RATE_LIMIT_ENABLED, "expected `true` or `false`"),
            rate_limit_key: from.choice(variable::RATE_LIMIT_KEY),
            rate_limit_key_proxies: from.list(variable::RATE_LIMIT_KEY_PROXIES),
            trusted_proxies: from.list(variable::TRUSTED_PROXIES),
            rate_limit_ipv6_prefix: from.number(number::RATE_LIMIT_IPV6_PREFIX),
            probe_secret: from.given(variable::PROBE_SECRET, variable::PROBE_SECRET_FILE),
            cache_ttl: from.millis(number::CACHE_TTL_MS),
            upstream_url: from.choice(variable::UPSTREAM_URL),
            upstream_health_path: from.text(variable::UPSTREAM_HEALTH_PATH),
            upstream_health_host: from.text(variable::UPSTREAM_HEALTH_HOST),
            check_port: from.port(variable::CHECK_PORT, 9091),
            latency_bounds: from.bounds(variable::LATENCY_BOUNDS_MS),
        };
        Parsed { environment, warnings: from.warnings(), problems: from.problems }
    }
}

/// What [`Environment::parse`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The valid values.
    pub environment: Environment,
    /// A line for each unknown name that is nearly the name of a setting.
    pub warnings: Vec<String>,
    /// Every invalid value.
    pub problems: Vec<Problem>,
}

/// What `LOG_LEVEL` takes.
pub(super) const LEVEL: &str = "expected `error`, `warn`, `info`, `debug` or `trace`";

/// The format of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// Text without the time, for a collector that adds it.
    Bare,
    /// One JSON object a line.
    Json,
}

/// What replicas do while Redis is unreachable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnRedisFailure {
    /// Count locally, each replica its share of the limit.
    #[default]
    Memory,
    /// Let all requests pass; they are counted for Redis's return.
    Open,
    /// Respond with 503.
    Closed,
}

/// The words of an enum that is a variable's value.
macro_rules! words {
    ($kind:ident: $($variant:ident = $word:literal),+; $expected:literal) => {
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err($expected.into()) }
            }
        }
    };
}

words!(LogFormat: Text = "text", Bare = "bare", Json = "json"; "expected `text`, `bare` or `json`");
words!(OnRedisFailure: Memory = "memory", Open = "open", Closed = "closed"; "expected `memory`, `open` or `closed`");

struct Pairs(Vec<(&'static str, String)>);

impl Pairs {
    fn add(&mut self, name: &'static str, value: Option<impl ToString>) {
        self.0.extend(value.map(|value| (name, value.to_string())));
    }

    fn add_millis(&mut self, name: &'static str, value: Option<Duration>) {
        self.add(name, value.map(|value| value.as_millis()));
    }

    fn add_given(&mut self, text: &'static str, file: &'static str, value: Option<&Given>) {
        self.0.extend(value.map(|value| match value {
            Given::Text(secret) => (text, secret.clone()),
            Given::File(path) => (file, path.clone()),
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn environments()(
            (bind, port, admin_bind, admin_port) in (any::<Option<IpAddr>>(), any::<Option<u16>>(), any::<Option<IpAddr>>(), any::<Option<u16>>()),
            texts in proptest::collection::vec(proptest::option::of("[a-z/:.]{1,9}"), 5),
            url in proptest::option::of(("[a-z][a-z.-]{0,9}", 1..=u16::MAX)),
            key in proptest::option::of(proptest::option::of("[a-z][a-z-]{0,9}")),
            (check_port, redis_forward_port) in any::<(Option<u16>, Option<u16>)>(),
            secrets in proptest::collection::vec(proptest::option::of(("[ -~]{1,20}", any::<bool>())), 3),
            sizes in proptest::collection::vec(proptest::option::of(32_u32..=128), 5),
            times in proptest::collection::vec(proptest::option::of(1_u64..=2_678_400_000), 6),
            format in proptest::option::of(prop_oneof![Just(LogFormat::Text), Just(LogFormat::Bare), Just(LogFormat::Json)]),
            level in proptest::option::of(prop_oneof![Just(tracing::Level::ERROR), Just(tracing::Level::TRACE)]),
            failure in proptest::option::of(prop_oneof![
                Just(OnRedisFailure::Memory), Just(OnRedisFailure::Open), Just(OnRedisFailure::Closed)
            ]),
            enabled in any::<Option<bool>>(),
            [proxies, key_proxies] in proptest::array::uniform2(proptest::option::of(proptest::collection::vec("[0-9a-f:./]{1,9}", 1..4))),
            bounds in proptest::option::of(proptest::collection::vec(1_u32..=600_000, 1..3)),
        ) -> Environment {
            let secret = |at: usize| secrets[at].clone().map(|(text, file)| if file { Given::File(text) } else { Given::Text(text) });
            let time = |at: usize| times[at].map(Duration::from_millis);
            Environment {
                bind, port, admin_bind, admin_port,
                replica_id: texts[0].clone(), log_format: format, log_level: level, shutdown_timeout: time(0),
                mongodb_uri: secret(0), mongodb_database: texts[1].clone(),
                mongodb_max_pool_size: sizes[0], mongodb_min_pool_size: sizes[1], mongodb_max_idle_time: time(1),
                mongodb_server_selection_timeout: time(2), mongodb_socket_timeout: time(3),
                redis_url: secret(1), redis_key_prefix: texts[2].clone(), redis_forward_port,
                rate_limit_enabled: enabled, rate_limit_requests: sizes[2], rate_limit_window: time(4),
                rate_limit_on_redis_failure: failure, rate_limit_ipv6_prefix: sizes[3], rate_limit_replicas: sizes[4],
                trusted_proxies: proxies, rate_limit_key_proxies: key_proxies, probe_secret: secret(2), cache_ttl: time(5),
                rate_limit_key: key.map(|name| name.map_or(RateLimitKey::Address, |name| format!("header:{name}").parse().unwrap())),
                upstream_url: url.map(|(host, port)| format!("http://{host}:{port}").parse().unwrap()),
                upstream_health_path: texts[3].clone(), upstream_health_host: texts[4].clone(), check_port,
                latency_bounds: bounds,
            }
        }
    }

    proptest! {
        #[test]
        fn environment_survives_the_round_trip(environment in environments()) {
            let pairs = environment.pairs().into_iter().map(|(name, value)| (name.to_owned(), value));
            prop_assert_eq!(Environment::parse(pairs), Parsed { environment, ..Parsed::default() });
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let environment =
            Environment { redis_url: Some(Given::Text("hunter2".into())), ..Environment::default() };
        assert!(!format!("{environment:?}").contains("hunter2"));
    }
}
