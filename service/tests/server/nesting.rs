//! The decoder of MongoDB's replies, which recurses, refuses what is nested too deeply: the reason why `bson` is vendored.

use mongodb::bson::{
    self, Bson, Document, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Utf8Lossy,
    deserialize_from_slice,
};
use serde::de::IgnoredAny;

/// The type of a nested document.
pub(crate) const DOCUMENT: u8 = 3;
/// The type of an array.
pub(crate) const ARRAY: u8 = 4;
/// Most levels that are decoded.
const MOST: usize = 200;

/// `{0: {0: ... {}}}` of so many levels, or with arrays in the place of the inner documents.
pub(crate) fn nested(kind: u8, levels: usize) -> RawDocumentBuf {
    let mut bytes = Vec::with_capacity(levels * 8);
    for level in (1..=levels).rev() {
        bytes.extend(i32::try_from(5 + (level - 1) * 8).unwrap().to_le_bytes());
        if level > 1 {
            bytes.extend([kind, b'0', 0]);
        }
    }
    bytes.extend(vec![0; levels]);
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// As [`nested`], each level the scope of an empty piece of code.
fn scopes(levels: usize) -> RawDocumentBuf {
    // Of the document around: its length, type and key, the length of the whole value, the code, the end.
    const AROUND: usize = 4 + 3 + 4 + 5 + 1;
    let size = |level: usize| 5 + (level - 1) * AROUND;
    let mut bytes = Vec::with_capacity(size(levels));
    for level in (1..=levels).rev() {
        bytes.extend(i32::try_from(size(level)).unwrap().to_le_bytes());
        if level > 1 {
            bytes.extend([15, b'0', 0]);
            bytes.extend(i32::try_from(4 + 5 + size(level - 1)).unwrap().to_le_bytes());
            bytes.extend([1, 0, 0, 0, 0]);
        }
    }
    bytes.extend(vec![0; levels]);
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

#[derive(serde::Deserialize)]
struct Reply {
    #[serde(flatten)]
    rest: std::collections::HashMap<String, serde_json::Value>,
}

/// By name, whether each way to decode a document accepts it.
fn accepted(raw: &RawDocument) -> Vec<(&'static str, bool)> {
    let bytes = raw.as_bytes();
    vec![
        ("slice to Document", deserialize_from_slice::<Document>(bytes).is_ok()),
        ("slice to JSON", deserialize_from_slice::<serde_json::Value>(bytes).is_ok()),
        ("slice, ignored", deserialize_from_slice::<IgnoredAny>(bytes).is_ok()),
        ("slice, flattened", deserialize_from_slice::<Reply>(bytes).is_ok_and(|reply| reply.rest.len() < 2)),
        ("slice, lossy", deserialize_from_slice::<Utf8Lossy<Document>>(bytes).is_ok()),
        ("reader", bson::deserialize_from_reader::<_, Document>(bytes).is_ok()),
        ("Document::from_reader", Document::from_reader(bytes).is_ok()),
        ("Document", Document::try_from(raw).is_ok()),
        ("Document, lossy", Utf8Lossy::<Document>::try_from(raw).is_ok()),
        ("Bson", Bson::try_from(RawBsonRef::Document(raw)).is_ok()),
        ("owned Bson", Bson::try_from(bson::RawBson::Document(raw.to_owned())).is_ok()),
    ]
}

/// Runs with less stack than the main thread has, where the service decodes.
fn on_a_main_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(6 * 1024 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn decoder_accepts_what_a_server_sends() {
    on_a_main_stack(|| {
        for levels in [1, 2, 100, MOST - 1, MOST] {
            for raw in [nested(DOCUMENT, levels), nested(ARRAY, levels), scopes(levels)] {
                for (way, accepted) in accepted(&raw) {
                    assert!(accepted, "{way}, {levels} levels");
                }
            }
        }
    });
}

#[test]
fn decoder_refuses_what_is_nested_too_deeply() {
    on_a_main_stack(|| {
        for levels in [MOST + 1, 2_000_000] {
            for raw in [nested(DOCUMENT, levels), nested(ARRAY, levels), scopes(levels)] {
                for (way, accepted) in accepted(&raw) {
                    assert!(!accepted, "{way}, {levels} levels");
                }
            }
        }
    });
}

#[test]
fn array_counts_as_a_level_when_decoded_by_itself() {
    on_a_main_stack(|| {
        let decoded = |levels| {
            let array: RawArrayBuf = [nested(ARRAY, levels)].into_iter().collect();
            Vec::<Bson>::try_from(&*array)
        };
        assert!(decoded(MOST - 1).is_ok());
        assert!(decoded(MOST).is_err() && decoded(2_000_000).is_err());
    });
}
