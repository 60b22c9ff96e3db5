//! Names: of a stack, its identity, images. Pure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use crate::stack::values::scalar;

/// A DNS label (RFC 1123): prefixes containers, volumes and the namespace.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Name(#[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"))] String);

impl Name {
    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        // 40 leaves room for the suffixes that targets add within the 63 characters of a label.
        let fits = (1..=40).contains(&text.len()) && text.chars().all(inner);
        if fits && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected a name of 1 to 40 lower-case letters, digits and inner `-`".into())
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells a stack from others of its name: 8 to 40 lower-case letters and digits, made up at random.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct StackId(#[schemars(regex(pattern = r"^[a-z0-9]{8,40}$"))] String);

impl StackId {
    /// The identity of these random bytes: a letter first, so that no reader of YAML takes it for a number.
    pub fn of_bytes(bytes: [u8; 12]) -> Self {
        const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let digit = |(place, byte): (usize, u8)| {
            let count = if place == 0 { 26 } else { DIGITS.len() };
            DIGITS.get(usize::from(byte) % count).copied().map_or('a', char::from)
        };
        Self(bytes.into_iter().enumerate().map(digit).collect())
    }

    /// The identity.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StackId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if (8..=40).contains(&text.len()) && text.chars().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected an id of 8 to 40 lower-case letters and digits, as `appforge init` makes".into())
        }
    }
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `bundled` (the service inside this binary) or an image reference.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct ImageRef(String);

impl ImageRef {
    /// Whether the service inside this binary is meant.
    pub fn is_bundled(&self) -> bool {
        self.0 == "bundled"
    }
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || "./:@_-".contains(c);
        if !text.is_empty()
            && text.len() <= 255
            && text.chars().all(known)
            && !text.starts_with(['-', '/', ':'])
        {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected `bundled` or an image such as `mongo:8.0`".into())
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

scalar!(Name, StackId, ImageRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        assert_eq!("appforge".parse::<Name>().unwrap().to_string(), "appforge");
        for bad in ["", "-a", "a-", "App", "a_b", "a.b", &"x".repeat(41)] {
            bad.parse::<Name>().expect_err(bad);
        }
    }

    #[test]
    fn ids_are_plain_and_start_with_a_letter() {
        for bytes in [[0; 12], [255; 12], [31; 12]] {
            let id = StackId::of_bytes(bytes);
            assert!(id.as_str().starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
        for bad in ["", "short", "UPPERCASE", "with-dash", &"x".repeat(41)] {
            bad.parse::<StackId>().expect_err(bad);
        }
    }
}
