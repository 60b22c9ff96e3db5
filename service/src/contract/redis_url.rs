//! The forms of a Redis URL that the driver does not have: with Sentinel, and of a cluster. Pure.
//!
//! `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DATABASE` and `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT`,
//! as Python's rate limiter `limits` writes them: no standard exists, and this form has host, login and database where
//! `redis://` has them. With `rediss+sentinel://` and `rediss+cluster://`, hosts and server are reached over TLS.

/// The start of each form of URL, in the order in which messages list them.
pub const REDIS_SCHEMES: [&str; 6] = [
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
];

/// A URL of several hosts, of which one says where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisHosts<'a> {
    /// How the hosts find the server.
    pub finds: Finds<'a>,
    /// Whether hosts and server take TLS only.
    pub tls: bool,
    /// `USER:PASSWORD@` of hosts and server, or nothing.
    pub login: &'a str,
    /// The hosts, as written.
    hosts: &'a str,
}

/// How hosts find the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finds<'a> {
    /// They are sentinels.
    Master {
        /// The name that sentinels have for the master.
        name: &'a str,
        /// The database, in digits; 0 when empty.
        database: &'a str,
    },
    /// They are nodes of a cluster: the server is the one that owns the slot of the stack's keys.
    SlotOwner,
}

impl<'a> RedisHosts<'a> {
    /// The hosts of a URL; `None` for one that names its server itself.
    ///
    /// # Errors
    /// What the URL must be, as the rest of a sentence; without its text.
    pub fn parse(url: &'a str) -> Result<Option<Self>, &'static str> {
        let Some((scheme, rest)) = url.split_once("://") else { return Ok(None) };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (finds, tls) = match scheme {
            "redis+sentinel" => (master(path)?, false),
            "rediss+sentinel" => (master(path)?, true),
            "redis+cluster" => (slot_owner(path)?, false),
            "rediss+cluster" => (slot_owner(path)?, true),
            _ => return Ok(None),
        };
        let (login, hosts) = match authority.rfind('@') {
            Some(at) => authority.split_at(at + 1),
            None => ("", authority),
        };
        Ok(Some(Self { finds, tls, login, hosts }))
    }

    /// The URL by which an app of the user's own reaches the master through a forward on `host`:`port`; `None` for a cluster, and
    /// for TLS, whose certificates do not name `host`.
    pub fn forwarded(&self, host: &str, port: u16) -> Option<String> {
        match self.finds {
            Finds::Master { database, .. } if !self.tls => {
                let database = if database.is_empty() { String::new() } else { format!("/{database}") };
                Some(format!("redis://{}{host}:{port}{database}", self.login))
            }
            Finds::Master { .. } | Finds::SlotOwner => None,
        }
    }

    /// `HOST:PORT` of each host; with the usual port where the URL has none.
    pub fn hosts(&self) -> impl Iterator<Item = String> + use<'a> {
        let usual = match self.finds {
            Finds::Master { .. } => super::REDIS_SENTINEL_PORT,
            Finds::SlotOwner => super::REDIS_PORT,
        };
        self.hosts.split(',').map(move |host| {
            let named = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
            if named { host.to_owned() } else { format!("{host}:{usual}") }
        })
    }
}

fn master(path: &str) -> Result<Finds<'_>, &'static str> {
    let (name, database) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() || name.contains(['?', '#']) {
        return Err("must name the master after the sentinels, as in `redis+sentinel://HOST:26379/MASTER`");
    }
    if !database.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("must end in `/MASTER`, or in `/MASTER/DATABASE` with the number of a database");
    }
    Ok(Finds::Master { name, database })
}

fn slot_owner(path: &str) -> Result<Finds<'_>, &'static str> {
    if path.is_empty() || path == "0" {
        Ok(Finds::SlotOwner)
    } else {
        Err("must end after the hosts: a cluster has the database 0 only")
    }
}

/// What keys in a cluster begin with, so that all have one hash slot: `appforge:` becomes `{appforge}:`. A prefix with a hash tag of
/// its own stays as it is.
pub fn cluster_prefix(prefix: &str) -> String {
    let tag = prefix.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    if tag.is_some_and(|(tag, _)| !tag.is_empty()) {
        return prefix.to_owned();
    }
    let (stem, end) = prefix.strip_suffix(':').map_or((prefix, ""), |stem| (stem, ":"));
    // A tag that is empty would be none.
    if stem.is_empty() || stem.starts_with('}') {
        format!("{{:}}{prefix}")
    } else {
        format!("{{{stem}}}{end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn hosts(url: &str) -> (Vec<String>, RedisHosts<'_>) {
        let parsed = RedisHosts::parse(url).unwrap().unwrap();
        (parsed.hosts().collect(), parsed)
    }

    #[test]
    fn sentinels_are_listed_with_the_name_of_the_master() {
        let (hosts_of, url) = hosts("redis+sentinel://u:p%40@a:1,b,[::1]:2,[::2]/main/3");
        assert_eq!(hosts_of, ["a:1", "b:26379", "[::1]:2", "[::2]:26379"]);
        assert_eq!(url.finds, Finds::Master { name: "main", database: "3" });
        assert_eq!((url.login, url.tls), ("u:p%40@", false));
        assert_eq!(hosts("rediss+sentinel://a/main").1.login, "");
    }

    #[test]
    fn app_reaches_the_master_through_a_forward() {
        let forwarded = |url: &str| hosts(url).1.forwarded("127.0.0.1", 6379);
        for (url, want) in [
            ("redis+sentinel://u:p%40@a:1,b/main/3", Some("redis://u:p%40@127.0.0.1:6379/3")),
            ("redis+sentinel://a/main", Some("redis://127.0.0.1:6379")),
            ("rediss+sentinel://u:p@a/main", None),
            ("redis+cluster://a", None),
        ] {
            assert_eq!(forwarded(url).as_deref(), want, "{url}");
        }
    }

    #[test]
    fn nodes_of_a_cluster_are_listed() {
        let (hosts_of, url) = hosts("rediss+cluster://:p@a:7000,b/0");
        assert_eq!(hosts_of, ["a:7000", "b:6379"]);
        assert_eq!((url.finds, url.tls, url.login), (Finds::SlotOwner, true, ":p@"));
    }

    #[test]
    fn url_of_one_server_is_left_to_the_driver() {
        for url in ["redis://h", "rediss://h:1/2", "unix:///x", "x"] {
            assert_eq!(RedisHosts::parse(url), Ok(None), "{url}");
        }
    }

    #[test]
    fn incomplete_url_is_refused() {
        for url in
            ["redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a/?x", "redis+sentinel://a/m/x"]
        {
            assert!(RedisHosts::parse(url).is_err(), "{url}");
        }
        assert!(RedisHosts::parse("redis+cluster://a/1").is_err());
    }

    #[test]
    fn cluster_prefix_has_one_hash_tag() {
        for (prefix, want) in [
            ("appforge:", "{appforge}:"),
            ("shop:eu:", "{shop:eu}:"),
            ("{shop}:rl:", "{shop}:rl:"),
            ("x", "{x}"),
            (":", "{:}:"),
            ("{}:", "{{}}:"),
            ("}:", "{:}}:"),
        ] {
            assert_eq!(cluster_prefix(prefix), want);
            let tag = want.split_once('{').unwrap().1.split_once('}').unwrap().0;
            assert!(!tag.is_empty(), "{want}");
        }
    }
}
