//! Writing commands: insert, update, delete, findAndModify.

use bson::{Bson, Document, doc};

use super::answer::{Answer, Refusal, document_of, documents_of, flag_of, number_of, text_of};
use super::data::Data;
use super::nesting::check_path;
use super::path::set;
use super::projection::project;
use super::query::is_operators;
use super::read::select;
use super::update::updated;

/// `insert`.
pub(super) fn insert(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "insert")?);
    let documents = documents_of(command, "documents")?;
    let mut inserted = 0;
    let errors = each(command, documents, |document| {
        data.insert(&namespace, document)?;
        inserted += 1;
        Ok(())
    });
    Ok(outcome(doc! {"n": inserted}, errors))
}

/// `update`.
pub(super) fn update(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "update")?);
    let (mut n, mut modified, mut upserted) = (0, 0, Vec::<Bson>::new());
    let mut index = 0;
    let errors = each(command, documents_of(command, "updates")?, |update| {
        let at = index;
        index += 1;
        let done = update_one(data, &namespace, &update)?;
        n += done.matched;
        modified += done.modified;
        if let Some(id) = done.upserted {
            n += 1;
            upserted.push(doc! {"index": at, "_id": id}.into());
        }
        Ok(())
    });
    let mut answer = doc! {"n": n, "nModified": modified};
    if !upserted.is_empty() {
        answer.insert("upserted", upserted);
    }
    Ok(outcome(answer, errors))
}

/// `delete`.
pub(super) fn delete(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "delete")?);
    let mut n = 0;
    let errors = each(command, documents_of(command, "deletes")?, |delete| {
        let empty = Document::new();
        let filter = document_of(&delete, "q")?.unwrap_or(&empty);
        let limit = if number_of(&delete, "limit")? == Some(1) { 1 } else { usize::MAX };
        for found in select(data, &namespace, filter, &empty, 0, limit)? {
            data.remove(&namespace, &found.id);
            n += 1;
        }
        Ok(())
    });
    Ok(outcome(doc! {"n": n}, errors))
}

/// Does each write; an ordered command stops at the first that fails.
fn each(
    command: &Document,
    writes: Vec<Document>,
    mut write: impl FnMut(Document) -> Result<(), Refusal>,
) -> Vec<Bson> {
    let ordered = flag_of(command, "ordered", true);
    let mut errors = Vec::new();
    for (index, document) in writes.into_iter().enumerate() {
        if let Err(refusal) = write(document) {
            errors.push(refusal.write_error(index));
            if ordered {
                break;
            }
        }
    }
    errors
}

fn outcome(mut answer: Document, errors: Vec<Bson>) -> Document {
    if !errors.is_empty() {
        answer.insert("writeErrors", errors);
    }
    answer.insert("ok", 1.0);
    answer
}

struct Updated {
    matched: i32,
    modified: i32,
    upserted: Option<Bson>,
}

fn update_one(data: &mut Data, namespace: &str, command: &Document) -> Result<Updated, Refusal> {
    let empty = Document::new();
    let filter = document_of(command, "q")?.unwrap_or(&empty);
    let update = change_of(command, "u")?;
    let multi = flag_of(command, "multi", false);
    if multi && !is_operators(update) {
        return Err(Refusal::failed_to_parse("multi update is not supported for replacement-style update"));
    }
    if command.get_array("arrayFilters").is_ok_and(|filters| !filters.is_empty()) {
        return Err(Refusal::new(238, "NotImplemented", "the embedded store has no arrayFilters"));
    }
    let limit = if multi { usize::MAX } else { 1 };
    let found = select(data, namespace, filter, &empty, 0, limit)?;
    let mut done =
        Updated { matched: i32::try_from(found.len()).unwrap_or(i32::MAX), modified: 0, upserted: None };
    for before in found.iter().map(|found| &*found.document) {
        let after = updated(before, update, false)?;
        if after != *before {
            data.replace(namespace, after)?;
            done.modified += 1;
        }
    }
    if found.is_empty() && flag_of(command, "upsert", false) {
        let fresh = updated(&seed(filter)?, update, true)?;
        done.upserted = Some(data.insert(namespace, fresh)?);
    }
    Ok(done)
}

fn change_of<'a>(command: &'a Document, key: &str) -> Result<&'a Document, Refusal> {
    match command.get(key) {
        Some(Bson::Document(update)) => Ok(update),
        Some(Bson::Array(_)) => {
            Err(Refusal::new(238, "NotImplemented", "the embedded store has no pipelines in updates"))
        }
        _ => Err(Refusal::failed_to_parse("Update argument must be either an object or an array")),
    }
}

/// What an upsert starts from: the values that the filter asks for.
fn seed(filter: &Document) -> Result<Document, Refusal> {
    let mut fresh = Document::new();
    for (path, condition) in filter {
        check_path(path)?;
        match condition {
            _ if path.starts_with('$') => {}
            Bson::Document(operators) if is_operators(operators) => {
                if let Some(value) = operators.get("$eq") {
                    set(&mut fresh, path, value.clone())?;
                }
            }
            value => set(&mut fresh, path, value.clone())?,
        }
    }
    Ok(fresh)
}

/// `findAndModify`.
pub(super) fn find_and_modify(data: &mut Data, database: &str, command: &Document) -> Answer {
    let name = command.get_str("findAndModify").or_else(|_| command.get_str("findandmodify"));
    let name = name.map_err(|_| Refusal::type_mismatch("field 'findAndModify' must be a string"))?;
    let namespace = format!("{database}.{name}");
    let empty = Document::new();
    let filter = document_of(command, "query")?.unwrap_or(&empty);
    let sort = document_of(command, "sort")?.unwrap_or(&empty);
    let fields = document_of(command, "fields")?.filter(|fields| !fields.is_empty());
    let before = select(data, &namespace, filter, sort, 0, 1)?.pop();
    let shown = |document: Option<Document>| -> Result<Bson, Refusal> {
        Ok(match (document, fields) {
            (Some(document), Some(fields)) => project(document, fields)?.into(),
            (Some(document), None) => document.into(),
            (None, _) => Bson::Null,
        })
    };
    if flag_of(command, "remove", false) {
        if let Some(before) = &before {
            data.remove(&namespace, &before.id);
        }
        let n = i32::from(before.is_some());
        let before = before.map(|before| (*before.document).clone());
        return Ok(doc! {"value": shown(before)?, "lastErrorObject": {"n": n}, "ok": 1.0});
    }
    let update = change_of(command, "update")?;
    let wants_new = flag_of(command, "new", false);
    let (old, new, last) = match before {
        Some(before) => {
            let before = (*before.document).clone();
            let after = updated(&before, update, false)?;
            data.replace(&namespace, after.clone())?;
            (Some(before), Some(after), doc! {"n": 1, "updatedExisting": true})
        }
        None if flag_of(command, "upsert", false) => {
            let mut fresh = updated(&seed(filter)?, update, true)?;
            let id = data.insert(&namespace, fresh.clone())?;
            fresh.insert("_id", id.clone());
            (None, Some(fresh), doc! {"n": 1, "updatedExisting": false, "upserted": id})
        }
        None => (None, None, doc! {"n": 0, "updatedExisting": false}),
    };
    Ok(doc! {"value": shown(if wants_new { new } else { old })?, "lastErrorObject": last, "ok": 1.0})
}
