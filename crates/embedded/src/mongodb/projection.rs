//! What a projection leaves of a document.

use bson::{Bson, Document};

use super::answer::Refusal;
use super::compare::real;
use super::path::{get, remove, set};

/// What a projection leaves of a document: fields to keep, or fields to leave out.
pub(super) fn project(document: Document, projection: &Document) -> Result<Document, Refusal> {
    let flags: Vec<(&String, bool)> = projection
        .iter()
        .map(|(path, value)| match value {
            Bson::Boolean(flag) => Ok((path, *flag)),
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => Ok((path, real(value) != Some(0.0))),
            _ => Err(Refusal::new(
                238,
                "NotImplemented",
                format!("the embedded store has no expression for '{path}'"),
            )),
        })
        .collect::<Result<_, _>>()?;
    let keeps = flags.iter().any(|(path, flag)| *flag && *path != "_id");
    if keeps && flags.iter().any(|(path, flag)| !*flag && *path != "_id") {
        return Err(Refusal::new(31254, "Location31254", "Cannot do exclusion in inclusion projection"));
    }
    let only_id = flags.iter().any(|(path, flag)| *path == "_id" && *flag) && flags.len() == 1;
    if !keeps && !only_id {
        let mut left = document;
        for (path, _) in flags {
            remove(&mut left, path);
        }
        return Ok(left);
    }
    let mut kept = Document::new();
    let without_id = flags.iter().any(|(path, flag)| *path == "_id" && !flag);
    if let Some(id) = document.get("_id").filter(|_| !without_id) {
        kept.insert("_id", id.clone());
    }
    for (path, _) in flags.iter().filter(|(path, flag)| *flag && *path != "_id") {
        if let Some(value) = get(&document, path) {
            set(&mut kept, path, value.clone())?;
        }
    }
    Ok(kept)
}
