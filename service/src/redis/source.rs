//! Where Redis is: at its address, wherever Sentinel says that the master is, or at the node of a cluster that owns the slot
//! of the stack's keys. Asked before each connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::{join_all, select_ok};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError, Value};
use tokio::time::sleep;

use super::failure::FailureKind;
use crate::contract::{Finds, RedisHosts, cluster_prefix};

/// For one host's answer. One that is gone must not hold up the others.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// Between two hosts that are asked: the first answer counts, and each attempt begins with another host, so that one host
/// with an old view of the others does not decide alone.
const NEXT_HOST_AFTER: Duration = Duration::from_millis(50);

/// Where Redis is.
pub(super) enum Source {
    /// There.
    Address(Client),
    /// Where one of these hosts says.
    Hosts {
        /// What is asked.
        question: Question,
        /// Whom.
        hosts: Vec<Host>,
        /// Which host is asked first.
        turn: AtomicUsize,
        /// The URL of the server, up to its host.
        start: String,
        /// The URL of the server after its port.
        end: String,
    },
}

/// A sentinel, or a node of a cluster.
pub(super) struct Host {
    client: Client,
    /// The same without credentials, for a sentinel that has none where its master has.
    anonymous: Option<Client>,
    /// Its own name, for a node that reports none.
    name: String,
}

/// How a host is asked for the server.
pub(super) enum Question {
    /// Who is the master of this name?
    Master(String),
    /// Who owns the slot of this key?
    SlotOwner(String),
}

impl Source {
    /// Reads `redis://`, `rediss://`, `unix://` and the forms of [`RedisHosts`]. `key` is any key of the stack.
    ///
    /// # Errors
    /// When the URL is malformed; the error does not repeat it.
    pub(super) fn parse(url: &str, key_prefix: &str) -> anyhow::Result<Self> {
        let Some(parsed) = RedisHosts::parse(url).map_err(|what| anyhow!("the Redis URL {what}"))? else {
            return Ok(Self::Address(client(url)?));
        };
        let scheme = if parsed.tls { "rediss://" } else { "redis://" };
        let start = format!("{scheme}{}", parsed.login);
        let (question, end) = match parsed.finds {
            Finds::Master { name, database } => (Question::Master(name.to_owned()), format!("/{database}")),
            Finds::SlotOwner => (Question::SlotOwner(cluster_prefix(key_prefix)), String::new()),
        };
        let sentinels = matches!(question, Question::Master(_));
        let hosts = parsed.hosts().map(|host| {
            let anonymous = sentinels && !parsed.login.is_empty();
            Ok(Host {
                client: client(&format!("{start}{host}"))?,
                anonymous: anonymous.then(|| client(&format!("{scheme}{host}"))).transpose()?,
                name: host.rsplit_once(':').map_or("", |(name, _)| name).to_owned(),
            })
        });
        let hosts = hosts.collect::<anyhow::Result<_>>()?;
        Ok(Self::Hosts { question, hosts, turn: AtomicUsize::new(0), start, end })
    }

    /// What keys begin with: `prefix`, with a hash tag where the server is a node of a cluster.
    pub(super) fn key_prefix(&self, prefix: String) -> String {
        match self {
            Self::Hosts { question: Question::SlotOwner(prefix), .. } => prefix.clone(),
            Self::Address(_) | Self::Hosts { .. } => prefix,
        }
    }

    /// `HOST:PORT` of the server that most hosts name now. Where as many name another one, `current` counts: while hosts take over
    /// a change from each other, the answer must not go to and fro.
    pub(super) async fn place(&self, current: Option<&str>) -> Result<String, RedisError> {
        let (question, hosts) = match self {
            Self::Address(client) => return Ok(client.get_connection_info().addr().to_string()),
            Self::Hosts { question, hosts, .. } => (question, hosts),
        };
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        let mut failure = None;
        for answer in join_all(hosts.iter().map(|host| question.put(host))).await {
            match answer {
                Ok(place) => *votes.entry(place).or_default() += 1,
                Err(error) => failure = Some(error),
            }
        }
        let most = votes.into_iter().max_by_key(|(place, count)| (*count, Some(place.as_str()) == current));
        most.map(|(place, _)| place).ok_or_else(|| failure.unwrap_or_else(unknown))
    }

    /// The server to connect to now.
    pub(super) async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::Address(client) => Ok(client.clone()),
            Self::Hosts { question, hosts, turn, start, end } => {
                let first = turn.fetch_add(1, Ordering::Relaxed) % hosts.len();
                let (earlier, later) = hosts.split_at(first);
                let asked = later.iter().chain(earlier).zip(0..).map(|(host, place)| {
                    Box::pin(async move {
                        sleep(NEXT_HOST_AFTER * place).await;
                        question.put(host).await
                    })
                });
                let (server, _) = select_ok(asked).await?;
                client(&format!("{start}{server}{end}")).map_err(|_| unusable())
            }
        }
    }
}

fn client(url: &str) -> anyhow::Result<Client> {
    let info = url.into_connection_info().context("the Redis URL is malformed")?;
    // The crate leaves Nagle's algorithm on, which costs a whole round trip when requests overlap.
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    Client::open(info).context("the Redis URL cannot be used")
}

/// An answer that names no server.
fn unusable() -> RedisError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}

fn unknown() -> RedisError {
    io::Error::from(io::ErrorKind::NotFound).into()
}

impl Question {
    /// `HOST:PORT` of the server, as one host has it.
    async fn put(&self, host: &Host) -> Result<String, RedisError> {
        let mut connection = match (open(&host.client).await, &host.anonymous) {
            (Err(error), Some(anonymous)) if FailureKind::of(&error) == FailureKind::Auth => {
                open(anonymous).await?
            }
            (connection, _) => connection?,
        };
        match self {
            Self::Master(name) => {
                let mut question = redis::cmd("SENTINEL");
                question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
                let place: Option<(String, u16)> = question.query_async(&mut connection).await?;
                let (name, port) = place.ok_or_else(unknown)?;
                Ok(place_of(&name, port))
            }
            Self::SlotOwner(key) => {
                let mut questions = redis::pipe();
                questions.cmd("CLUSTER").arg("KEYSLOT").arg(key).cmd("CLUSTER").arg("SLOTS");
                let (slot, ranges): (u16, Vec<Vec<Value>>) = questions.query_async(&mut connection).await?;
                let owner = ranges.iter().find_map(|range| owner(range, slot, host));
                owner.ok_or_else(unknown)
            }
        }
    }
}

async fn open(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// The owner of `slot`, when it lies in this range of `CLUSTER SLOTS`: first slot, last slot, owner, its replicas.
fn owner(range: &[Value], slot: u16, asked: &Host) -> Option<String> {
    let [first, last, Value::Array(owner), ..] = range else { return None };
    let number = |value: &Value| redis::from_redis_value_ref::<u16>(value).ok();
    if !(number(first)?..=number(last)?).contains(&slot) {
        return None;
    }
    let [name, port, ..] = owner.as_slice() else { return None };
    let name = redis::from_redis_value_ref::<Option<String>>(name).ok()?;
    // A node without an address means the one that it was reached at; `?` is a host name that has yet to arrive.
    let name = name.filter(|name| !name.is_empty());
    if name.as_deref() == Some("?") {
        return None;
    }
    Some(place_of(name.as_deref().unwrap_or(&asked.name), number(port)?))
}

fn place_of(name: &str, port: u16) -> String {
    if name.contains(':') && !name.starts_with('[') {
        format!("[{name}]:{port}")
    } else {
        format!("{name}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_asked_at_their_addresses() {
        let Source::Hosts { hosts, start, end, .. } =
            Source::parse("redis+sentinel://u:p%40@a:1,b,[::1]:2,[::2]/main/3", "x:").unwrap()
        else {
            panic!("no hosts")
        };
        let places: Vec<String> =
            hosts.iter().map(|host| host.client.get_connection_info().addr().to_string()).collect();
        assert_eq!(places, ["a:1", "b:26379", "::1:2", "::2:26379"]);
        assert_eq!((start.as_str(), end.as_str()), ("redis://u:p%40@", "/3"));
    }

    #[test]
    fn keys_have_one_slot_only_in_a_cluster() {
        for (url, want) in [
            ("redis://h", "shop:"),
            ("redis+sentinel://h/main", "shop:"),
            ("redis+cluster://h", "{shop}:"),
            ("rediss+cluster://h:1,i", "{shop}:"),
        ] {
            assert_eq!(Source::parse(url, "shop:").unwrap().key_prefix("shop:".into()), want, "{url}");
        }
    }

    #[test]
    fn slot_owner_is_read_from_its_range() {
        let host = Host { client: client("redis://seed:1").unwrap(), anonymous: None, name: "seed".into() };
        let node = |name: Value| Value::Array(vec![name, Value::Int(7)]);
        let text = |name: &str| Value::BulkString(name.into());
        let range = |owner| vec![Value::Int(10), Value::Int(20), owner, node(text("replica"))];
        let of = |name, slot| owner(&range(node(name)), slot, &host);
        assert_eq!(of(text("a"), 10).as_deref(), Some("a:7"));
        assert_eq!(of(text("fd00::1"), 20).as_deref(), Some("[fd00::1]:7"));
        assert_eq!(of(text("a"), 21), None);
        assert_eq!(of(Value::Nil, 15).as_deref(), Some("seed:7"));
        assert_eq!(of(text(""), 15).as_deref(), Some("seed:7"));
        assert_eq!(of(text("?"), 15), None);
        assert_eq!(owner(&[], 1, &host), None);
    }

    #[test]
    fn a_malformed_url_is_not_repeated() {
        for url in [
            "redis+sentinel://u:hunter2@a",
            "redis+sentinel://u:hunter2@a:x/main",
            "redis+cluster://u:hunter2@a:x",
            "redis+cluster://u:hunter2@a/9",
            "mongodb://hunter2",
        ] {
            let Err(error) = Source::parse(url, "x:") else { panic!("{url}") };
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
