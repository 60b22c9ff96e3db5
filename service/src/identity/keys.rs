//! Keys that clients send: their digest, and how many new ones an address may bring.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::Identity;

/// New keys that an address may bring in a window: else it would fill the tables of replicas and Redis.
const MOST_KEYS: usize = 100;
/// Addresses that are followed, with about 2 KB each. From others no key counts, but the address does.
const MOST_ADDRESSES: usize = 4096;

/// The digest of a header, over all of its lines; none where it is absent or empty.
pub(super) fn digest(headers: &HeaderMap, name: &HeaderName) -> Option<[u8; 16]> {
    let mut lines =
        headers.get_all(name).iter().map(http::HeaderValue::as_bytes).filter(|line| !line.is_empty());
    let mut hash = Sha256::new_with_prefix(lines.next()?);
    for line in lines {
        hash.update(b"\n");
        hash.update(line);
    }
    let whole: [u8; 32] = hash.finalize().into();
    whole.first_chunk().copied()
}

/// Which keys each address has brought in its window.
pub(super) struct FreshKeys {
    window: Duration,
    addresses: Mutex<HashMap<Identity, Brought>>,
}

struct Brought {
    until: Instant,
    keys: HashSet<[u8; 16]>,
}

impl FreshKeys {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, addresses: Mutex::default() }
    }

    /// Whether a request from this address counts for this key, too.
    pub(super) fn allow(&self, address: &Identity, key: [u8; 16]) -> bool {
        let now = Instant::now();
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MOST_ADDRESSES && !addresses.contains_key(address) {
            addresses.retain(|_, brought| brought.until > now);
            if addresses.len() >= MOST_ADDRESSES {
                return false;
            }
        }
        let new = || Brought { until: now + self.window, keys: HashSet::new() };
        let brought = addresses.entry(address.clone()).or_insert_with(new);
        if brought.until <= now {
            *brought = new();
        }
        brought.keys.contains(&key) || (brought.keys.len() < MOST_KEYS && brought.keys.insert(key))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use prometheus_client::registry::Registry;

    use super::super::{Identities, Settings};
    use super::*;
    use crate::contract::RateLimitKey;

    const WINDOW: Duration = Duration::from_secs(900);

    fn identities() -> Identities {
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ipv6_prefix: 64,
            key: "header:x-api-key".parse::<RateLimitKey>().unwrap(),
            window: WINDOW,
            ..Settings::default()
        };
        Identities::new(settings, &mut Registry::default())
    }

    fn of(identities: &Identities, peer: &str, key: &[u8]) -> (String, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_bytes(key).unwrap());
        let (identity, key) = identities.of(peer.parse().unwrap(), &headers);
        (identity.to_string(), key.map(|key| key.to_string()))
    }

    #[test]
    fn key_counts_alone_when_a_trusted_proxy_sets_it() {
        let identities = identities();
        let (client, besides) = of(&identities, "10.0.0.1", b"hunter2");
        assert!(client.starts_with("key:") && client.len() == 36 && besides.is_none(), "{client}");
        assert_eq!(of(&identities, "10.9.9.9", b"hunter2").0, client, "one budget over all proxies");
        assert_eq!(of(&identities, "10.0.0.1", b""), ("10.0.0.1".into(), None));
    }

    #[test]
    fn key_counts_besides_the_address_when_anyone_sets_it() {
        let identities = identities();
        let trusted = of(&identities, "10.0.0.1", b"hunter2").0;
        assert_eq!(of(&identities, "203.0.113.9", b"hunter2"), ("203.0.113.9".into(), Some(trusted)));
        assert_eq!(of(&identities, "203.0.113.9", b""), ("203.0.113.9".into(), None));
    }

    #[test]
    fn a_million_keys_of_an_address_give_it_no_fresh_identity() {
        let identities = identities();
        let mut counted = HashSet::new();
        for number in 0..1_000_000_u32 {
            let mut headers = HeaderMap::new();
            headers.insert("x-api-key", HeaderValue::from(number));
            let (identity, key) = identities.of("203.0.113.9".parse().unwrap(), &headers);
            assert!(matches!(identity, Identity::V4(_)));
            counted.extend(key);
        }
        assert_eq!(counted.len(), MOST_KEYS);
        assert!(of(&identities, "203.0.113.9", b"0").1.is_some(), "one of the first");
        assert!(of(&identities, "203.0.113.10", b"999999").1.is_some(), "another address");
    }

    #[test]
    fn addresses_beyond_the_bound_bring_no_keys() {
        let fresh = FreshKeys::new(WINDOW);
        let address = |number: usize| Identity::V4(u32::try_from(number).unwrap().into());
        for number in 0..MOST_ADDRESSES {
            assert!(fresh.allow(&address(number), [0; 16]));
        }
        assert!(!fresh.allow(&address(MOST_ADDRESSES), [0; 16]));
        assert!(fresh.allow(&address(0), [1; 16]));
    }
}
