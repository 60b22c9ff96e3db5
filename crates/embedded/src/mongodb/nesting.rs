//! How deep documents are nested, found without recursion: raw bytes before they are decoded, values after they changed.
//!
//! Decoding, comparing, encoding and dropping recurse, so nothing deeper than this may reach them. Pure.

use bson::{Bson, Document};

use super::answer::Refusal;

/// Most levels of a document, itself included, as MongoDB documents it.
pub(super) const MOST: usize = 100;
/// Most levels of a command: what an insert, an update or a stage puts around a document.
pub(super) const MOST_COMMAND: usize = MOST + 10;

/// What a scan found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// More levels than allowed.
    TooDeep,
    /// The lengths do not fit, or a type is unknown.
    Broken,
}

/// The refusal of what is nested too deeply.
pub(super) fn too_deep() -> Refusal {
    Refusal::new(15, "Overflow", format!("the document exceeds the maximum of {MOST} levels of nesting"))
}

/// Refuses a dotted path of more levels than a document may have.
pub(super) fn check_path(path: &str) -> Result<(), Refusal> {
    if path.split('.').nth(MOST).is_some() { Err(too_deep()) } else { Ok(()) }
}

/// Scans the document in `bytes`, which must fill them.
pub(super) fn scan(bytes: &[u8], most: usize) -> Result<(), Fault> {
    // Where each open document ends; its last byte is a zero.
    let mut ends: Vec<usize> = Vec::new();
    let mut at = enter(bytes, 0, bytes.len(), most, &mut ends)?;
    while let Some(&end) = ends.last() {
        let kind = *bytes.get(at).ok_or(Fault::Broken)?;
        at += 1;
        if kind == 0 {
            if at != end {
                return Err(Fault::Broken);
            }
            ends.pop();
            continue;
        }
        let inside = bytes.get(..end - 1).ok_or(Fault::Broken)?;
        at = after_text(inside, at)?;
        at = match kind {
            0x03 | 0x04 => enter(inside, at, inside.len(), most, &mut ends)?,
            // Code with scope: a length, the code, a document.
            0x0f => {
                let scope = after_string(inside, at + 4)?;
                enter(inside, scope, inside.len(), most, &mut ends)?
            }
            0x06 | 0x0a | 0x7f | 0xff => at,
            0x08 => at + 1,
            0x10 => at + 4,
            0x01 | 0x09 | 0x11 | 0x12 => at + 8,
            0x07 => at + 12,
            0x13 => at + 16,
            0x02 | 0x0d | 0x0e => after_string(inside, at)?,
            0x05 => {
                at.checked_add(length(inside, at)?).and_then(|at| at.checked_add(5)).ok_or(Fault::Broken)?
            }
            0x0b => after_text(inside, after_text(inside, at)?)?,
            0x0c => after_string(inside, at)? + 12,
            _ => return Err(Fault::Broken),
        };
        if at > end {
            return Err(Fault::Broken);
        }
    }
    if at == bytes.len() { Ok(()) } else { Err(Fault::Broken) }
}

fn length(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let length = at.checked_add(4).and_then(|end| bytes.get(at..end)).ok_or(Fault::Broken)?;
    let length = i32::from_le_bytes(length.try_into().map_err(|_| Fault::Broken)?);
    usize::try_from(length).map_err(|_| Fault::Broken)
}

/// Opens the document at `at`, which must end by `limit`; where its first element is.
fn enter(bytes: &[u8], at: usize, limit: usize, most: usize, ends: &mut Vec<usize>) -> Result<usize, Fault> {
    let length = length(bytes, at)?;
    let end = at.checked_add(length).filter(|end| *end <= limit && length >= 5).ok_or(Fault::Broken)?;
    if ends.len() == most {
        return Err(Fault::TooDeep);
    }
    ends.push(end);
    Ok(at + 4)
}

/// Where the zero-terminated text at `at` has ended.
fn after_text(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let rest = bytes.get(at..).ok_or(Fault::Broken)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(Fault::Broken)?;
    Ok(at + end + 1)
}

/// Where the string with a length at `at` has ended.
fn after_string(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    let length = length(bytes, at)?;
    (at + 4).checked_add(length).filter(|end| *end <= bytes.len()).ok_or(Fault::Broken)
}

/// Refuses a document of more than [`MOST`] levels.
pub(super) fn check(document: &Document) -> Result<(), Refusal> {
    enum Level<'a> {
        Fields(bson::document::Values<'a>),
        Elements(std::slice::Iter<'a, Bson>),
    }
    let mut levels = vec![Level::Fields(document.values())];
    while let Some(level) = levels.last_mut() {
        let value = match level {
            Level::Fields(values) => values.next(),
            Level::Elements(values) => values.next(),
        };
        let inner = match value {
            None => {
                levels.pop();
                continue;
            }
            Some(Bson::Document(inner)) => Level::Fields(inner.values()),
            Some(Bson::JavaScriptCodeWithScope(code)) => Level::Fields(code.scope.values()),
            Some(Bson::Array(inner)) => Level::Elements(inner.iter()),
            Some(_) => continue,
        };
        if levels.len() == MOST {
            return Err(too_deep());
        }
        levels.push(inner);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    /// A document of this many levels, as raw bytes.
    pub(crate) fn nested(levels: usize) -> Vec<u8> {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 1..levels {
            let mut outer = i32::try_from(bytes.len() + 8).unwrap().to_le_bytes().to_vec();
            outer.extend([3, b'a', 0]);
            outer.append(&mut bytes);
            outer.push(0);
            bytes = outer;
        }
        bytes
    }

    #[test]
    fn scan_counts_levels_without_recursion() {
        assert_eq!(scan(&nested(1), 1), Ok(()));
        assert_eq!(scan(&nested(100), MOST), Ok(()));
        assert_eq!(scan(&nested(101), MOST), Err(Fault::TooDeep));
        assert_eq!(scan(&nested(5000), MOST), Err(Fault::TooDeep));
        assert_eq!(scan(&nested(5000), 5000), Ok(()));
    }

    #[test]
    fn scan_knows_every_type_and_refuses_broken_lengths() {
        use bson::spec::BinarySubtype;
        let code = bson::JavaScriptCodeWithScope { code: "f()".into(), scope: doc! {"x": [1]} };
        let mut all = doc! {
            "double": 1.5, "string": "s", "array": [1, {"a": 2}], "oid": bson::oid::ObjectId::new(), "true": true,
            "date": bson::DateTime::now(), "null": null, "int": 1, "long": 1_i64, "empty": {}, "code": code,
        };
        all.insert("binary", bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] });
        all.insert(
            "regex",
            bson::Regex { pattern: "p".try_into().unwrap(), options: "i".try_into().unwrap() },
        );
        all.insert("stamp", bson::Timestamp { time: 1, increment: 2 });
        all.insert("decimal", "1.5".parse::<bson::Decimal128>().unwrap());
        all.insert("symbol", Bson::Symbol("s".into()));
        all.insert("js", Bson::JavaScriptCode("f()".into()));
        all.insert("min", Bson::MinKey);
        all.insert("max", Bson::MaxKey);
        all.insert("undefined", Bson::Undefined);
        let bytes = all.to_vec().unwrap();
        assert_eq!(scan(&bytes, 3), Ok(()));
        assert_eq!(scan(&bytes, 2), Err(Fault::TooDeep));
        for cut in 0..bytes.len() {
            assert_eq!(scan(&bytes[..cut], MOST), Err(Fault::Broken), "cut at {cut}");
        }
        // Whatever is changed, the scan ends; what it lets through, the decoder judges.
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _ = scan(&changed, MOST);
        }
    }

    #[test]
    fn check_counts_as_the_scan_does() {
        for levels in [99, 100, 101, 102] {
            let bytes = nested(levels);
            let document = Document::from_reader(&bytes[..]).unwrap();
            assert_eq!(check(&document).is_ok(), scan(&bytes, MOST).is_ok(), "{levels}");
        }
        assert!(check_path(&"a.".repeat(99)).is_ok() && check_path(&"a.".repeat(100)).is_err());
    }
}
