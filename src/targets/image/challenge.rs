//! How a registry asks who one is (RFC 9110, section 11): its `WWW-Authenticate` header, read.

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// What it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        /// The URL of the token service.
        realm: String,
        /// What it knows the registry by.
        service: String,
    },
}

/// The best of the challenges in a header.
pub(crate) fn read(headers: &HeaderMap) -> Option<Challenge> {
    let texts: Vec<&str> =
        headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let scheme = |text: &str, name: &str| {
        let (first, rest) = text.trim_start().split_once(' ').unwrap_or((text.trim(), ""));
        first.eq_ignore_ascii_case(name).then(|| rest.to_owned())
    };
    let bearer = texts.iter().find_map(|text| {
        let rest = scheme(text, "bearer")?;
        let service = parameter(&rest, "service").unwrap_or_default();
        Some(Challenge::Bearer { realm: parameter(&rest, "realm")?, service })
    });
    bearer.or_else(|| texts.iter().find_map(|text| scheme(text, "basic")).map(|_| Challenge::Basic))
}

/// A parameter of a challenge, such as `realm="https://auth.example/token"`.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim_matches([' ', ',']).eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned());
        }
        rest = next;
    }
    None
}

/// A text as part of a query or a form.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            // Writing to a text does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let of = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
            }
            read(&headers)
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b""#;
        let bearer = Challenge::Bearer {
            realm: "https://auth.docker.io/token".into(),
            service: "registry.docker.io".into(),
        };
        assert_eq!(of(&[hub]), Some(bearer));
        let bare = of(&["Basic realm=\"x\"", "bearer service=s, realm=https://r/t"]);
        assert_eq!(bare, Some(Challenge::Bearer { realm: "https://r/t".into(), service: "s".into() }));
        assert_eq!(of(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(of(&["basic"]), Some(Challenge::Basic));
        assert_eq!(of(&["Negotiate"]), None);
        assert_eq!(of(&["Bearer realm=\"unended"]), None);
        assert_eq!(of(&[]), None);
    }

    proptest! {
        /// Whatever a registry writes is a challenge or none; a realm in quotes is read as it was written.
        #[test]
        fn no_header_of_a_registry_makes_the_reader_panic(
            near in r#"[Bearb ="\\,a-]{0,40}"#,
            any in "[ -~]{0,60}",
            realm in r"[!#-\[\]-~]{1,40}",
        ) {
            let of = |text: &str| {
                let mut headers = HeaderMap::new();
                headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
                read(&headers)
            };
            for text in [near, any] {
                of(&text);
            }
            let read = of(&format!("Bearer service=\"s\", realm=\"{realm}\""));
            prop_assert_eq!(read, Some(Challenge::Bearer { realm, service: "s".into() }));
        }

        #[test]
        fn encoded_text_has_only_what_a_query_may_have(text in any::<String>()) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
            prop_assert!(encode(&text).chars().all(plain));
        }
    }

    #[test]
    fn scope_is_encoded() {
        assert_eq!(encode("repository:a/b:pull,push"), "repository%3Aa%2Fb%3Apull%2Cpush");
    }
}
