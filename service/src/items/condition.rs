//! Preconditions of a request (RFC 9110, 13): what a client requires of the state of an item. Pure.

use http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

/// `If-Match` and `If-None-Match` of one request. Items have no `Last-Modified`, so dates are not compared.
pub(super) struct Conditions<'a> {
    headers: &'a HeaderMap,
}

/// What the preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The request is carried out.
    Holds,
    /// The client has this state already: 304 for a read, 412 for a write.
    Same,
    /// The item is in another state: 412.
    Fails,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        Self { headers }
    }

    /// Whether there is something to compare.
    pub(super) fn any(&self) -> bool {
        self.headers.contains_key(IF_MATCH) || self.headers.contains_key(IF_NONE_MATCH)
    }

    /// In the order of RFC 9110, 13.2.2. `tag` is that of the item, or `None` when it does not exist.
    pub(super) fn judge(&self, tag: Option<&str>) -> Judgement {
        if self.headers.contains_key(IF_MATCH) && !self.names(&IF_MATCH, |one| Some(one) == tag, tag) {
            return Judgement::Fails;
        }
        // Weak comparison: what is marked as weak is the same as what is not.
        let weakly = |one: &str| Some(one.strip_prefix("W/").unwrap_or(one)) == tag;
        if self.names(&IF_NONE_MATCH, weakly, tag) { Judgement::Same } else { Judgement::Holds }
    }

    fn names(&self, header: &HeaderName, same: impl Fn(&str) -> bool, tag: Option<&str>) -> bool {
        let lists = self.headers.get_all(header).iter().filter_map(|list| list.to_str().ok());
        // A comma within a tag splits it into parts that are none of ours.
        let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|one| tag.is_some() && (one == "*" || same(one)))
    }
}

/// The entity tag of an answer.
pub(super) fn tag_of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("\"{}\"", hex::encode(&digest[..16]))
}

/// Adds the tag to an answer.
pub(super) fn write_tag(tag: String, headers: &mut HeaderMap) {
    // Digits and quotes only: it is always a value.
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_judged_in_their_order() {
        let judge = |conditions: &[(&HeaderName, &'static str)], tag| {
            let mut headers = HeaderMap::new();
            for (name, value) in conditions {
                headers.append(*name, HeaderValue::from_static(value));
            }
            Conditions::of(&headers).judge(tag)
        };
        let (here, gone) = (Some("\"a\""), None);
        let of = |name: &'static HeaderName, value, tag| judge(&[(name, value)], tag);
        assert_eq!(judge(&[], here), Judgement::Holds);
        for (value, with, without) in [
            ("*", Judgement::Holds, Judgement::Fails),
            ("\"a\"", Judgement::Holds, Judgement::Fails),
            ("\"b\", \"a\"", Judgement::Holds, Judgement::Fails),
            ("W/\"a\"", Judgement::Fails, Judgement::Fails),
            ("\"b\"", Judgement::Fails, Judgement::Fails),
            ("\"x,\"", Judgement::Fails, Judgement::Fails),
            ("", Judgement::Fails, Judgement::Fails),
        ] {
            assert_eq!((of(&IF_MATCH, value, here), of(&IF_MATCH, value, gone)), (with, without), "{value}");
        }
        for (value, with) in [
            ("*", Judgement::Same),
            ("W/\"a\"", Judgement::Same),
            ("\"b\",\"a\"", Judgement::Same),
            ("\"b\"", Judgement::Holds),
            ("a", Judgement::Holds),
        ] {
            assert_eq!(of(&IF_NONE_MATCH, value, here), with, "{value}");
            assert_eq!(of(&IF_NONE_MATCH, value, gone), Judgement::Holds, "{value}");
        }
        let both = [(&IF_MATCH, "\"b\""), (&IF_NONE_MATCH, "\"a\"")];
        assert_eq!(judge(&both, here), Judgement::Fails, "If-Match comes first");
        assert_eq!(judge(&[(&IF_MATCH, "\"b\""), (&IF_MATCH, "\"a\"")], here), Judgement::Holds, "one list");
    }
}
