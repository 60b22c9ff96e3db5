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
        if is_reference(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected `bundled` or an image such as `mongo:8.0`, in lower case except for its tag".into())
        }
    }
}

/// `[REGISTRY/]PATH[:TAG][@DIGEST]`, as registries and engines take it
/// (<https://pkg.go.dev/github.com/distribution/reference>).
fn is_reference(text: &str) -> bool {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let is_registry =
        |part: &str| part.contains(['.', ':']) || part == "localhost" || part.contains(char::is_uppercase);
    let path = match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => is_host(registry).then_some(path),
        _ => Some(name),
    };
    text.len() <= 255
        && path.is_some_and(|path| path.split('/').all(is_component))
        && tag.is_none_or(|tag| (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && is_tag(tag))
        && digest.is_none_or(|digest| {
            digest.split_once(':').is_some_and(|(algorithm, hex)| {
                !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
            })
        })
}

fn is_tag(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn is_host(text: &str) -> bool {
    let (name, port) = text.rsplit_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_component(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || "._-".contains(c))
        && !["..", "._", "_.", "___", "-.", ".-", "-_", "_-"].iter().any(|pair| text.contains(pair))
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
    fn images_are_what_a_registry_takes() {
        for good in [
            "bundled",
            "mongo:8.0",
            "1.10",
            "localhost:5000/shop/app:V1",
            "Registry.example.com/shop__api:RC_1",
            "redis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "ghcr.io/a/b-c:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(good.parse::<ImageRef>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "Mongo:8.0",
            "shop/App",
            "ghcr.io/Shop/app:1",
            "a//b",
            "a:",
            ":1",
            "a:b:c",
            "a@sha256:12",
            "-a",
            "a..b",
            "h:0/a",
            "a/",
            "/a",
            "a b",
        ] {
            bad.parse::<ImageRef>().expect_err(bad);
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
