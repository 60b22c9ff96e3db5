//! Settings from the environment. All problems come at once, each with the variable and what would be right.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::network::Network;
use crate::{identity, limiter, logging, mongodb, redis};

/// The port of the public listener unless told.
pub const PORT: u16 = 5000;
/// The port of the admin listener unless told.
pub const ADMIN_PORT: u16 = 9090;
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
    /// The document store.
    pub mongodb: mongodb::Settings,
    /// The counter and cache store.
    pub redis: redis::Settings,
    /// The rate limit.
    pub rate_limit: limiter::Settings,
    /// Whom to believe about where a request comes from.
    pub identity: identity::Settings,
    /// How long an answer is kept in the cache.
    pub cache_ttl: Duration,
}

/// A variable that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub variable: String,
    /// What is wrong, and what would be right. Never its value, which may be a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

impl Settings {
    /// Reads the variables; `read` gives the text of a file that a `*_FILE` variable names.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn from_env(
        variables: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Vec<Problem>> {
        let mut from =
            Reader { variables: variables.into_iter().collect(), problems: Vec::new(), read: &read };
        let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let seconds = Duration::from_secs;
        // In a container the process has the same number in each replica, while the host name is the container's own.
        let replica = from.text("REPLICA_ID").or_else(|| from.text("HOSTNAME"));
        let replica = replica.unwrap_or_else(|| format!("replica-{}", std::process::id()));
        let max_pool_size = from.number("MONGODB_MAX_POOL_SIZE", 50, 1..=10_000);
        let min_pool_size = from.number("MONGODB_MIN_POOL_SIZE", 10, 0..=10_000);
        if min_pool_size > max_pool_size {
            let message =
                format!("{min_pool_size} is more than MONGODB_MAX_POOL_SIZE, which is {max_pool_size}");
            from.problem("MONGODB_MIN_POOL_SIZE", message);
        }
        let settings = Self {
            public: SocketAddr::new(from.value("BIND", anywhere), from.value("PORT", PORT)),
            admin: SocketAddr::new(from.value("ADMIN_BIND", anywhere), from.value("ADMIN_PORT", ADMIN_PORT)),
            log: logging::Settings {
                format: from.value("LOG_FORMAT", logging::Format::Text),
                level: from.value("LOG_LEVEL", tracing::Level::INFO),
            },
            shutdown_timeout: from.millis("SHUTDOWN_TIMEOUT_MS", seconds(10)),
            mongodb: mongodb::Settings {
                uri: from
                    .secret("MONGODB_URI")
                    .unwrap_or_else(|| "mongodb://localhost:27017/appforge".into()),
                database: from.text("MONGODB_DATABASE"),
                max_pool_size,
                min_pool_size,
                max_idle_time: from.millis("MONGODB_MAX_IDLE_TIME_MS", seconds(30)),
                server_selection_timeout: from.millis("MONGODB_SERVER_SELECTION_TIMEOUT_MS", seconds(5)),
                socket_timeout: from.millis("MONGODB_SOCKET_TIMEOUT_MS", seconds(45)),
                app_name: replica.clone(),
            },
            redis: redis::Settings {
                url: from.secret("REDIS_URL").unwrap_or_else(|| "redis://localhost:6379".into()),
                key_prefix: from.text("REDIS_KEY_PREFIX").unwrap_or_else(|| "appforge:".into()),
            },
            rate_limit: limiter::Settings {
                requests: from.number("RATE_LIMIT_REQUESTS", 100, 1..=1_000_000_000),
                window: from.millis("RATE_LIMIT_WINDOW_MS", seconds(900)),
                on_redis_failure: from.value("RATE_LIMIT_ON_REDIS_FAILURE", limiter::OnRedisFailure::Memory),
                replicas: from.number("RATE_LIMIT_REPLICAS", 1, 1..=1000),
            },
            identity: identity::Settings {
                trusted_proxies: from.networks("TRUSTED_PROXIES"),
                ipv6_prefix: u8::try_from(from.number("RATE_LIMIT_IPV6_PREFIX", 64, 32..=128)).unwrap_or(64),
                probe_secret: from.probe_secret(),
            },
            cache_ttl: from.millis("CACHE_TTL_MS", seconds(30)),
            replica,
        };
        if from.problems.is_empty() { Ok(settings) } else { Err(from.problems) }
    }
}

struct Reader<'a> {
    variables: BTreeMap<String, String>,
    problems: Vec<Problem>,
    read: &'a dyn Fn(&str) -> std::io::Result<String>,
}

impl Reader<'_> {
    fn problem(&mut self, variable: &str, message: impl Into<String>) {
        self.problems.push(Problem { variable: variable.to_owned(), message: message.into() });
    }

    /// An empty variable counts as unset.
    fn text(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn secret(&mut self, name: &str) -> Option<String> {
        let file_variable = format!("{name}_FILE");
        let (value, file) = (self.text(name), self.text(&file_variable));
        match (value, file) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("is set, and so is {file_variable}; set one of them"));
                None
            }
            (None, Some(file)) => match (self.read)(&file) {
                Ok(text) => Some(text.trim_end().to_owned()),
                Err(error) => {
                    self.problem(&file_variable, format!("`{file}` cannot be read: {error}"));
                    None
                }
            },
            (value, None) => value,
        }
    }

    fn probe_secret(&mut self) -> Option<Vec<u8>> {
        let secret = self.secret("PROBE_SECRET")?;
        if secret.len() < SHORTEST_SECRET {
            self.problem("PROBE_SECRET", format!("is shorter than {SHORTEST_SECRET} bytes"));
        }
        Some(secret.into_bytes())
    }

    fn value<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: fmt::Display,
    {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.problem(name, error.to_string());
                default
            }
        }
    }

    fn number(&mut self, name: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let number = self.value(name, default);
        if !range.contains(&number) {
            self.problem(name, format!("{number} is not within {} to {}", range.start(), range.end()));
        }
        number
    }

    fn millis(&mut self, name: &str, default: Duration) -> Duration {
        let default = u32::try_from(default.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(u64::from(self.number(name, default, 1..=2_678_400_000)))
    }

    fn networks(&mut self, name: &str) -> Vec<Network> {
        let text = self.text(name).unwrap_or_default();
        let mut networks = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.parse() {
                Ok(network) => networks.push(network),
                Err(message) => self.problem(name, message),
            }
        }
        networks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_env(variables, |path| match path {
            "/secret" => Ok("mongodb://u:hunter2@h/\n".into()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn the_defaults_are_those_of_the_brief() {
        let settings = of(&[]).unwrap_or_else(|_| panic!("valid"));
        assert_eq!((settings.mongodb.max_pool_size, settings.mongodb.min_pool_size), (50, 10));
        assert_eq!(settings.mongodb.socket_timeout, Duration::from_secs(45));
        assert_eq!(
            (settings.rate_limit.requests, settings.rate_limit.window),
            (100, Duration::from_secs(900))
        );
        assert_eq!(settings.public.port(), 5000);
    }

    #[test]
    fn all_problems_come_at_once_and_show_no_secret() {
        let problems = of(&[
            ("PORT", "http"),
            ("RATE_LIMIT_REQUESTS", "0"),
            ("TRUSTED_PROXIES", "10.0.0.0/8, nonsense"),
            ("MONGODB_MIN_POOL_SIZE", "60"),
            ("REDIS_URL", "redis://u:hunter2@h"),
            ("REDIS_URL_FILE", "/secret"),
            ("PROBE_SECRET_FILE", "/missing"),
            ("LOG_FORMAT", "xml"),
        ])
        .err()
        .unwrap_or_default();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 7, "{shown:#?}");
        assert!(!shown.concat().contains("hunter2"), "{shown:?}");
    }

    #[test]
    fn a_replica_is_named_by_its_variable_else_by_its_host() {
        let name =
            |variables: &[(&str, &str)]| of(variables).map(|settings| settings.replica).unwrap_or_default();
        assert_eq!(name(&[("REPLICA_ID", "service-2"), ("HOSTNAME", "b1f2")]), "service-2");
        assert_eq!(name(&[("HOSTNAME", "b1f2")]), "b1f2");
        assert!(name(&[]).starts_with("replica-"));
    }

    #[test]
    fn a_secret_may_come_from_a_file() {
        let settings = of(&[("MONGODB_URI_FILE", "/secret")]).unwrap_or_else(|_| panic!("valid"));
        assert_eq!(settings.mongodb.uri, "mongodb://u:hunter2@h/");
    }
}
