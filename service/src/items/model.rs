//! What an item is, and what a request may say of one. All faults are found at once. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Faults;

/// Longest name, in characters.
pub(crate) const LONGEST_NAME: usize = 200;
/// Longest description, in characters.
pub(crate) const LONGEST_DESCRIPTION: usize = 2000;
/// Most tags.
pub(crate) const MOST_TAGS: usize = 20;
/// Longest tag, in characters.
pub(crate) const LONGEST_TAG: usize = 50;

/// An item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Item {
    /// 24 hexadecimal digits.
    pub id: String,
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 2000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Up to 20, each 1 to 50 characters.
    pub tags: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// One page of items in the order of their ids. That is the order in which they were created, to 16 microseconds of the
/// clocks of the replicas that created them, and it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Gives the next page as `?cursor=`; `null` on the last one.
    pub next_cursor: Option<String>,
}

/// An item as a client writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub(super) struct Draft {
    /// 1 to 200 characters.
    pub name: String,
    /// Up to 2000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Up to 20, each 1 to 50 characters.
    pub tags: Vec<String>,
}

/// What a merge patch (RFC 7396) changes. `Some(None)` removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) description: Option<Option<String>>,
    pub(super) tags: Option<Vec<String>>,
}

impl Draft {
    /// Reads a whole item.
    ///
    /// # Errors
    /// All faults of the body.
    pub(super) fn read(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let change = read(body, &mut faults);
        if body.is_object() && body.get("name").is_none() {
            faults.push("/name", "is required");
        }
        match change.name {
            Some(name) if faults.is_empty() => {
                let (description, tags) = (change.description.flatten(), change.tags.unwrap_or_default());
                Ok(Self { name, description, tags })
            }
            _ => Err(faults),
        }
    }
}

impl Change {
    /// Reads a merge patch.
    ///
    /// # Errors
    /// All faults of the body.
    pub(super) fn read(body: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let change = read(body, &mut faults);
        if faults.is_empty() { Ok(change) } else { Err(faults) }
    }
}

fn read(body: &Value, faults: &mut Faults) -> Change {
    let empty = Map::new();
    let fields = body.as_object().unwrap_or_else(|| {
        faults.push("", "expected an object");
        &empty
    });
    let mut change = Change::default();
    for (key, value) in fields {
        match key.as_str() {
            "name" => change.name = text("/name", value, 1, LONGEST_NAME, faults),
            "description" if value.is_null() => change.description = Some(None),
            "description" => {
                change.description = Some(text("/description", value, 0, LONGEST_DESCRIPTION, faults));
            }
            "tags" if value.is_null() => change.tags = Some(Vec::new()),
            "tags" => change.tags = Some(tags(value, faults)),
            _ => {
                faults.push_key(key, "unknown field; an item has name, description and tags");
            }
        }
    }
    change
}

fn text(pointer: &str, value: &Value, least: usize, most: usize, faults: &mut Faults) -> Option<String> {
    let Some(text) = value.as_str() else {
        faults.push(pointer, "expected a string");
        return None;
    };
    // What is sent is measured, what is kept is trimmed.
    let length = text.chars().count();
    let text = text.trim();
    if length > most || text.chars().count() < least {
        faults.push(pointer, format!("must have between {least} and {most} characters, got {length}"));
    } else if text.contains('\0') {
        faults.push(pointer, "the character U+0000 is not allowed");
    }
    Some(text.to_owned())
}

fn tags(value: &Value, faults: &mut Faults) -> Vec<String> {
    let Some(values) = value.as_array() else {
        faults.push("/tags", "expected an array");
        return Vec::new();
    };
    if values.len() > MOST_TAGS {
        faults.push("/tags", format!("must have at most {MOST_TAGS} tags, got {}", values.len()));
        return Vec::new();
    }
    let texts = values.iter().enumerate();
    texts.filter_map(|(at, value)| text(&format!("/tags/{at}"), value, 1, LONGEST_TAG, faults)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Fault, Problem};
    use serde_json::json;

    fn errors(body: &Value) -> Vec<Fault> {
        Problem::invalid(Draft::read(body).unwrap_err()).errors
    }

    #[test]
    fn every_fault_is_found_at_once_with_its_place() {
        let body = json!({"name": "  ", "tags": ["ok", 1, ""], "a/b": 1, "description": 5});
        let mut places: Vec<String> = errors(&body).into_iter().map(|fault| fault.pointer).collect();
        places.sort();
        assert_eq!(places, ["/a~1b", "/description", "/name", "/tags/1", "/tags/2"]);
        assert_eq!(errors(&json!([]))[0].detail, "expected an object");
        assert_eq!(errors(&json!({}))[0].pointer, "/name");
    }

    #[test]
    fn a_patch_tells_removal_from_silence() {
        assert_eq!(Change::read(&json!({})).unwrap(), Change::default());
        let change = Change::read(&json!({"description": null, "tags": null})).unwrap();
        assert_eq!((change.description, change.tags), (Some(None), Some(Vec::new())));
        assert!(Change::read(&json!({"name": null})).is_err(), "an item has a name");
    }
}
