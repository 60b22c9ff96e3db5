//! What requests are counted by.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

/// What a request is counted by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RateLimitKey {
    /// The client's address.
    #[default]
    Address,
    /// The value of this header, which a trusted proxy sets; the address where it is absent.
    Header(HeaderName),
}

impl fmt::Display for RateLimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("address"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

impl FromStr for RateLimitKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let header = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok().map(Self::Header);
        match text.strip_prefix("header:") {
            Some(name) => header(name),
            None => (text == "address").then_some(Self::Address),
        }
        .ok_or_else(|| "expected `address` or `header:NAME`".into())
    }
}
