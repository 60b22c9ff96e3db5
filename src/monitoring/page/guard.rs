//! Who may see the page: a browser of this machine that has the token. Pages of other sites may not, whatever name they give this
//! machine (DNS rebinding). Pure.

use http::header::{COOKIE, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, StatusCode, Uri};
use sha2::{Digest, Sha256};

use crate::monitoring::view::Question;
use crate::stack::values::Secret;

/// Whose page a browser says that a request is of.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The page itself, or an address that the user typed or opened.
const OWN_SITES: [&[u8]; 2] = [b"same-origin", b"none"];
/// The parameter of the token in the printed address.
const TOKEN: &str = "token";

/// Decides over requests.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    port: u16,
    token: Secret,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// The token in exchange for a cookie, and on to the page.
    SignIn,
    /// The page.
    Page,
    /// The answer to a question.
    Data(Question),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) &'static str);

impl Guard {
    /// For the page at this port of the loopback interface.
    pub(super) fn new(port: u16, token: Secret) -> Self {
        Self { port, token }
    }

    /// The address with the token.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/?{TOKEN}={}", self.port, self.token.reveal())
    }

    /// The cookie in place of the token. Cookies are of a host, whatever its port, so that its name has the port.
    pub(super) fn cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), self.token.reveal())
    }

    fn cookie_name(&self) -> String {
        format!("appforge-monitor-{}", self.port)
    }

    /// What a request may have.
    ///
    /// # Errors
    /// When it is of another site or without the token; 405 for what is not a GET, 404 for other paths, 400 for another query.
    pub(super) fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Wish, Refused> {
        const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
        if method != Method::GET {
            return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered"));
        }
        let hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        let is_own = |host: &[u8]| hosts.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(host));
        if !one(headers, &HOST).is_some_and(is_own) || uri.authority().is_some() {
            return Err(Refused(FORBIDDEN, "this address is not that of the page"));
        }
        let is_own_origin = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(is_own);
        if headers.contains_key(ORIGIN) && !one(headers, &ORIGIN).is_some_and(is_own_origin)
            || headers.contains_key(SEC_FETCH_SITE)
                && !one(headers, &SEC_FETCH_SITE).is_some_and(|site| OWN_SITES.contains(&site))
        {
            return Err(Refused(FORBIDDEN, "another site asks; open the printed address itself"));
        }
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        if let ("/", Some(token)) = (path, query.strip_prefix("token=")) {
            return if self.is_token(token) { Ok(Wish::SignIn) } else { Err(Refused(FORBIDDEN, SIGNED_OUT)) };
        }
        if !self.is_signed_in(headers) {
            return Err(Refused(FORBIDDEN, SIGNED_OUT));
        }
        match path {
            "/" => Ok(Wish::Page),
            "/data" => Question::parse(query)
                .map(Wish::Data)
                .ok_or(Refused(StatusCode::BAD_REQUEST, "unknown parameters")),
            _ => Err(Refused(StatusCode::NOT_FOUND, "not found")),
        }
    }

    fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        let name = self.cookie_name();
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(found, value)| found == name && self.is_token(value))
    }

    /// Digests take the same time to compare, however much is right.
    fn is_token(&self, text: &str) -> bool {
        Sha256::digest(text.as_bytes()) == Sha256::digest(self.token.reveal().as_bytes())
    }
}

const SIGNED_OUT: &str = "open the address that `appforge monitor` prints; it has the token";

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn judged(method: &Method, uri: &str, headers: &[(HeaderName, &str)]) -> Result<Wish, StatusCode> {
        let guard = Guard::new(4000, Secret::new(TOKEN));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        guard.judge(method, &uri.parse().unwrap(), &map).map_err(|refused| refused.0)
    }

    fn get(uri: &str, headers: &[(HeaderName, &str)]) -> Result<Wish, StatusCode> {
        let cookie = format!("other=1; appforge-monitor-4000={TOKEN}");
        let own = [(HOST, "127.0.0.1:4000"), (COOKIE, cookie.as_str())];
        let replaced = |name: &HeaderName| headers.iter().any(|(given, _)| given == name);
        let kept = own.into_iter().filter(|(name, _)| !replaced(name));
        let all: Vec<(HeaderName, &str)> = kept.chain(headers.iter().cloned()).collect();
        judged(&Method::GET, uri, &all)
    }

    #[test]
    fn browser_with_the_cookie_gets_the_page() {
        assert_eq!(get("/", &[]), Ok(Wish::Page));
        assert_eq!(get("/", &[(HOST, "LOCALHOST:4000"), (SEC_FETCH_SITE, "none")]), Ok(Wish::Page));
        let own = [(ORIGIN, "http://127.0.0.1:4000"), (SEC_FETCH_SITE, "same-origin")];
        assert_eq!(get("/data", &own), Ok(Wish::Data(Question::default())));
        assert_eq!(get(&format!("/?token={TOKEN}"), &[(COOKIE, "")]), Ok(Wish::SignIn));
        assert_eq!(get("/data?x=1", &[]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(get("/other", &[]), Err(StatusCode::NOT_FOUND));
    }

    #[test]
    fn foreign_name_or_site_is_refused_in_spite_of_the_cookie() {
        for host in ["evil.example:4000", "127.0.0.1", "127.0.0.1:4001", "127.0.0.1:4000.evil.example", ""] {
            assert_eq!(get("/", &[(HOST, host)]), Err(StatusCode::FORBIDDEN), "{host}");
        }
        let twice = [(HOST, "127.0.0.1:4000"), (HOST, "127.0.0.1:4000")];
        assert_eq!(get("/", &twice), Err(StatusCode::FORBIDDEN));
        assert_eq!(get("http://evil.example/", &[]), Err(StatusCode::FORBIDDEN));
        for origin in ["http://evil.example", "null", "https://127.0.0.1:4000", "http://127.0.0.1:5000"] {
            assert_eq!(get("/data", &[(ORIGIN, origin)]), Err(StatusCode::FORBIDDEN), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert_eq!(get("/data", &[(SEC_FETCH_SITE, site)]), Err(StatusCode::FORBIDDEN), "{site}");
        }
    }

    #[test]
    fn request_without_the_right_token_gets_nothing() {
        for cookie in ["", "appforge-monitor-4000=", "appforge-monitor-4001=0123456789abcdef0123456789abcdef"]
        {
            for uri in ["/", "/data", "/other"] {
                assert_eq!(get(uri, &[(COOKIE, cookie)]), Err(StatusCode::FORBIDDEN), "{cookie} {uri}");
            }
        }
        assert_eq!(get("/?token=", &[(COOKIE, "")]), Err(StatusCode::FORBIDDEN));
        assert_eq!(get("/?token=0123", &[]), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn only_get_is_answered() {
        for method in [Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT] {
            let headers = [(HOST, "127.0.0.1:4000")];
            assert_eq!(judged(&method, "/", &headers), Err(StatusCode::METHOD_NOT_ALLOWED), "{method}");
        }
    }
}
