//! Dotted paths into documents: read, written, removed. Pure.

use bson::{Bson, Document};

use super::answer::Refusal;

/// All values at `path`; elements of arrays on the way are entered, as MongoDB's queries do.
pub(super) fn values_at<'a>(document: &'a Document, path: &str) -> Vec<&'a Bson> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut found = Vec::new();
    if let Some(value) = document.get(parts[0]) {
        enter(value, &parts[1..], &mut found);
    }
    found
}

fn enter<'a>(value: &'a Bson, parts: &[&str], found: &mut Vec<&'a Bson>) {
    let Some((part, rest)) = parts.split_first() else {
        found.push(value);
        return;
    };
    match value {
        Bson::Document(document) => {
            if let Some(value) = document.get(part) {
                enter(value, rest, found);
            }
        }
        Bson::Array(values) => {
            if let Some(value) = part.parse::<usize>().ok().and_then(|index| values.get(index)) {
                enter(value, rest, found);
            }
            for value in values.iter().filter(|value| matches!(value, Bson::Document(_))) {
                enter(value, parts, found);
            }
        }
        _ => {}
    }
}

/// The value at `path`, of which there is one at most: arrays are entered by number only.
pub(super) fn get<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    let mut parts = path.split('.');
    let mut value = document.get(parts.next()?)?;
    for part in parts {
        value = match value {
            Bson::Document(document) => document.get(part)?,
            Bson::Array(values) => values.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Writes the value at `path`; documents on the way are made.
pub(super) fn set(document: &mut Document, path: &str, value: Bson) -> Result<(), Refusal> {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
            Ok(())
        }
        Some((part, rest)) => {
            let next = document.entry(part.to_owned()).or_insert_with(|| Bson::Document(Document::new()));
            set_within(next, part, rest, value)
        }
    }
}

fn set_within(at: &mut Bson, name: &str, path: &str, value: Bson) -> Result<(), Refusal> {
    match at {
        Bson::Document(document) => set(document, path, value),
        Bson::Array(values) => {
            let (part, rest) = path.split_once('.').map_or((path, None), |(part, rest)| (part, Some(rest)));
            let index: usize = part.parse().map_err(|_| cannot(part, name))?;
            // As MongoDB: the gap is filled with nulls, within reason.
            if index > values.len() + 1_500_000 {
                return Err(cannot(part, name));
            }
            while values.len() <= index {
                values.push(Bson::Null);
            }
            match rest {
                None => {
                    values[index] = value;
                    Ok(())
                }
                Some(rest) => {
                    if values[index] == Bson::Null {
                        values[index] = Bson::Document(Document::new());
                    }
                    set_within(&mut values[index], part, rest, value)
                }
            }
        }
        _ => Err(cannot(path, name)),
    }
}

fn cannot(part: &str, name: &str) -> Refusal {
    Refusal::new(28, "PathNotViable", format!("Cannot create field '{part}' in element {{{name}}}"))
}

/// Removes the value at `path`, and returns it. In an array it becomes null, as in MongoDB.
pub(super) fn remove(document: &mut Document, path: &str) -> Option<Bson> {
    let Some((part, rest)) = path.split_once('.') else { return document.remove(path) };
    remove_within(document.get_mut(part)?, rest)
}

fn remove_within(at: &mut Bson, path: &str) -> Option<Bson> {
    match at {
        Bson::Document(document) => remove(document, path),
        Bson::Array(values) => {
            let (part, rest) = path.split_once('.').map_or((path, None), |(part, rest)| (part, Some(rest)));
            let value = values.get_mut(part.parse::<usize>().ok()?)?;
            match rest {
                None => Some(std::mem::replace(value, Bson::Null)),
                Some(rest) => remove_within(value, rest),
            }
        }
        _ => None,
    }
}
