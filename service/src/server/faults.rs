//! What is wrong with the head of a request beyond what the parser refuses. Pure.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode, Version};

/// Why a request is refused: the status and what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) StatusCode, pub(super) &'static str);

/// What is wrong with the head of a request.
pub(super) fn fault<B>(request: &Request<B>) -> Option<Fault> {
    host_fault(request)
        .map(|fault| Fault(StatusCode::BAD_REQUEST, fault))
        .or_else(|| coding_fault(request.headers()))
}

/// What is wrong with the `Host` of a request (RFC 9112, 3.2): HTTP/1.1 has exactly one, which HTTP/1.0 may lack. Servers that
/// disagree over the host of a request are how caches are poisoned.
fn host_fault<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() <= Version::HTTP_10 => None,
        (None, _) => Some("the request has no Host header"),
        (Some(_), Some(_)) => Some("the request has more than one Host header"),
        (Some(host), None) => (!is_host(host.as_bytes())).then_some("the Host header is malformed"),
    }
}

/// Whether this is a host and, behind `:`, a port (RFC 3986, 3.2.2). Both may be empty; a port is between 1 and 65535, without a
/// sign.
pub(crate) fn is_host(host: &[u8]) -> bool {
    let (name, rest) = match host.strip_prefix(b"[") {
        Some(inner) => {
            let Some(end) = inner.iter().position(|byte| *byte == b']') else { return false };
            let (address, rest) = inner.split_at(end);
            if address.is_empty() || address.contains(&b'[') {
                return false;
            }
            (address, rest.get(1..).unwrap_or_default())
        }
        None => {
            let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
            host.split_at(end)
        }
    };
    let bracketed = host.first() == Some(&b'[');
    let named = |byte: &u8| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte) || (bracketed && *byte == b':')
    };
    name.iter().all(named) && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port))
}

/// Digits of a port, or none.
fn is_port(digits: &[u8]) -> bool {
    digits.is_empty()
        || (digits.iter().all(u8::is_ascii_digit)
            && std::str::from_utf8(digits).is_ok_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)))
}

/// What is wrong with the transfer coding of a request (RFC 9112, 6.1): the parser decodes `chunked` and ignores the others, so
/// the body would be taken for what it is not.
fn coding_fault(headers: &HeaderMap) -> Option<Fault> {
    if has_plain_coding(headers) {
        return None;
    }
    let chunked = codings(headers).filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    Some(if chunked > 1 {
        Fault(StatusCode::BAD_REQUEST, "the body is chunked more than once")
    } else {
        Fault(StatusCode::NOT_IMPLEMENTED, "the only supported transfer coding is `chunked`")
    })
}

/// Whether a message has no transfer coding, or `chunked` alone.
pub(crate) fn has_plain_coding(headers: &HeaderMap) -> bool {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return true;
    }
    let mut codings = codings(headers);
    codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

fn codings(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn request_is_refused_when_its_host_is_missing_or_doubled() {
        let fault = |version, hosts: &[&'static str]| {
            let mut request = Request::new(());
            *request.version_mut() = version;
            for host in hosts {
                request.headers_mut().append(HOST, HeaderValue::from_static(host));
            }
            fault(&request).is_some()
        };
        for good in ["", "x", "a.example:80", "a:", "[::1]:5000", "[::1]", "1.2.3.4", "1.2.3.4:65535"] {
            assert!(!fault(Version::HTTP_11, &[good]), "{good}");
        }
        for bad in ["a b", "a, b", "a/b", "user@a", "a#b", "\t"] {
            assert!(fault(Version::HTTP_11, &[bad]), "{bad}");
        }
        assert!(fault(Version::HTTP_11, &[]));
        assert!(fault(Version::HTTP_11, &["a", "a"]));
        assert!(fault(Version::HTTP_10, &["a", "b"]));
        assert!(!fault(Version::HTTP_10, &[]));
    }

    #[test]
    fn host_is_refused_when_its_port_is_none() {
        for bad in [
            "a:0", "a:+80", "a:65536", "a:x", "a:80:80", "::1", "[::1", "[]", "[::1]80", "[[::1]]", "a[",
            ":-1",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn coding_other_than_chunked_is_not_implemented() {
        let status = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (TRANSFER_ENCODING, HeaderValue::from_static(line)));
            let mut headers = HeaderMap::new();
            lines.for_each(|(name, value)| {
                headers.append(name, value);
            });
            coding_fault(&headers).map(|fault| fault.0.as_u16())
        };
        assert_eq!([status(&[]), status(&["Chunked"]), status(&[" chunked ,"])], [None; 3]);
        for other in [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity"], &[""], &["xchunked"]] {
            assert_eq!(status(other), Some(501), "{other:?}");
        }
        assert_eq!(status(&["chunked", "chunked"]), Some(400));
    }
}
