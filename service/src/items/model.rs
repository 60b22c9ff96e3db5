//! What an item is, and what a request may say of one. All faults are found at once. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::problem::Fault;

/// Longest name, in characters.
const LONGEST_NAME: usize = 200;
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 2000;
/// Most tags.
const MOST_TAGS: usize = 20;
/// Longest tag, in characters.
const LONGEST_TAG: usize = 50;

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

/// One page of items in the order of their ids: oldest first, to the second.
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
    pub(super) fn read(body: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let change = read(body, &mut faults);
        if body.is_object() && body.get("name").is_none() {
            faults.push(fault("/name", "is needed"));
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
    pub(super) fn read(body: &Value) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let change = read(body, &mut faults);
        if faults.is_empty() { Ok(change) } else { Err(faults) }
    }
}

fn read(body: &Value, faults: &mut Vec<Fault>) -> Change {
    let empty = Map::new();
    let fields = body.as_object().unwrap_or_else(|| {
        faults.push(fault("", "an object is expected"));
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
                let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                faults.push(fault(&pointer, "unknown field; an item has name, description and tags"));
            }
        }
    }
    change
}

fn text(pointer: &str, value: &Value, least: usize, most: usize, faults: &mut Vec<Fault>) -> Option<String> {
    let Some(text) = value.as_str() else {
        faults.push(fault(pointer, "expected a string"));
        return None;
    };
    let text = text.trim();
    let length = text.chars().count();
    if !(least..=most).contains(&length) {
        faults
            .push(fault(pointer, &format!("must have between {least} and {most} characters, got {length}")));
    } else if text.contains('\0') {
        faults.push(fault(pointer, "the character U+0000 is not allowed"));
    }
    Some(text.to_owned())
}

fn tags(value: &Value, faults: &mut Vec<Fault>) -> Vec<String> {
    let Some(values) = value.as_array() else {
        faults.push(fault("/tags", "expected an array"));
        return Vec::new();
    };
    if values.len() > MOST_TAGS {
        faults.push(fault("/tags", &format!("must have at most {MOST_TAGS} tags, got {}", values.len())));
        return Vec::new();
    }
    let texts = values.iter().enumerate();
    texts.filter_map(|(at, value)| text(&format!("/tags/{at}"), value, 1, LONGEST_TAG, faults)).collect()
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_fault_is_found_at_once_with_its_place() {
        let body = json!({"name": "  ", "tags": ["ok", 1, ""], "a/b": 1, "description": 5});
        let mut places: Vec<String> =
            Draft::read(&body).unwrap_err().into_iter().map(|fault| fault.pointer).collect();
        places.sort();
        assert_eq!(places, ["/a~1b", "/description", "/name", "/tags/1", "/tags/2"]);
        assert_eq!(Draft::read(&json!([])).unwrap_err()[0].detail, "an object is expected");
        assert_eq!(Draft::read(&json!({})).unwrap_err()[0].pointer, "/name");
    }

    #[test]
    fn a_patch_tells_removal_from_silence() {
        assert_eq!(Change::read(&json!({})).unwrap(), Change::default());
        let change = Change::read(&json!({"description": null, "tags": null})).unwrap();
        assert_eq!((change.description, change.tags), (Some(None), Some(Vec::new())));
        assert!(Change::read(&json!({"name": null})).is_err(), "an item has a name");
    }
}
