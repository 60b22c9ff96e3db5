//! Which proxy a request takes, by the rules of Go's programs, so of kubectl and docker: `HTTP_PROXY`, `HTTPS_PROXY` and
//! `NO_PROXY`, each also in lower case, and never a proxy to this machine itself. Opens no connection: see `connector`.
//!
//! Only the clients of registries and API servers ask here. Connections to the Docker engine, to replicas, to their admin ports
//! and to stores are always direct.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};

use crate::error::{ExitStatus, Failure};
use crate::stack::values::Secret;

/// Where the variables come from; the environment, but for tests.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Its address without credentials: `http`, `https`, `socks5` or `socks5h`.
    pub(crate) uri: Uri,
    /// The user and the password, when it asks for them.
    pub(crate) login: Option<(String, Secret)>,
    /// What names it.
    source: Source,
}

/// What names a proxy.
#[derive(Clone, Debug)]
enum Source {
    /// An environment variable.
    Variable(String),
    /// `proxy-url` of a kubeconfig.
    Kubeconfig,
}

/// Which servers are reached through which proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Named>,
    https: Option<Named>,
    exempt: Vec<Exemption>,
    /// Takes precedence over all rules.
    always: Option<Named>,
}

/// A proxy as it was written. It is parsed only when a request needs it, so that a wrong one does not affect loopback.
#[derive(Clone, Debug)]
struct Named {
    source: Source,
    text: Secret,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exemption {
    Everything,
    Network {
        address: IpAddr,
        prefix: u8,
    },
    /// A domain and what is below it; `port` and `itself` (without it, only what is below) narrow it.
    Host {
        name: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// The proxies of the environment.
    pub(crate) fn from_environment() -> Self {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// The `proxy-url` of a kubeconfig, which applies to every address.
    pub(crate) fn of_kubeconfig(text: &str) -> Self {
        let named = Named { source: Source::Kubeconfig, text: Secret::new(text) };
        Self { always: Some(named), ..Self::default() }
    }

    fn read(lookup: Lookup<'_>) -> Self {
        let set = |name: &str| {
            let names = [name.to_owned(), name.to_lowercase()];
            names.into_iter().find_map(|name| {
                let value = lookup(&name).map(|value| value.trim().to_owned());
                value.filter(|value| !value.is_empty()).map(|value| (name, value))
            })
        };
        let proxy = |name: &str| {
            let (name, value) = set(name)?;
            Some(Named { source: Source::Variable(name), text: Secret::new(value) })
        };
        let exempt = set("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
        Self {
            http: proxy("HTTP_PROXY"),
            https: proxy("HTTPS_PROXY"),
            exempt: exempt.split(',').filter_map(Exemption::parse).collect(),
            always: None,
        }
    }

    /// The proxy for a server; `None` when the connection is direct.
    ///
    /// # Errors
    /// Exit 3 when what is set is not the URL of a proxy; the value, which may hold a password, is not shown.
    pub(crate) fn to(&self, server: &Uri) -> Result<Option<Proxy>, Failure> {
        match self.named(server) {
            Some(Named { source, text }) => Proxy::parse(text.reveal(), source.clone()).map(Some),
            None => Ok(None),
        }
    }

    fn named(&self, server: &Uri) -> Option<&Named> {
        if self.always.is_some() {
            return self.always.as_ref();
        }
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
        let (proxy, usual) = match server.scheme_str() {
            Some("https") => (self.https.as_ref()?, 443),
            _ => (self.http.as_ref()?, 80),
        };
        let port = server.port_u16().unwrap_or(usual);
        let address: Option<IpAddr> = host.parse().ok();
        let here = host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback());
        let exempt = here || self.exempt.iter().any(|exemption| exemption.covers(&host, address, port));
        (!exempt).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str, source: Source) -> Result<Self, Failure> {
        let refused = || {
            Failure::new(ExitStatus::Config, format!("{source} is not a valid proxy URL"))
                .hint("write `http://HOST:PORT`, `https://HOST:PORT` or `socks5://HOST:PORT`")
        };
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let scheme = uri.scheme_str().unwrap_or_default().to_owned();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            "socks5" | "socks5h" => 1080,
            _ => return Err(refused()),
        };
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, _)) => (Some(login), uri.host().unwrap_or_default()),
            None => (None, uri.host().unwrap_or_default()),
        };
        if host.is_empty() {
            return Err(refused());
        }
        let port = uri.port_u16().unwrap_or(usual);
        Ok(Self {
            uri: format!("{scheme}://{host}:{port}/").parse().map_err(|_| refused())?,
            login: login.map(|login| {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                (decoded(user), Secret::new(decoded(password)))
            }),
            source,
        })
    }

    /// The value of `Proxy-Authorization`, when it asks for a login.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.login.as_ref()?;
        let pair = STANDARD.encode(format!("{user}:{}", password.reveal()));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The hint for a request to `server` that failed.
    pub(crate) fn hint(&self, server: &Uri) -> String {
        let bypass = match self.source {
            Source::Variable(_) => format!("; NO_PROXY={} bypasses it", server.host().unwrap_or_default()),
            Source::Kubeconfig => String::new(),
        };
        format!("check {self}, which {} sets{bypass}", self.source)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "`{name}`"),
            Self::Kubeconfig => f.write_str("`proxy-url` of the kubeconfig"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}", self.uri.to_string().trim_end_matches('/'))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("uri", &self.uri).field("source", &self.source).finish_non_exhaustive()
    }
}

impl Exemption {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, prefix)) = entry.split_once('/')
            && let (Ok(address), Ok(prefix)) = (address.parse(), prefix.parse())
        {
            return Some(Self::Network { address, prefix });
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Network { address, prefix: if address.is_ipv4() { 32 } else { 128 } });
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        let name = name.trim_matches(['[', ']']);
        let below = name.strip_prefix('*').unwrap_or(name).strip_prefix('.');
        Some(Self::Host { name: below.unwrap_or(name).to_owned(), itself: below.is_none(), port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Network { address: network, prefix } => {
                address.is_some_and(|address| within(address, *network, *prefix))
            }
            Self::Host { name, itself, port: only } => {
                let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (*itself && host == name || below) && only.is_none_or(|only| only == port)
            }
        }
    }
}

/// Whether an address is in a network of the same family.
fn within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((address, width), (network, other)) = (bits(address.to_canonical()), bits(network.to_canonical()));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(width))).unwrap_or(0);
    width == other && prefix <= width && address & mask == network & mask
}

/// A text with its `%XX` read; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { more.get(2..).unwrap_or_default() } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[track_caller]
    fn to(variables: &[(&str, &str)], server: &str) -> String {
        let proxy = proxies(variables).to(&server.parse().unwrap()).unwrap();
        proxy.map_or("direct".to_owned(), |proxy| proxy.uri.to_string())
    }

    #[test]
    fn proxy_is_chosen_by_scheme_and_upper_case_first() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("https_proxy", "http://lower:2"), ("http_proxy", "p:3")];
        assert_eq!(to(&both, "https://r.example"), "http://s:1/");
        assert_eq!(to(&both, "http://r.example"), "http://p:3/");
        assert_eq!(
            to(&[("HTTPS_PROXY", ""), ("https_proxy", "socks5://l")], "https://r"),
            "socks5://l:1080/"
        );
        assert_eq!(to(&[("HTTP_PROXY", "p")], "https://r.example"), "direct");
        assert_eq!(to(&[("ALL_PROXY", "p")], "https://r.example"), "direct", "Go does not know it");
    }

    #[test]
    fn loopback_is_direct_unless_a_kubeconfig_has_a_proxy() {
        let all = [("HTTPS_PROXY", "p"), ("HTTP_PROXY", "p")];
        for here in
            ["https://127.0.0.1:6443", "http://127.9.9.9", "https://[::1]:6443", "https://LOCALHOST:1"]
        {
            assert_eq!(to(&all, here), "direct", "{here}");
        }
        let always = Proxies::of_kubeconfig("http://p:1");
        assert!(always.to(&"https://127.0.0.1:6443".parse().unwrap()).unwrap().is_some());
        assert_eq!(to(&[("HTTPS_PROXY", "no proxy")], "https://localhost"), "direct", "nor parsed");
    }

    #[test]
    fn no_proxy_takes_hosts_suffixes_networks_ports_and_star() {
        for (entries, direct, through) in [
            ("example.com", "https://a.example.com https://EXAMPLE.com", "https://notexample.com"),
            (".example.com", "https://a.example.com", "https://example.com"),
            ("*.example.com,", "https://a.b.example.com", "https://example.com"),
            (
                "10.0.0.0/8, 192.168.1.1",
                "https://10.9.9.9 https://192.168.1.1:6443",
                "https://11.0.0.1 https://192.168.1.2",
            ),
            ("fd00::/8", "https://[fd00::1]:6443", "https://[fe80::1] https://10.0.0.1"),
            ("a.example:6443", "https://a.example:6443", "https://a.example https://a.example:443"),
            ("a.example:443", "https://a.example", "https://a.example:6443"),
            ("*", "https://a https://10.0.0.1", ""),
            (" , ,x:y:z,a b", "", "https://a.example"),
            ("0.0.0.0/0", "https://8.8.8.8", "https://[::2] https://a.example"),
        ] {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", entries)];
            for server in direct.split_whitespace() {
                assert_eq!(to(&variables, server), "direct", "{entries}: {server}");
            }
            for server in through.split_whitespace() {
                assert_eq!(to(&variables, server), "http://p:1/", "{entries}: {server}");
            }
        }
    }

    #[test]
    fn proxy_keeps_its_password_to_itself() {
        let proxy = Proxy::parse("http://me:p%40ss%zz@p.example:3128/x", Source::Kubeconfig).unwrap();
        assert_eq!(proxy.uri, "http://p.example:3128/");
        let (user, password) = proxy.login.as_ref().unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("me", "p@ss%zz"));
        let shown = format!("{proxy:?} {proxy} {}", proxy.hint(&"https://r".parse().unwrap()));
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
        for wrong in ["ftp://p:1", "http://me:hunter2@", "me:hunter2@p x", "http://", "://hunter2"] {
            let error = proxies(&[("HTTPS_PROXY", wrong)]).to(&"https://r".parse().unwrap()).unwrap_err();
            let text = format!("{error:?} {error}");
            assert!(text.contains("`HTTPS_PROXY` is not a valid proxy URL"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
