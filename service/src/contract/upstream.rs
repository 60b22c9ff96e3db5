//! Where an app listens, as a URL or as `HOST:PORT`. Resolves nothing.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::Deserialize;

/// The port of a URL that names none.
const HTTP: u16 = 80;
/// What [`Endpoint`] takes.
const ENDPOINT: &str = "expected a host and a port, such as `127.0.0.1:3000`";
/// What [`UpstreamUrl`] takes.
const URL: &str = "expected `http://HOST:PORT`, without a path";

/// A host, by name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// A TCP port.
    pub port: u16,
}

/// The URL of an app: [`Endpoint`] behind `http://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl(pub Endpoint);

impl Endpoint {
    fn parse(text: &str, port: Option<u16>) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, rest)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = if rest.is_empty() { port? } else { self::port(rest.strip_prefix(':')?)? };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        (!host.is_empty() && host.bytes().all(named)).then(|| Self { host: host.to_owned(), port })
    }
}

/// Between 1 and 65535, without a sign.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, None).ok_or_else(|| ENDPOINT.into())
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for UpstreamUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        rest.and_then(|rest| Endpoint::parse(rest, Some(HTTP))).map(Self).ok_or_else(|| URL.into())
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_an_app_has_a_host_and_no_path() {
        for (url, shown) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://app/", "http://app:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://my-app.internal:1", "http://my-app.internal:1"),
        ] {
            assert_eq!(url.parse::<UpstreamUrl>().map(|url| url.to_string()), Ok(shown.to_owned()));
        }
        for wrong in [
            "",
            "https://a:1",
            "http://",
            "http://a:1/x",
            "http://a:b",
            "http://a:0",
            "http://a:+80",
            "http://a:65536",
            "http://a:",
            "http://a@b:1",
            "http://[x]:1",
            "a:1",
        ] {
            assert!(wrong.parse::<UpstreamUrl>().is_err(), "{wrong}");
        }
        for wrong in ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:+80", "[::1]:-1"] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
