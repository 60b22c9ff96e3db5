//! Simulated clients: a signed header lends a request the identity of a client of that name.
//!
//! `verify` and `load` act as one or ten thousand clients with it, on every target, while nothing changes for anyone else.
//! The value is `v1;client=NAME;exp=SECONDS;sig=HEX`: HMAC-SHA-256 over everything before `;sig=`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A signature is refused when it ends later than this, in seconds, so that a leaked one does not live on.
pub const LONGEST_LIFE: u64 = 3600;
/// Longest name of a client.
const LONGEST_CLIENT: usize = 64;

/// Why a header was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is not of the form above.
    Malformed,
    /// Its time is over, or too far away.
    Expired,
    /// It was not signed with our secret.
    Forged,
}

/// The header of `client`, valid until `expires` (seconds since 1970).
pub fn sign(secret: &[u8], client: &str, expires: u64) -> String {
    let mut value = format!("v1;client={client};exp={expires}");
    let signature = mac(secret, value.as_bytes()).finalize().into_bytes();
    value.push_str(";sig=");
    value.push_str(&hex::encode(signature));
    value
}

/// The client of a header, at `now` (seconds since 1970).
///
/// # Errors
/// When the header is not ours.
pub fn verify<'a>(secret: &[u8], header: &'a str, now: u64) -> Result<&'a str, Rejected> {
    let (signed, signature) = header.rsplit_once(";sig=").ok_or(Rejected::Malformed)?;
    let rest = signed.strip_prefix("v1;client=").ok_or(Rejected::Malformed)?;
    let (client, expires) = rest.split_once(";exp=").ok_or(Rejected::Malformed)?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if client.is_empty() || client.len() > LONGEST_CLIENT || !client.chars().all(named) {
        return Err(Rejected::Malformed);
    }
    let expires: u64 = expires.parse().map_err(|_| Rejected::Malformed)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| Rejected::Malformed)?;
    // Compares in constant time.
    mac(secret, signed.as_bytes()).verify_slice(&bytes).map_err(|_| Rejected::Forged)?;
    if expires <= now || expires > now.saturating_add(LONGEST_LIFE) {
        return Err(Rejected::Expired);
    }
    Ok(client)
}

fn mac(secret: &[u8], message: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104), so the error cannot occur; an empty key would then fail every check.
    let mac = Hmac::<Sha256>::new_from_slice(secret);
    let mut mac = mac.unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_untouched_header_of_our_own_within_its_time_is_accepted() {
        let header = sign(b"secret", "client-1", 1000);
        assert_eq!(verify(b"secret", &header, 999), Ok("client-1"));
        assert_eq!(verify(b"secret", &header, 1000), Err(Rejected::Expired));
        assert_eq!(verify(b"other", &header, 999), Err(Rejected::Forged));
        assert_eq!(verify(b"secret", &header.replace("client-1", "client-2"), 999), Err(Rejected::Forged));
        assert_eq!(verify(b"secret", &sign(b"secret", "x", 10_000), 1), Err(Rejected::Expired));
        let shouted = header
            .to_ascii_uppercase()
            .replace("V1;CLIENT=CLIENT-1;EXP=1000;SIG=", "v1;client=client-1;exp=1000;sig=");
        assert_eq!(verify(b"secret", &shouted, 999), Ok("client-1"), "the case of the digits means nothing");
        let signed = format!("v1;client=a;exp=1;sig={}", "+f".repeat(32));
        assert_eq!(verify(b"secret", &signed, 0), Err(Rejected::Malformed), "a sign is not a digit");
        for wrong in [
            "",
            "v1",
            ";sig=",
            "v1;client=a;exp=1;sig=zz",
            "v1;client=;exp=1;sig=",
            "v1;client=ä;exp=9;sig=00",
        ] {
            assert_eq!(verify(b"secret", wrong, 0), Err(Rejected::Malformed), "{wrong}");
        }
    }
}
