//! One kind of request: what is sent, what counts as success, what must be true of the answer. Data only.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::load::connection::Wish;

/// Most different steps: each has a histogram in each thread.
pub const MAX_STEPS: usize = 64;

/// One kind of request, chosen by weight.
#[derive(Clone, Debug)]
pub struct Step {
    /// What reports call it.
    pub name: String,
    /// Its share among all weights.
    pub weight: u32,
    /// The method.
    pub method: Method,
    /// Path and query; `${n}` becomes a number that no other request has.
    pub path: String,
    /// Headers beside those every request has.
    pub headers: HeaderMap,
    /// The body; `${n}` as in the path.
    pub body: Bytes,
    /// Statuses that count as success; empty means 200 to 399.
    pub statuses: Vec<u16>,
    /// What must be true of an answer.
    pub checks: Vec<Check>,
}

/// A condition on an answer; it is counted, and judged by the threshold `checks`.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What reports call it.
    pub name: String,
    /// What must be true.
    pub condition: Condition,
}

/// What a [`Check`] asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The status is one of these.
    Status(Vec<u16>),
    /// The body contains this text.
    BodyContains(String),
    /// The header is there and contains this text.
    Header(HeaderName, String),
    /// The answer took no longer.
    Within(Duration),
}

impl Step {
    /// A GET that must answer 200; all from 200 to 399 is a success.
    pub fn get(name: &str, path: &str, weight: u32) -> Self {
        let check = Check { name: format!("{name}: status is 200"), condition: Condition::Status(vec![200]) };
        Self::checked(name, path, weight, check)
    }

    /// A GET that may answer anything from 200 to 399.
    pub fn get_any(name: &str, path: &str, weight: u32) -> Self {
        let condition = Condition::Status((200..400).collect());
        Self::checked(name, path, weight, Check { name: format!("{name}: status is 2xx or 3xx"), condition })
    }

    fn checked(name: &str, path: &str, weight: u32, check: Check) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        Self {
            name: name.to_owned(),
            weight,
            method: Method::GET,
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            statuses: Vec::new(),
            checks: vec![check],
        }
    }

    /// The path and query as they are sent: percent-encoded where they are not ASCII (RFC 3986, section 2.5).
    pub(crate) fn target(&self) -> String {
        let mut target = String::with_capacity(self.path.len());
        for byte in self.path.bytes() {
            if byte.is_ascii_graphic() {
                target.push(char::from(byte));
            } else {
                target.push_str(&format!("%{byte:02X}"));
            }
        }
        target
    }

    /// Whether this status counts as success.
    pub fn succeeds(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..400).contains(&status) } else { self.statuses.contains(&status) }
    }

    /// Whether this status means that the rate limiter refused; counted apart from failures.
    pub fn limited(&self, status: u16) -> bool {
        status == 429 && !self.statuses.contains(&429)
    }

    /// Whether a request says its length also without a body (RFC 9110, section 8.6).
    pub fn sends_length(&self) -> bool {
        [Method::POST, Method::PUT, Method::PATCH].contains(&self.method)
    }

    /// What its checks need to know of an answer.
    pub fn wish(&self) -> Wish {
        let any = |of: fn(&Condition) -> bool| self.checks.iter().any(|check| of(&check.condition));
        Wish {
            to_head: self.method == Method::HEAD,
            headers: any(|condition| matches!(condition, Condition::Header(..))),
            body: any(|condition| matches!(condition, Condition::BodyContains(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_ascii_and_keeps_placeholders_and_encoded_bytes() {
        for (path, target) in [
            ("/\u{fc}", "/%C3%BC"),
            ("/a?q=\u{65e5}&n=${n}", "/a?q=%E6%97%A5&n=${n}"),
            ("/%C3%BC?x=1", "/%C3%BC?x=1"),
        ] {
            assert_eq!(Step::get("x", path, 1).target(), target);
        }
    }

    #[test]
    fn limited_answer_fails_unless_it_is_expected() {
        let mut step = Step::get("health", "/health", 1);
        assert!(step.succeeds(204) && !step.succeeds(404) && !step.succeeds(429) && step.limited(429));
        step.statuses = vec![429];
        assert!(step.succeeds(429) && !step.limited(429) && !step.succeeds(200));
    }
}
