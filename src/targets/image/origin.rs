//! Compares servers: whether one may receive the credentials of another, and whether a connection is weaker. Pure.

use std::net::IpAddr;

use anyhow::{Context, Result};
use http::Uri;

/// Whether two URIs lead to one server by one scheme.
pub(crate) fn is_same(one: &Uri, other: &Uri) -> bool {
    let server = |uri: &Uri| {
        let scheme = uri.scheme_str().unwrap_or_default().to_lowercase();
        let usual = if scheme == "https" { 443 } else { 80 };
        let host = uri.host().unwrap_or_default().to_lowercase();
        (scheme, host, uri.port_u16().unwrap_or(usual))
    };
    server(one) == server(other)
}

/// Whether a connection to `to` is weaker than one to `from`: it lacks TLS, or leaves this machine in plain text.
pub(crate) fn is_weaker(from: &Uri, to: &Uri) -> bool {
    let secured = |uri: &Uri| uri.scheme_str() == Some("https");
    match (secured(from), secured(to)) {
        (_, true) => false,
        (true, false) => true,
        (false, false) => is_loopback(from) && !is_loopback(to),
    }
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a reference in the answer of `base` means (RFC 3986, section 5; no dots are taken out of paths).
///
/// # Errors
/// When it is not an HTTP URL. The error does not repeat it, since it may hold a token.
pub(crate) fn resolve(base: &Uri, reference: &str) -> Result<Uri> {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let text = match reference {
        whole if whole.contains("://") => whole.to_owned(),
        host if host.starts_with("//") => format!("{scheme}:{host}"),
        path if path.starts_with('/') => format!("{scheme}://{authority}{path}"),
        query if query.starts_with('?') => format!("{scheme}://{authority}{}{query}", base.path()),
        name => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{name}")
        }
    };
    let uri: Option<Uri> = text.parse().ok();
    let known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    uri.filter(known).context("the server sends a `Location` that is not a valid HTTP URL")
}

/// Scheme, host and port: the parts of a URL that hold no secret.
pub(crate) fn shown(uri: &Uri) -> String {
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn server_is_the_same_by_scheme_host_and_port() {
        let registry = uri("https://r.example/v2/");
        for same in ["https://R.example:443/x?y", "HTTPS://r.example"] {
            assert!(is_same(&registry, &uri(same)), "{same}");
        }
        for other in [
            "http://r.example/v2/",
            "https://r.example:8443",
            "https://r.example.evil",
            "http://r.example:443",
        ] {
            assert!(!is_same(&registry, &uri(other)), "{other}");
        }
    }

    #[test]
    fn way_is_weaker_without_tls_or_off_this_machine() {
        for (from, to, weaker) in [
            ("https://r", "http://r", true),
            ("https://r", "http://127.0.0.1:5000", true),
            ("https://r", "https://other", false),
            ("http://127.0.0.1:5000", "http://r", true),
            ("http://localhost:5000", "http://[::1]:5001", false),
            ("http://127.0.0.1:5000", "https://r", false),
            ("http://r", "http://other", false),
        ] {
            assert_eq!(is_weaker(&uri(from), &uri(to)), weaker, "{from} {to}");
        }
    }

    #[test]
    fn references_are_resolved_against_the_place_that_names_them() {
        let base = uri("https://r.example:5000/v2/a/blobs/uploads/?x=1");
        for (reference, whole) in [
            ("/v2/up?s=1", "https://r.example:5000/v2/up?s=1"),
            ("id-1?s=1", "https://r.example:5000/v2/a/blobs/uploads/id-1?s=1"),
            ("?s=1", "https://r.example:5000/v2/a/blobs/uploads/?s=1"),
            ("//cdn.example/up", "https://cdn.example/up"),
            ("http://r.example/up", "http://r.example/up"),
        ] {
            assert_eq!(resolve(&base, reference).unwrap(), uri(whole));
        }
        for wrong in ["ftp://r/secret", "https://", "https://a b/secret"] {
            let error = resolve(&base, wrong).unwrap_err();
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
        assert_eq!(shown(&uri("https://me:secret@r.example:1/a?secret")), "https://r.example:1");
    }
}
