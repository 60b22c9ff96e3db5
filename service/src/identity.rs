//! Who a request comes from, as the rate limiter counts it.
//!
//! The socket's peer, unless that is a trusted proxy: then the right-most entry of `X-Forwarded-For` that is none. Entries
//! are read one by one from the right, as bytes: what a client wrote to the left of a proxy's entry changes nothing. A
//! malformed header never panics and never gives a fresh identity.
//!
//! Where requests are counted by a header, it counts alone when the request came through a proxy that sets it; anyone else's counts
//! besides the address. A proxy is on the way when it is the peer, or an entry that only trusted proxies have seen.

mod keys;
mod proxies;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::contract::{PROBE_HEADER, RateLimitKey};
use crate::network::{Network, canonical, masked};
use crate::probe;
use keys::{FreshKeys, digest};

pub use proxies::networks;

/// Read once, not for each request.
const PROBE: HeaderName = HeaderName::from_static(PROBE_HEADER);
/// What proxies say of who asked them: a list, each entry added by the one behind it.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// No chain of proxies is longer, and a request may carry tens of thousands of entries.
const MOST_ENTRIES: usize = 64;

/// Whom the limiter counts. As text, which is its key in Redis: `203.0.113.9`, `2001:db8:1:2::/64`, `sim:NAME` or
/// `key:DIGEST`.
///
/// It is compared as it is, and written only for Redis: a client that is refused costs no text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// An address.
    V4(Ipv4Addr),
    /// A network of so many bits; the address has no others.
    V6(Ipv6Addr, u8),
    /// A simulated client.
    Simulated(Arc<str>),
    /// The value of a header, which may be a secret: half of its SHA-256.
    Key([u8; 16]),
}

impl Identity {
    /// The client of an address; IPv6 counts by its first `ipv6_prefix` bits, since one client has many addresses.
    pub fn of_address(address: IpAddr, ipv6_prefix: u8) -> Self {
        match canonical(address) {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(masked(address, ipv6_prefix), ipv6_prefix),
        }
    }

    /// The simulated client of this name.
    pub fn simulated(client: &str) -> Self {
        Self::Simulated(client.into())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => {
                // As the standard library writes it, without its formatting: this is done for each request that passes.
                for (place, octet) in address.octets().into_iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { "." })?;
                    f.write_str(itoa::Buffer::new().format(octet))?;
                }
                Ok(())
            }
            Self::V6(address, prefix) => write!(f, "{address}/{prefix}"),
            Self::Simulated(client) => write!(f, "sim:{client}"),
            Self::Key(digest) => write!(f, "key:{}", hex::encode(digest)),
        }
    }
}

/// Whom to believe.
#[derive(Clone, Default)]
pub struct Settings {
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Proxies that set or check the header which requests are counted by.
    pub key_proxies: Vec<Network>,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
    /// Signs simulated clients; without one there are none.
    pub probe_secret: Option<Vec<u8>>,
    /// What requests are counted by.
    pub key: RateLimitKey,
    /// The window of the limit, in which an address may bring only so many new keys.
    pub window: Duration,
}

/// Finds out who a request comes from.
pub struct Identities {
    settings: Settings,
    /// By [`Source`]: looked up once, for this is counted for each request.
    sources: [Counter; SOURCES.len()],
    rejected: Counter,
    fresh: FreshKeys,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the values of the label")]
enum Source {
    peer,
    xff,
    bad,
    short,
    probe,
    header,
}

const SOURCES: [Source; 6] =
    [Source::peer, Source::xff, Source::bad, Source::short, Source::probe, Source::header];

impl Identities {
    /// Begins to count.
    pub fn new(settings: Settings, registry: &mut Registry) -> Self {
        let (sources, rejected): (Family<SourceLabels, Counter>, _) = (Family::default(), Counter::default());
        let counters = SOURCES.map(|source| sources.get_or_create_owned(&SourceLabels { source }));
        registry.register("ratelimit_client_ip_source", "Where the client's identity came from", sources);
        registry.register(
            "ratelimit_probe_rejected",
            "Signed client headers that were not ours",
            rejected.clone(),
        );
        let fresh = FreshKeys::new(settings.window);
        Self { settings, sources: counters, rejected, fresh }
    }

    /// Whom a request with these headers over a connection from `peer` counts for, and whom besides.
    pub fn of(&self, peer: IpAddr, headers: &HeaderMap) -> (Identity, Option<Identity>) {
        let (identity, key, source) = match self.simulated(headers) {
            Some(identity) => (identity, None, Source::probe),
            None => self.real(peer, headers),
        };
        if let Some(counter) = self.sources.get(source as usize) {
            counter.inc();
        }
        (identity, key)
    }

    /// Whether what this peer says of others is trusted.
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    fn real(&self, peer: IpAddr, headers: &HeaderMap) -> (Identity, Option<Identity>, Source) {
        let key = match &self.settings.key {
            RateLimitKey::Address => None,
            RateLimitKey::Header(name) => digest(headers, name),
        };
        let Way { client, source, sets_key } = self.way(peer, headers);
        if let Some(key) = key
            && sets_key
        {
            return (Identity::Key(key), None, Source::header);
        }
        let address = Identity::of_address(client, self.settings.ipv6_prefix);
        let key = key.filter(|key| self.fresh.allow(&address, *key)).map(Identity::Key);
        (address, key, source)
    }

    fn simulated(&self, headers: &HeaderMap) -> Option<Identity> {
        let header = headers.get(&PROBE)?;
        let secret = self.settings.probe_secret.as_deref()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match header.to_str().map(|header| probe::verify(secret, header, now)) {
            Ok(Ok(client)) => Some(Identity::simulated(client)),
            _ => {
                self.rejected.inc();
                None
            }
        }
    }

    fn way(&self, peer: IpAddr, headers: &HeaderMap) -> Way {
        let trusted = |address: IpAddr| self.is_trusted(address);
        let sets_key =
            |address: IpAddr| self.settings.key_proxies.iter().any(|network| network.contains(address));
        let mut way = Way { client: peer, source: Source::peer, sets_key: sets_key(peer) };
        if !trusted(peer) {
            return way;
        }
        // Only trusted hops: the one furthest away stands for what is behind it.
        way.source = Source::short;
        // Several headers are one list (RFC 9110, 5.3); it is walked from the hop next to us.
        let headers = headers.get_all(&FORWARDED_FOR).iter().rev();
        let entries = headers.flat_map(|header| header.as_bytes().rsplit(|byte| *byte == b','));
        for entry in entries.map(<[u8]>::trim_ascii).take(MOST_ENTRIES) {
            // A list may have empty elements, which mean nothing (RFC 9110, 5.6.1).
            if entry.is_empty() {
                continue;
            }
            let Some(address) = entry_address(entry) else { return Way { source: Source::bad, ..way } };
            if !trusted(address) {
                return Way { client: address, source: Source::xff, ..way };
            }
            way.client = address;
            way.sets_key |= sets_key(address);
        }
        way
    }
}

/// How a request came.
struct Way {
    client: IpAddr,
    source: Source,
    /// Whether a proxy on the way sets the key.
    sets_key: bool,
}

/// An address, with or without a port.
fn entry_address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?;
    let bare =
        entry.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(entry, |(address, _)| address);
    bare.parse().ok().or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        of_bytes(trusted, peer, &forwarded.iter().map(|value| value.as_bytes()).collect::<Vec<_>>())
    }

    fn of_bytes(trusted: &[&str], peer: &str, forwarded: &[&[u8]]) -> String {
        let settings = Settings {
            trusted_proxies: trusted.iter().map(|network| network.parse().unwrap()).collect(),
            ipv6_prefix: 64,
            probe_secret: Some(b"secret".to_vec()),
            ..Settings::default()
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, http::HeaderValue::from_bytes(value).unwrap());
        }
        let identities = Identities::new(settings, &mut Registry::default());
        let (identity, key) = identities.of(peer.parse().unwrap(), &headers);
        assert_eq!(key, None);
        identity.to_string()
    }

    #[test]
    fn a_header_of_someone_who_is_not_trusted_changes_nothing() {
        assert_eq!(of(&[], "203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(of(&["10.0.0.0/8"], "203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_the_right_most_other_entry_counts() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(of(trusted, "10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(of(trusted, "10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.9.9.9"]), "1.2.3.4");
        assert_eq!(of(trusted, "10.0.0.1", &["[2001:db8:1:2:3::4]:80"]), "2001:db8:1:2::/64");
        assert_eq!(of(trusted, "10.0.0.1", &["1.2.3.4:1234"]), "1.2.3.4");
    }

    #[test]
    fn a_bad_header_gives_no_fresh_identity() {
        let trusted = &["10.0.0.0/8"];
        for bad in ["", "unknown", "999.1.1.1", "ä", "1.2.3.4, x", "1.2.3.4, [::1", "1.2.3.4, for=5.6.7.8"] {
            assert_eq!(of(trusted, "10.0.0.1", &[bad]), "10.0.0.1", "{bad}");
        }
        assert_eq!(of(trusted, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn client_keeps_its_identity_whatever_it_writes_before() {
        let trusted = &["10.0.0.0/8"];
        let mut long = b"6.6.6.6, ".repeat(12_000);
        long.truncate(100_000);
        let written: [&[u8]; 10] = [
            b"\xff",
            b"6.6.6.6\xe4",
            b"\x80, 6.6.6.6",
            b"caf\xc3\xa9",
            b",, ,",
            b"for=\"[2001:db8::1]\";proto=https",
            b"[",
            b"6.6.6.6:99999",
            b"\tfolded",
            &long,
        ];
        for before in written {
            // The proxy adds its entry to the line, or adds a line.
            let line = [before, b", 1.2.3.4"].concat();
            assert_eq!(of_bytes(trusted, "10.0.0.1", &[&line]), "1.2.3.4", "{:?}", before.get(..9));
            assert_eq!(of_bytes(trusted, "10.0.0.1", &[before, b"1.2.3.4:80"]), "1.2.3.4");
            let chain = [before, b", [2001:db8:1:2::9]:80,, 10.9.9.9"].concat();
            assert_eq!(of_bytes(trusted, "10.0.0.1", &[&chain, b""]), "2001:db8:1:2::/64");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn client_keeps_its_identity_whatever_lines_it_sends(
            lines in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..40),
                    "[0-9a-f:.,\\[\\] ]{0,40}".prop_map(String::into_bytes),
                    "(10\\.0\\.0\\.[0-9],? ?){0,8}".prop_map(String::into_bytes),
                ],
                0..4,
            ),
            port in prop::option::of(any::<u16>()),
        ) {
            let trusted = &["10.0.0.0/8"];
            let mut lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            // Alone: an address that is not a proxy's, or the proxy itself, and the same each time.
            let alone = of_bytes(trusted, "10.0.0.1", &lines);
            prop_assert_eq!(&alone, &of_bytes(trusted, "10.0.0.1", &lines));
            prop_assert_eq!(of_bytes(&[], "203.0.113.9", &lines), "203.0.113.9");
            // With the entry that the proxy adds, it is the client's, whatever came before.
            let entry = port.map_or("1.2.3.4".to_owned(), |port| format!("1.2.3.4:{port}"));
            lines.push(entry.as_bytes());
            prop_assert_eq!(of_bytes(trusted, "10.0.0.1", &lines), "1.2.3.4");
        }
    }

    #[test]
    fn endless_list_of_trusted_hops_is_cut_off() {
        let trusted = &["10.0.0.0/8"];
        let line = format!("6.6.6.6, {}10.0.0.2", "10.0.0.3, ".repeat(10_000));
        assert_eq!(of(trusted, "10.0.0.1", &[&line]), "10.0.0.3");
    }

    #[test]
    fn one_client_has_one_identity_in_every_notation() {
        assert_eq!(of(&[], "::ffff:203.0.113.9", &[]), "203.0.113.9");
        assert_eq!(of(&[], "2001:db8::1", &[]), of(&[], "2001:db8::ffff", &[]));
    }
}
