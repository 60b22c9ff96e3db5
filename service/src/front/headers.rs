//! What of a message's head is the proxy's business: the target, the fields of one hop, and who asked. Pure.
//!
//! A field that `Connection` names is taken out first, then those of one hop, and ours are set last: so no client takes ours
//! out or writes them (RFC 9110, 7.6.1).

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Body;
use smallvec::SmallVec;

use crate::contract::{PROBE_HEADER, RateLimitKey};
use crate::identity::FORWARDED_FOR;
use crate::network::canonical;
use crate::server::is_host;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// What all fields of a proxy begin with, but `Forwarded` and `X-Real-IP`.
const FORWARDED: &str = "x-forwarded-";

const HTTP: HeaderValue = HeaderValue::from_static("http");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const TE_OPTION: HeaderValue = HeaderValue::from_static("te");
const UPGRADE_OPTION: HeaderValue = HeaderValue::from_static("upgrade");

/// Names to be taken out; few heads have more.
type Names = SmallVec<[HeaderName; 8]>;

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    /// The other end of the connection.
    pub(super) peer: IpAddr,
    /// Whether what it says of others is trusted.
    pub(super) trusted: bool,
}

/// Which fields of requests are ours.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnFields {
    /// The header that requests are counted by, and as apps may read it.
    key: Option<(HeaderName, String)>,
}

/// Why a request is not forwarded: its status and what the client can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) &'static str);

/// Makes the head of a request what the app is to see; `host` replaces a `Host` that HTTP/1.0 may lack. Whether it asks
/// for another protocol.
///
/// # Errors
/// When the target cannot be served.
pub(super) fn to_app<B: Body>(
    request: &mut Request<B>,
    hop: Hop,
    host: &HeaderValue,
    own: &OwnFields,
) -> Result<bool, Refused> {
    rewrite_target(request)?;
    let bare = request.body().is_end_stream();
    let chunked = !bare && request.body().size_hint().exact().is_none();
    let asks = bare && request.version() == Version::HTTP_11 && asks_for_upgrade(request.headers());
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let trailers = has_token(headers, &TE, |token| token.eq_ignore_ascii_case(b"trailers"));
    let upgrade = asks.then(|| headers.remove(UPGRADE)).flatten();
    let mut names = nominated(headers);
    names.retain(|name| {
        *name != HOST
            && *name != CONTENT_LENGTH
            && !own.is_key(name.as_str())
            && !(hop.trusted && is_of_proxy(name.as_str()))
    });
    names.extend(headers.keys().filter(|name| own.stays_here(name.as_str(), hop.trusted)).cloned());
    for name in names {
        headers.remove(name);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, host.clone());
    }
    write_forwarded(headers, hop);
    if chunked {
        headers.insert(TRANSFER_ENCODING, CHUNKED);
    }
    if trailers {
        headers.insert(TE, TRAILERS);
        headers.insert(CONNECTION, TE_OPTION);
    }
    let asks = upgrade.is_some();
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, UPGRADE_OPTION);
        headers.insert(UPGRADE, protocol);
    }
    Ok(asks)
}

/// Makes the head of the app's answer what the client is to see.
pub(super) fn to_client<B>(response: &mut Response<B>, method: &Method) {
    *response.version_mut() = Version::HTTP_11;
    let status = response.status();
    let headers = response.headers_mut();
    // The length of a chunked body counts for nothing (RFC 9112, 6.3), and that of a body that does not come is left out.
    if headers.contains_key(TRANSFER_ENCODING)
        || (status == StatusCode::NOT_MODIFIED && *method != Method::HEAD)
    {
        headers.remove(CONTENT_LENGTH);
    }
    let protocol = (status == StatusCode::SWITCHING_PROTOCOLS).then(|| headers.remove(UPGRADE)).flatten();
    let mut names = nominated(headers);
    names.retain(|name| *name != CONTENT_LENGTH);
    names.extend(headers.keys().filter(|name| is_of_hop(name.as_str())).cloned());
    for name in names {
        headers.remove(name);
    }
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, UPGRADE_OPTION);
        headers.insert(UPGRADE, protocol);
    }
}

/// Takes out of the trailers of an answer what is of one hop.
pub(super) fn trailers_to_client(trailers: &mut HeaderMap) {
    remove(trailers, is_of_hop);
}

/// The seconds after which the app closes an idle connection, if it announces them: `Keep-Alive: timeout=5`.
pub(super) fn keep_alive(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    value.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| seconds.trim().parse().ok()).flatten()
    })
}

/// The target as a path; a host in it replaces that of the field (RFC 9112, 3.2.2).
fn rewrite_target<B>(request: &mut Request<B>) -> Result<(), Refused> {
    if request.method() == Method::CONNECT {
        return Err(Refused(StatusCode::NOT_IMPLEMENTED, "CONNECT is not supported"));
    }
    let uri = request.uri();
    let Some(authority) = uri.authority() else {
        return match uri.path() {
            "*" if request.method() != Method::OPTIONS => Err(malformed()),
            _ => Ok(()),
        };
    };
    let known = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let named = !authority.host().is_empty() && !authority.as_str().contains('@');
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| malformed())?;
    if !known || !named || !is_host(authority.as_str().as_bytes()) {
        return Err(malformed());
    }
    let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    request.headers_mut().insert(HOST, host);
    Ok(())
}

fn malformed() -> Refused {
    Refused(StatusCode::BAD_REQUEST, "the target of the request is malformed")
}

/// Both fields are needed. HTTP/2 and TLS over this connection would lead past the rate limit.
fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let carried = |token: &[u8]| {
        let begins =
            |word: &[u8]| token.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        !begins(b"h2") && !begins(b"http") && !begins(b"tls")
    };
    headers.contains_key(UPGRADE)
        && has_token(headers, &CONNECTION, |token| token.eq_ignore_ascii_case(b"upgrade"))
        && !has_token(headers, &UPGRADE, |token| !carried(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).iter();
    let tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, is: impl Fn(&[u8]) -> bool) -> bool {
    tokens(headers, name).any(is)
}

/// The fields that `Connection` names.
fn nominated(headers: &HeaderMap) -> Names {
    let options = tokens(headers, &CONNECTION);
    let others = options.filter(|option| {
        ![&b"close"[..], b"keep-alive", b"upgrade"].iter().any(|word| option.eq_ignore_ascii_case(word))
    });
    others.filter_map(|option| HeaderName::from_bytes(option).ok()).collect()
}

/// The fields of one hop.
fn is_of_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

impl OwnFields {
    /// Where requests are counted so.
    pub(super) fn new(key: &RateLimitKey) -> Self {
        let key = match key {
            RateLimitKey::Address => None,
            RateLimitKey::Header(name) => Some((name.clone(), folded(name.as_str()))),
        };
        Self { key }
    }

    /// Takes out of the trailers of a request what only a head may say: many apps merge the two.
    pub(super) fn filter_trailers(&self, trailers: &mut HeaderMap) {
        remove(trailers, |name| self.stays_here(name, false) || self.is_key(name));
    }

    fn is_key(&self, name: &str) -> bool {
        self.key.as_ref().is_some_and(|(key, _)| key == name)
    }

    /// The fields of a request that end here.
    fn stays_here(&self, name: &str, trusted: bool) -> bool {
        is_of_hop(name)
            || matches!(name, "proxy-authorization" | "expect" | "http2-settings")
            || name == PROBE_HEADER
            || (!trusted && is_of_proxy(name))
            || self.imitates(name)
    }

    /// Whether apps may read the name as another one, of ours or of where a message ends: many take `_` and other signs for `-` (CGI).
    fn imitates(&self, name: &str) -> bool {
        let is_key = |folded: &str| self.key.as_ref().is_some_and(|(_, key)| key == folded);
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return is_key(name) && !self.is_key(name);
        }
        let folded = folded(name);
        is_of_proxy(&folded)
            || is_of_hop(&folded)
            || folded == PROBE_HEADER
            || matches!(&*folded, "content-length" | "proxy-authorization")
            || (is_key(&folded) && !self.is_key(name))
    }
}

/// The name with `-` for each sign.
fn folded(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn remove(fields: &mut HeaderMap, is: impl Fn(&str) -> bool) {
    let names: Names = fields.keys().filter(|name| is(name.as_str())).cloned().collect();
    for name in names {
        fields.remove(name);
    }
}

/// What proxies say of who asked them.
fn is_of_proxy(name: &str) -> bool {
    name.starts_with(FORWARDED) || name == "forwarded" || name == "x-real-ip"
}

fn write_forwarded(headers: &mut HeaderMap, hop: Hop) {
    let mut chain: Vec<u8> = Vec::new();
    // Without trust there is nothing any more.
    for earlier in headers.get_all(FORWARDED_FOR) {
        chain.extend_from_slice(earlier.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(canonical(hop.peer).to_string().as_bytes());
    // Made of values and an address.
    if let Ok(chain) = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)) {
        headers.insert(FORWARDED_FOR, chain);
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HTTP);
    }
    if !headers.contains_key(FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(FORWARDED_HOST, host);
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
