//! What the limiter says of a request, and the headers that tell the client. Pure.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

/// The current draft's policy field: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The current draft's field for what is left.
const CURRENT: HeaderName = HeaderName::from_static("ratelimit");
/// The three fields of the same draft up to its sixth version, which most clients know.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
/// The shortest time after which a client should come back, in seconds.
const AT_LEAST: HeaderValue = HeaderValue::from_static("1");
/// How many headers a decision adds at most.
const MOST_HEADERS: usize = 6;
/// Longest value of [`CURRENT`]: its words and two numbers of at most 20 digits.
const MOST_CURRENT: usize = 64;

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is within the limit.
    Passed,
    /// The client has used up its requests: 429.
    Limited,
    /// Nobody can tell, and the settings say to refuse then: 503.
    Unavailable,
}

/// The answer for one request.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether it may go on.
    pub outcome: Outcome,
    /// Requests that pass per window.
    pub limit: u32,
    /// How many more may pass in this one.
    pub remaining: u32,
    /// Until the next window, or until a retry makes sense.
    pub reset: Duration,
    /// How long a window is.
    pub window: Duration,
    pub(super) policy: Arc<Policy>,
}

/// The header values that are the same for all requests.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    policy: HeaderValue,
    limit: HeaderValue,
}

impl Policy {
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        let text = format!("\"default\";q={limit};w={}", seconds(window).max(1));
        Self {
            // Digits and printable signs only: the fallback is never taken.
            policy: HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"default\"")),
            limit: HeaderValue::from(limit),
        }
    }
}

impl Decision {
    /// Whole seconds until a retry makes sense, at least one.
    pub fn retry_after(&self) -> u64 {
        seconds(self.reset).max(1)
    }

    /// Of two decisions on one request, the one that leaves its client less.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        let passes = |decision: &Self| decision.outcome == Outcome::Passed;
        match (passes(&self), passes(&other)) {
            (true, false) => other,
            (true, true) if other.remaining < self.remaining => other,
            _ => self,
        }
    }

    /// Adds the rate-limit headers, and on a refusal `Retry-After`: whole seconds, rounded up, at least one.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        // At once, instead of one doubling after the other.
        headers.reserve(MOST_HEADERS);
        headers.insert(POLICY, self.policy.policy.clone());
        headers.insert(LIMIT, self.policy.limit.clone());
        let seconds = seconds(self.reset);
        if let Some([current, remaining, reset]) = counts(self.remaining, seconds) {
            if self.outcome != Outcome::Passed {
                headers.insert(RETRY_AFTER, if seconds == 0 { AT_LEAST } else { reset.clone() });
            }
            headers.insert(CURRENT, current);
            headers.insert(REMAINING, remaining);
            headers.insert(RESET, reset);
        }
    }
}

/// What differs from request to request. The two numbers are parts of the first text, which is written once.
fn counts(remaining: u32, reset: u64) -> Option<[HeaderValue; 3]> {
    let mut text = BytesMut::with_capacity(MOST_CURRENT);
    text.extend_from_slice(b"\"default\";r=");
    let remaining = append(&mut text, remaining);
    text.extend_from_slice(b";t=");
    let reset = append(&mut text, reset);
    let whole = text.freeze();
    let value = |part: Bytes| HeaderValue::from_maybe_shared(part).ok();
    Some([value(whole.clone())?, value(whole.slice(remaining))?, value(whole.slice(reset))?])
}

/// Appends a number and says where it is.
fn append(text: &mut BytesMut, number: impl itoa::Integer) -> Range<usize> {
    let start = text.len();
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    start..text.len()
}

/// Whole seconds, rounded up: a client that waits them has waited long enough.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(outcome: Outcome, remaining: u32, reset: Duration) -> HeaderMap {
        let window = Duration::from_secs(900);
        let policy = Arc::new(Policy::new(100, window));
        let mut headers = HeaderMap::new();
        Decision { outcome, limit: 100, remaining, reset, window, policy }.write_headers(&mut headers);
        headers
    }

    #[test]
    fn a_passed_request_tells_what_is_left() {
        let headers = headers(Outcome::Passed, 42, Duration::from_millis(309_001));
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=100;w=900");
        assert_eq!(headers["ratelimit"], "\"default\";r=42;t=310");
        assert_eq!(headers["ratelimit-limit"], "100");
        assert_eq!(headers["ratelimit-remaining"], "42");
        assert_eq!(headers["ratelimit-reset"], "310");
        assert!(!headers.contains_key("retry-after"));
    }

    #[test]
    fn a_refusal_tells_when_to_come_back() {
        let limited = headers(Outcome::Limited, 0, Duration::from_secs(12));
        assert_eq!(limited["retry-after"], "12");
        assert_eq!(limited["ratelimit"], "\"default\";r=0;t=12");
        assert_eq!(headers(Outcome::Limited, 0, Duration::ZERO)["retry-after"], "1", "never at once");
        assert_eq!(headers(Outcome::Unavailable, 0, Duration::from_millis(1))["retry-after"], "1");
    }

    #[test]
    fn a_window_below_a_second_is_still_one() {
        let policy = Policy::new(5, Duration::from_millis(300));
        assert_eq!(policy.policy, "\"default\";q=5;w=1");
    }
}
