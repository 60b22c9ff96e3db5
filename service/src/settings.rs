//! The settings of the service: its environment with the defaults and with the secrets that files hold. All problems come at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderValue, Uri};

use crate::contract::{
    self, ADMIN_PORT, Environment, Given, Number, PORT, Parsed, Problem, UPSTREAM_HEALTH_HOST, UpstreamUrl,
    number, variable,
};
use crate::server::is_host;
use crate::{front, identity, limiter, logging, mongodb, redis};

/// Shortest probe secret that is accepted, in bytes.
const SHORTEST_SECRET: usize = 16;

/// All settings of the service.
pub struct Settings {
    /// Where everyone is served.
    pub public: SocketAddr,
    /// Where probes and scrapes are served.
    pub admin: SocketAddr,
    /// Names this replica in `/health`, in logs and to MongoDB.
    pub replica: String,
    /// What is logged, and how.
    pub log: logging::Settings,
    /// How long requests may take to finish once the service is told to end.
    pub shutdown_timeout: Duration,
    /// Where other proxies ask whether a request may pass; nowhere by default.
    pub check: Option<SocketAddr>,
    /// What answers the requests that pass.
    pub backend: Backend,
    /// Where the app of a front finds the master of Redis; nowhere by default.
    pub redis_forward: Option<SocketAddr>,
    /// The counter and cache store.
    pub redis: redis::Settings,
    /// The rate limit; none where something in front of the service limits already.
    pub rate_limit: Option<limiter::Settings>,
    /// Whom to believe about where a request comes from.
    pub identity: identity::Settings,
    /// Further bounds of the histogram of durations, in milliseconds.
    pub latency_bounds: Vec<u32>,
    /// Variables that look like one of ours but are none. They may well be another program's.
    pub warnings: Vec<String>,
}

/// What answers the requests that pass.
pub enum Backend {
    /// The bundled service.
    Bundled {
        /// The document store.
        mongodb: mongodb::Settings,
        /// How long an answer is kept in the cache.
        cache_ttl: Duration,
    },
    /// An app behind the front.
    Front(front::Settings),
}

/// All problems in one text, one a line.
pub fn report(problems: &[Problem]) -> String {
    let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
    let plural = if problems.len() == 1 { "" } else { "s" };
    format!("the settings have {} problem{plural}{lines}", problems.len())
}

impl Settings {
    /// Reads the variables; `read` gives the text of a file that a `*_FILE` variable names.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_env(
        variables: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Vec<Problem>> {
        let read: Read<'_> = &read;
        let Parsed { environment, warnings, mut problems } = Environment::parse(variables);
        let replica =
            environment.replica_id.clone().unwrap_or_else(|| format!("replica-{}", std::process::id()));
        let settings = Self {
            public: address(environment.bind, environment.port.unwrap_or(PORT)),
            admin: address(environment.admin_bind, environment.admin_port.unwrap_or(ADMIN_PORT)),
            log: logging::Settings {
                format: environment.log_format.unwrap_or_default(),
                level: environment.log_level.unwrap_or(tracing::Level::INFO),
            },
            shutdown_timeout: time(environment.shutdown_timeout, number::SHUTDOWN_TIMEOUT_MS),
            check: environment.check_port.map(|port| address(environment.bind, port)),
            backend: match environment.upstream_url.clone() {
                Some(url) => Backend::Front(front(url, &environment, &mut problems)),
                None => Backend::Bundled {
                    mongodb: mongodb(&environment, &replica, read, &mut problems),
                    cache_ttl: time(environment.cache_ttl, number::CACHE_TTL_MS),
                },
            },
            redis: redis::Settings {
                url: secret(environment.redis_url.as_ref(), variable::REDIS_URL_FILE, read, &mut problems)
                    .unwrap_or_else(|| "redis://localhost:6379".into()),
                key_prefix: environment
                    .redis_key_prefix
                    .clone()
                    .unwrap_or_else(|| contract::REDIS_KEY_PREFIX.into()),
            },
            redis_forward: environment
                .redis_forward_port
                .map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            rate_limit: environment.rate_limit_enabled.unwrap_or(true).then(|| rate_limit(&environment)),
            identity: identity(&environment, read, &mut problems),
            latency_bounds: environment.latency_bounds.clone().unwrap_or_default(),
            replica,
            warnings,
        };
        if settings.public == settings.admin && settings.public.port() != 0 {
            let message = "must differ from the public address (PORT)";
            problems.push(Problem::new(variable::ADMIN_PORT, message));
        }
        if settings
            .check
            .is_some_and(|check| check.port() != 0 && [settings.public, settings.admin].contains(&check))
        {
            let message = "must differ from the other ports (PORT and ADMIN_PORT)";
            problems.push(Problem::new(variable::CHECK_PORT, message));
        }
        if settings.redis_forward.is_some() && matches!(settings.backend, Backend::Bundled { .. }) {
            let message = "applies only to a front, which has UPSTREAM_URL";
            problems.push(Problem::new(variable::REDIS_FORWARD_PORT, message));
        }
        if settings.redis_forward.is_some_and(|forward| {
            let taken = [Some(settings.public), Some(settings.admin), settings.check];
            forward.port() != 0 && taken.into_iter().flatten().any(|other| other.port() == forward.port())
        }) {
            let message = "must differ from the other ports (PORT, ADMIN_PORT and CHECK_PORT)";
            problems.push(Problem::new(variable::REDIS_FORWARD_PORT, message));
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// Gives the text of a file.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

fn address(bind: Option<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
}

fn time(set: Option<Duration>, number: Number) -> Duration {
    set.unwrap_or(number.default_time())
}

fn mongodb(
    environment: &Environment,
    replica: &str,
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> mongodb::Settings {
    let max_pool_size = environment.mongodb_max_pool_size.unwrap_or(number::MONGODB_MAX_POOL_SIZE.default);
    let min_pool_size = environment.mongodb_min_pool_size.unwrap_or(number::MONGODB_MIN_POOL_SIZE.default);
    if min_pool_size > max_pool_size {
        let message =
            format!("must be at most MONGODB_MAX_POOL_SIZE, which is {max_pool_size}, got {min_pool_size}");
        problems.push(Problem::new(variable::MONGODB_MIN_POOL_SIZE, message));
    }
    mongodb::Settings {
        uri: secret(environment.mongodb_uri.as_ref(), variable::MONGODB_URI_FILE, read, problems)
            .unwrap_or_else(|| "mongodb://localhost:27017/appforge".into()),
        database: environment.mongodb_database.clone(),
        max_pool_size,
        min_pool_size,
        max_idle_time: time(environment.mongodb_max_idle_time, number::MONGODB_MAX_IDLE_TIME_MS),
        server_selection_timeout: time(
            environment.mongodb_server_selection_timeout,
            number::MONGODB_SERVER_SELECTION_TIMEOUT_MS,
        ),
        socket_timeout: time(environment.mongodb_socket_timeout, number::MONGODB_SOCKET_TIMEOUT_MS),
        app_name: replica.to_owned(),
    }
}

fn front(url: UpstreamUrl, environment: &Environment, problems: &mut Vec<Problem>) -> front::Settings {
    let path = environment.upstream_health_path.as_deref().and_then(|text| {
        let path = text.parse::<Uri>().ok().filter(|_| text.starts_with('/'));
        if path.is_none() {
            problems
                .push(Problem::new(variable::UPSTREAM_HEALTH_PATH, "expected a path, such as `/healthz`"));
        }
        path
    });
    let host = environment.upstream_health_host.as_deref().unwrap_or(UPSTREAM_HEALTH_HOST);
    let host =
        HeaderValue::from_str(host).ok().filter(|host| is_host(host.as_bytes())).unwrap_or_else(|| {
            problems
                .push(Problem::new(variable::UPSTREAM_HEALTH_HOST, "expected a host, such as `localhost`"));
            HeaderValue::from_static(UPSTREAM_HEALTH_HOST)
        });
    front::Settings { url, health: front::health::Settings { path, host } }
}

fn rate_limit(environment: &Environment) -> limiter::Settings {
    limiter::Settings {
        requests: environment.rate_limit_requests.unwrap_or(number::RATE_LIMIT_REQUESTS.default),
        window: time(environment.rate_limit_window, number::RATE_LIMIT_WINDOW_MS),
        on_redis_failure: environment.rate_limit_on_redis_failure.unwrap_or_default(),
        replicas: environment.rate_limit_replicas.unwrap_or(number::RATE_LIMIT_REPLICAS.default),
    }
}

fn identity(environment: &Environment, read: Read<'_>, problems: &mut Vec<Problem>) -> identity::Settings {
    let mut networks = |variable: &str, entries: Option<&Vec<String>>| {
        let mut all = Vec::new();
        for entry in entries.into_iter().flatten() {
            match identity::networks(entry, read) {
                Ok(networks) => all.extend(networks),
                Err(message) => problems.push(Problem::new(variable, message)),
            }
        }
        all
    };
    let trusted_proxies = networks(variable::TRUSTED_PROXIES, environment.trusted_proxies.as_ref());
    let key_proxies = networks(variable::RATE_LIMIT_KEY_PROXIES, environment.rate_limit_key_proxies.as_ref());
    let probe_secret = secret(environment.probe_secret.as_ref(), variable::PROBE_SECRET_FILE, read, problems);
    if probe_secret.as_ref().is_some_and(|secret| secret.len() < SHORTEST_SECRET) {
        let message = format!("must have at least {SHORTEST_SECRET} bytes");
        problems.push(Problem::new(variable::PROBE_SECRET, message));
    }
    let prefix = environment.rate_limit_ipv6_prefix.unwrap_or(number::RATE_LIMIT_IPV6_PREFIX.default);
    identity::Settings {
        trusted_proxies,
        key_proxies,
        ipv6_prefix: u8::try_from(prefix).unwrap_or(u8::MAX),
        probe_secret: probe_secret.map(String::into_bytes),
        key: environment.rate_limit_key.clone().unwrap_or_default(),
        window: time(environment.rate_limit_window, number::RATE_LIMIT_WINDOW_MS),
    }
}

/// A secret of the environment, from its file where one is named.
pub(crate) fn secret(
    given: Option<&Given>,
    file_variable: &str,
    read: Read<'_>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    match given? {
        Given::Text(text) => Some(text.clone()),
        Given::File(path) => match read(path) {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(error) => {
                problems.push(Problem::new(file_variable, format!("cannot read `{path}`: {error}")));
                None
            }
        },
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
