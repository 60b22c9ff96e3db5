//! A value with the place it was read from. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::document::words::shown;

/// Where something stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

impl Place {
    /// The beginning of a text.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
    /// The source text of a plain scalar that is a number or a boolean: `1e3` is a string where a field takes strings. Also of
    /// a number that no type of ours holds, whose content is a string.
    pub(crate) written: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// A string, a number, a boolean or null.
    Scalar(Value),
    List(Vec<Node>),
    /// In the order of the text; no key occurs twice.
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// The place of the key.
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// A value that comes from no text.
    pub(crate) fn of(value: Value) -> Self {
        let written = (value.is_number() || value.is_boolean()).then(|| value.to_string());
        let content = match value {
            Value::Array(items) => Content::List(items.into_iter().map(Self::of).collect()),
            Value::Object(members) => Content::Mapping(
                members
                    .into_iter()
                    .map(|(key, value)| Entry { key, place: Place::START, value: Self::of(value) })
                    .collect(),
            ),
            scalar => Content::Scalar(scalar),
        };
        Self { place: Place::START, content, written }
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                let members = entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(members.collect::<Map<String, Value>>())
            }
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }

    /// The value of a key, when this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Mapping(entries) = &self.content else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Sets the value at a path; what is missing on the way, or is not a mapping, becomes one.
    pub(crate) fn set(&mut self, path: &[String], value: Self) {
        let Some((key, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self.content, Content::Mapping(_)) {
            *self = Self { content: Content::Mapping(Vec::new()), written: None, place: value.place };
        }
        let Content::Mapping(entries) = &mut self.content else { return };
        let index = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
            let empty = Self { place: value.place, content: Content::Scalar(Value::Null), written: None };
            entries.push(Entry { key: key.clone(), place: value.place, value: empty });
            entries.len() - 1
        });
        if let Some(entry) = entries.get_mut(index) {
            entry.value.set(rest, value);
        }
    }

    /// Sets keys of the mapping at a path, each found at once; for many of them.
    pub(crate) fn extend<'a>(&mut self, path: &[&str], values: impl Iterator<Item = (&'a String, &'a Self)>) {
        let mut at = self;
        for step in path {
            let Content::Mapping(entries) = &mut at.content else { return };
            let Some(entry) = entries.iter_mut().find(|entry| entry.key == *step) else { return };
            at = &mut entry.value;
        }
        let Content::Mapping(entries) = &mut at.content else { return };
        let mut places: HashMap<String, usize> =
            entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
        for (key, value) in values {
            let index = *places.entry(key.clone()).or_insert(entries.len());
            match entries.get_mut(index) {
                Some(entry) => entry.value = value.clone(),
                None => entries.push(Entry { key: key.clone(), place: value.place, value: value.clone() }),
            }
        }
    }

    /// The text of a scalar, as it was written.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match (&self.written, &self.content) {
            (Some(written), _) => Some(written),
            (None, Content::Scalar(Value::String(text))) => Some(text),
            _ => None,
        }
    }

    /// "expected WHAT, got ...", with the value if it is a short scalar.
    pub(crate) fn expected(&self, what: &str) -> String {
        let given = match (self.as_str(), &self.content) {
            (Some(text), _) => shown(text),
            (None, Content::Scalar(_)) => "null".to_owned(),
            (None, Content::List(_)) => "a list".to_owned(),
            (None, Content::Mapping(_)) => "a mapping".to_owned(),
        };
        format!("expected {what}, got {given}")
    }

    /// "expected WHAT, got a ...", without the value: whole sections of an unknown file are not quoted.
    pub(crate) fn expected_kind(&self, what: &str) -> String {
        let kind = match &self.content {
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(number)) if number.is_f64() => "a number",
            Content::Scalar(Value::Number(_)) => "an integer",
            Content::Scalar(Value::String(_)) => "a string",
            Content::Scalar(_) => "null",
            Content::List(_) => "a list",
            Content::Mapping(_) => "a mapping",
        };
        format!("expected {what}, got {kind}")
    }
}

/// Values of one type each. The errors say what was expected and what came.
impl Node {
    pub(crate) fn string(&self) -> Result<&str, String> {
        self.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn boolean(&self) -> Result<bool, String> {
        match &self.content {
            Content::Scalar(Value::Bool(value)) => Ok(*value),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    pub(crate) fn integer(&self) -> Result<i128, String> {
        let number = match &self.content {
            Content::Scalar(Value::Number(number)) => number.as_i128(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("an integer"))
    }

    pub(crate) fn float(&self) -> Result<f64, String> {
        let number = match &self.content {
            Content::Scalar(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a number"))
    }
}
