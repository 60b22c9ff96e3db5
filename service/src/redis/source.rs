//! Where Redis is: at its address, or wherever Sentinel says that the master is. Asked before each connection.

use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::select_ok;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};

/// What the URL of a Redis with Sentinel begins with.
const SENTINEL: &str = "redis+sentinel://";
/// Where Sentinel listens unless told.
const SENTINEL_PORT: u16 = 26379;
/// For one sentinel's answer. All are asked at once: one that is gone must not hold up the others.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// Where Redis is.
pub(super) enum Source {
    /// There.
    Address(Client),
    /// Where one of the sentinels says.
    Sentinels {
        /// The sentinels.
        sentinels: Vec<Client>,
        /// The name that they know the master by.
        master: String,
        /// `USER:PASSWORD@` of the master, or nothing.
        login: String,
    },
}

impl Source {
    /// Reads `redis://`, `rediss://`, `unix://`, or `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER`.
    ///
    /// # Errors
    /// When the URL is malformed; the error does not repeat it.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix(SENTINEL) else { return Ok(Self::Address(client(url)?)) };
        let (authority, master) = rest.split_once('/').unwrap_or((rest, ""));
        if master.is_empty() || master.contains(['/', '?']) {
            bail!("the Redis URL is malformed: the name of the master is expected after the sentinels");
        }
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let sentinels = hosts.split(',').map(|host| {
            let named = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            let port = if named { String::new() } else { format!(":{SENTINEL_PORT}") };
            client(&format!("redis://{login}{host}{port}"))
        });
        Ok(Self::Sentinels {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            master: master.to_owned(),
            login,
        })
    }

    /// The server to connect to now.
    pub(super) async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::Address(client) => Ok(client.clone()),
            Self::Sentinels { sentinels, master, login } => {
                let asked = sentinels.iter().map(|sentinel| Box::pin(ask(sentinel, master)));
                let ((host, port), _) = select_ok(asked).await?;
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                client(&format!("redis://{login}{host}:{port}"))
                    .map_err(|_| RedisError::from(io::Error::from(io::ErrorKind::InvalidData)))
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

/// Where the master is, as one sentinel knows it.
async fn ask(sentinel: &Client, master: &str) -> Result<(String, u16), RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    let mut connection = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
    let place: Option<(String, u16)> = redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(master)
        .query_async(&mut connection)
        .await?;
    place.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sentinels(url: &str) -> (Vec<String>, String, String) {
        match Source::parse(url).unwrap() {
            Source::Sentinels { sentinels, master, login } => {
                let places = sentinels.iter().map(|client| client.get_connection_info().addr().to_string());
                (places.collect(), master, login)
            }
            Source::Address(_) => panic!("no sentinels"),
        }
    }

    #[test]
    fn sentinels_are_listed_with_the_name_of_the_master() {
        let (places, master, login) = sentinels("redis+sentinel://u:p%40@a:1,b,[::1]:2,[::2]/main");
        assert_eq!(places, ["a:1", "b:26379", "::1:2", "::2:26379"]);
        assert_eq!((master.as_str(), login.as_str()), ("main", "u:p%40@"));
        assert_eq!(sentinels("redis+sentinel://a/main").2, "");
    }

    #[test]
    fn a_malformed_url_is_not_repeated() {
        for url in
            ["redis+sentinel://u:hunter2@a", "redis+sentinel://u:hunter2@a:x/main", "mongodb://hunter2"]
        {
            let Err(error) = Source::parse(url) else { panic!("{url}") };
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
