//! Settings from the environment. All problems come at once, each with the variable and what would be right.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::contract::{ADMIN_PORT, PORT, variable};
use crate::network::Network;
use crate::{identity, limiter, logging, mongodb, redis};

/// Shortest probe secret that is accepted, in bytes.
const SHORTEST_SECRET: usize = 16;
/// Changed letters up to which an unknown variable is taken for a slip of the pen.
const NEAR: usize = 2;
/// Shorter names are near to too many others.
const SHORTEST_NEAR: usize = 8;

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
    /// The rate limit; none where something in front of the service limits already.
    pub rate_limit: Option<limiter::Settings>,
    /// Whom to believe about where a request comes from.
    pub identity: identity::Settings,
    /// How long an answer is kept in the cache.
    pub cache_ttl: Duration,
    /// Variables that look like one of ours but are none. They may well be another program's.
    pub warnings: Vec<String>,
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
    /// All that is wrong.
    pub fn from_env(
        variables: impl IntoIterator<Item = (String, String)>,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, Vec<Problem>> {
        let variables = variables.into_iter().collect();
        let mut from = Reader { variables, asked: RefCell::default(), problems: Vec::new(), read: &read };
        let seconds = Duration::from_secs;
        // In a container the process has the same number in each replica, while the host name is the container's own.
        let replica = from.text(variable::REPLICA_ID).or_else(|| from.text("HOSTNAME"));
        let replica = replica.unwrap_or_else(|| format!("replica-{}", std::process::id()));
        let max_pool_size = from.number(variable::MONGODB_MAX_POOL_SIZE, 50, 1..=10_000);
        let min_pool_size = from.number(variable::MONGODB_MIN_POOL_SIZE, 10, 0..=10_000);
        if min_pool_size > max_pool_size {
            let message =
                format!("{min_pool_size} is more than MONGODB_MAX_POOL_SIZE, which is {max_pool_size}");
            from.problem(variable::MONGODB_MIN_POOL_SIZE, message);
        }
        let settings = Self {
            public: from.address(variable::BIND, variable::PORT, PORT),
            admin: from.address(variable::ADMIN_BIND, variable::ADMIN_PORT, ADMIN_PORT),
            log: logging::Settings {
                format: from.choice(variable::LOG_FORMAT, logging::Format::Text),
                level: from.value(variable::LOG_LEVEL, LEVEL, tracing::Level::INFO),
            },
            shutdown_timeout: from.millis(variable::SHUTDOWN_TIMEOUT_MS, seconds(10)),
            mongodb: mongodb::Settings {
                uri: from
                    .secret(variable::MONGODB_URI)
                    .unwrap_or_else(|| "mongodb://localhost:27017/appforge".into()),
                database: from.text(variable::MONGODB_DATABASE),
                max_pool_size,
                min_pool_size,
                max_idle_time: from.millis(variable::MONGODB_MAX_IDLE_TIME_MS, seconds(30)),
                server_selection_timeout: from
                    .millis(variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS, seconds(5)),
                socket_timeout: from.millis(variable::MONGODB_SOCKET_TIMEOUT_MS, seconds(45)),
                app_name: replica.clone(),
            },
            redis: redis::Settings {
                url: from.secret(variable::REDIS_URL).unwrap_or_else(|| "redis://localhost:6379".into()),
                key_prefix: from.text(variable::REDIS_KEY_PREFIX).unwrap_or_else(|| "appforge:".into()),
            },
            rate_limit: from.rate_limit(),
            identity: identity::Settings {
                trusted_proxies: from.networks(variable::TRUSTED_PROXIES),
                ipv6_prefix: u8::try_from(from.number(variable::RATE_LIMIT_IPV6_PREFIX, 64, 32..=128))
                    .unwrap_or(64),
                probe_secret: from.probe_secret(),
            },
            cache_ttl: from.millis(variable::CACHE_TTL_MS, seconds(30)),
            replica,
            warnings: from.nearly(),
        };
        if settings.public == settings.admin && settings.public.port() != 0 {
            from.problem(variable::ADMIN_PORT, "the public listener has that address already; see PORT");
        }
        if from.problems.is_empty() { Ok(settings) } else { Err(from.problems) }
    }
}

/// What `LOG_LEVEL` takes.
const LEVEL: &str = "a level is expected: error, warn, info, debug or trace";

struct Reader<'a> {
    variables: BTreeMap<String, String>,
    /// The names that are settings.
    asked: RefCell<BTreeSet<String>>,
    problems: Vec<Problem>,
    read: &'a dyn Fn(&str) -> std::io::Result<String>,
}

impl Reader<'_> {
    fn problem(&mut self, variable: &str, message: impl Into<String>) {
        self.problems.push(Problem { variable: variable.to_owned(), message: message.into() });
    }

    /// An empty variable counts as unset.
    fn text(&self, name: &str) -> Option<String> {
        self.asked.borrow_mut().insert(name.to_owned());
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

    /// What is wrong with a limit is a problem also while it is off.
    fn rate_limit(&mut self) -> Option<limiter::Settings> {
        let settings = limiter::Settings {
            requests: self.number(variable::RATE_LIMIT_REQUESTS, 100, 1..=1_000_000_000),
            window: self.millis(variable::RATE_LIMIT_WINDOW_MS, Duration::from_secs(900)),
            on_redis_failure: self
                .choice(variable::RATE_LIMIT_ON_REDIS_FAILURE, limiter::OnRedisFailure::Memory),
            replicas: self.number(variable::RATE_LIMIT_REPLICAS, 1, 1..=1000),
        };
        self.value(variable::RATE_LIMIT_ENABLED, "true or false is expected", true).then_some(settings)
    }

    fn probe_secret(&mut self) -> Option<Vec<u8>> {
        let secret = self.secret(variable::PROBE_SECRET)?;
        if secret.len() < SHORTEST_SECRET {
            self.problem(variable::PROBE_SECRET, format!("is shorter than {SHORTEST_SECRET} bytes"));
        }
        Some(secret.into_bytes())
    }

    /// A value whose own error says what would be right.
    fn choice<T: FromStr<Err = String>>(&mut self, name: &str, default: T) -> T {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                self.problem(name, message);
                default
            }
        }
    }

    fn value<T: FromStr + fmt::Display>(&mut self, name: &str, expected: &str, default: T) -> T {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.problem(name, format!("{expected}, such as {default}"));
                default
            }
        }
    }

    fn address(&mut self, bind: &str, port: &str, default: u16) -> SocketAddr {
        let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let ip = self.value(bind, "an IP address of this host is expected", anywhere);
        SocketAddr::new(ip, self.value(port, "a port is expected", default))
    }

    fn number(&mut self, name: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> u32 {
        let number = self.value(name, "a whole number is expected", default);
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

    /// What may be a slip of the pen. Not a problem: other programs' variables, and those that Kubernetes sets for
    /// services, are in the same environment.
    fn nearly(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let unknown = self.variables.keys().filter(|name| !asked.contains(*name));
        let near = |name: &str, setting: &&String| {
            setting.len() >= SHORTEST_NEAR
                && !self.variables.contains_key(*setting)
                && strsim::damerau_levenshtein(name, setting) <= NEAR
        };
        unknown
            .filter_map(|name| {
                let setting = asked.iter().find(|setting| near(name, setting))?;
                Some(format!("{name} is no setting; did you mean {setting}?"))
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
