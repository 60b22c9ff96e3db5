//! Keys that clients send: their digest, and how many new ones an address may bring.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::Identity;

/// New keys that an address may bring in a window: else it would fill the tables of replicas and Redis.
const MOST_KEYS: usize = 100;
/// Addresses that are followed, with about 2 KB each. One more takes the place of the one whose window ends first.
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
    followed: Mutex<Followed>,
}

#[derive(Default)]
struct Followed {
    addresses: HashMap<Identity, HashSet<[u8; 16]>>,
    /// Each address once, with the end of its window; the first one ends first, since all windows are as long.
    ends: VecDeque<(Instant, Identity)>,
}

impl FreshKeys {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, followed: Mutex::default() }
    }

    /// Whether a request from this address counts for this key, too.
    pub(super) fn allow(&self, address: &Identity, key: [u8; 16]) -> bool {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        followed.forget(now);
        if !followed.addresses.contains_key(address) {
            followed.ends.push_back((now + self.window, address.clone()));
        }
        let keys = followed.addresses.entry(address.clone()).or_default();
        keys.contains(&key) || (keys.len() < MOST_KEYS && keys.insert(key))
    }
}

impl Followed {
    /// Makes room for one more: without those whose window has ended, and without the next one to end if there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some((until, address)) = self.ends.front()
            && (*until <= now || self.ends.len() > MOST_ADDRESSES)
        {
            self.addresses.remove(address);
            self.ends.pop_front();
        }
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
            key_proxies: vec!["10.9.0.0/16".parse().unwrap()],
            key: "header:x-api-key".parse::<RateLimitKey>().unwrap(),
            window: WINDOW,
            ..Settings::default()
        };
        Identities::new(settings, &mut Registry::default())
    }

    fn of(identities: &Identities, peer: &str, key: &[u8]) -> (String, Option<String>) {
        through(identities, peer, "", key)
    }

    fn through(identities: &Identities, peer: &str, way: &str, key: &[u8]) -> (String, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_bytes(key).unwrap());
        headers.insert("x-forwarded-for", HeaderValue::from_str(way).unwrap());
        let (identity, key) = identities.of(peer.parse().unwrap(), &headers);
        (identity.to_string(), key.map(|key| key.to_string()))
    }

    #[test]
    fn key_counts_alone_when_a_proxy_sets_it() {
        let identities = identities();
        let (client, besides) = of(&identities, "10.9.0.1", b"hunter2");
        assert!(client.starts_with("key:") && client.len() == 36 && besides.is_none(), "{client}");
        assert_eq!(of(&identities, "10.9.9.9", b"hunter2").0, client, "one budget over all proxies");
        assert_eq!(of(&identities, "10.9.0.1", b""), ("10.9.0.1".into(), None));
        let way = |way: &str| through(&identities, "10.0.0.1", way, b"hunter2");
        let alone = (client.clone(), None);
        assert_eq!(way("203.0.113.9, 10.9.0.1"), alone, "a gateway between it and us");
        assert_eq!(way("203.0.113.9, 10.0.0.7, 10.9.0.1, 10.0.0.2"), alone);
    }

    #[test]
    fn key_counts_besides_the_address_when_a_proxy_only_relays() {
        let identities = identities();
        let client = of(&identities, "10.9.0.1", b"hunter2").0;
        let besides = |address: &str| (address.to_owned(), Some(client.clone()));
        assert_eq!(of(&identities, "10.0.0.1", b"hunter2"), besides("10.0.0.1"));
        let way = |way: &str| through(&identities, "10.0.0.1", way, b"hunter2");
        assert_eq!(way("203.0.113.9"), besides("203.0.113.9"));
        assert_eq!(way("10.9.0.1, 203.0.113.9"), besides("203.0.113.9"), "an entry that a client writes");
        assert_eq!(way("10.9.0.1, x"), besides("10.0.0.1"));
    }

    #[test]
    fn key_counts_besides_the_address_when_anyone_sets_it() {
        let identities = identities();
        let alone = of(&identities, "10.9.0.1", b"hunter2").0;
        assert_eq!(of(&identities, "203.0.113.9", b"hunter2"), ("203.0.113.9".into(), Some(alone)));
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
    fn many_addresses_do_not_switch_keys_off() {
        let fresh = FreshKeys::new(WINDOW);
        let address = |number: usize| Identity::V4(u32::try_from(number).unwrap().into());
        for number in 0..3 * MOST_ADDRESSES {
            assert!(fresh.allow(&address(number), [0; 16]), "{number}");
        }
        let followed = fresh.followed.lock().unwrap();
        assert!(followed.addresses.len() <= MOST_ADDRESSES + 1, "{}", followed.addresses.len());
        assert_eq!(followed.addresses.len(), followed.ends.len());
    }

    #[test]
    fn window_of_an_address_ends() {
        let fresh = FreshKeys::new(Duration::ZERO);
        let address = Identity::V4([203, 0, 113, 9].into());
        assert!((0..=255).all(|key| fresh.allow(&address, [key; 16])));
        assert_eq!(fresh.followed.lock().unwrap().ends.len(), 1);
    }
}
