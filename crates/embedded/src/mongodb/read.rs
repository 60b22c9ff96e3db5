//! Reading commands: find, count, distinct; selecting, sorting.

use bson::{Bson, Document, doc};

use super::answer::{Answer, Refusal, document_of, flag_of, number_of, text_of};
use super::collection::{Collection, Found};
use super::compare::compare;
use super::cursors::{Cursors, Scan, Source, View};
use super::data::Data;
use super::path::{get, values_at};
use super::query::matches;

/// The documents of a collection that match, sorted, skipped and limited.
pub(super) fn select(
    data: &Data,
    namespace: &str,
    filter: &Document,
    sort: &Document,
    skip: usize,
    limit: usize,
) -> Result<Vec<Found>, Refusal> {
    let Some(collection) = data.get(namespace) else {
        // A wrong filter is wrong on nothing too.
        matches(&Document::new(), filter)?;
        return Ok(Vec::new());
    };
    let backwards = id_order(sort)?;
    let enough = if backwards.is_some() { skip.saturating_add(limit) } else { usize::MAX };
    let mut found = Vec::new();
    for candidate in collection.walk(filter, None, backwards.unwrap_or(false)) {
        if found.len() >= enough {
            break;
        }
        if matches(&candidate.document, filter)? {
            found.push(candidate);
        }
    }
    if backwards.is_none() {
        sort_by(&mut found, sort, |found| &found.document)?;
    }
    Ok(found.into_iter().skip(skip).take(limit).collect())
}

/// Whether a sort is the order in which documents lie, or that backwards; `None` for any other.
fn id_order(sort: &Document) -> Result<Option<bool>, Refusal> {
    match (sort.len(), number_of(sort, "_id")?) {
        (0, _) => Ok(Some(false)),
        (1, Some(direction)) => Ok(Some(direction < 0)),
        _ => Ok(None),
    }
}

/// Sorts what has documents as `sort` says; equal ones keep their order.
pub(super) fn sort_by<T>(
    items: &mut [T],
    sort: &Document,
    document: impl Fn(&T) -> &Document,
) -> Result<(), Refusal> {
    let mut keys = Vec::new();
    for (path, direction) in sort {
        match super::compare::real(direction) {
            Some(1.0) => keys.push((path, false)),
            Some(-1.0) => keys.push((path, true)),
            _ => return Err(Refusal::new(15975, "Location15975", "$sort key ordering must be 1 or -1")),
        }
    }
    items.sort_by(|a, b| {
        let orders = keys.iter().map(|(path, backwards)| {
            let (a, b) = (get(document(a), path), get(document(b), path));
            let order = compare(a.unwrap_or(&Bson::Null), b.unwrap_or(&Bson::Null));
            if *backwards { order.reverse() } else { order }
        });
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(())
}

fn whole(command: &Document, key: &str) -> Result<usize, Refusal> {
    let number = number_of(command, key)?.unwrap_or(0);
    usize::try_from(number).map_err(|_| Refusal::bad_value(format!("field '{key}' must be >= 0")))
}

/// `find`.
pub(super) fn find(data: &Data, cursors: &mut Cursors, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "find")?);
    let empty = Document::new();
    let filter = document_of(command, "filter")?.unwrap_or(&empty);
    let sort = document_of(command, "sort")?.unwrap_or(&empty);
    let projection = document_of(command, "projection")?.filter(|projection| !projection.is_empty());
    // A negative limit is one batch of that many, from older drivers.
    let limit = number_of(command, "limit")?.unwrap_or(0).unsigned_abs();
    let limit = if limit == 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let skip = whole(command, "skip")?;
    let source = match id_order(sort)? {
        Some(backwards) => {
            // A wrong filter is wrong on nothing too.
            matches(&Document::new(), filter)?;
            Source::Scan(Scan { filter: filter.clone(), backwards, skip, limit, after: None })
        }
        None => {
            let found = select(data, &namespace, filter, sort, skip, limit)?;
            Source::Ids(found.into_iter().map(|found| found.id).collect())
        }
    };
    let view = View { source, projection: projection.cloned() };
    let single = flag_of(command, "singleBatch", false);
    cursors.first(data, &namespace, view, number_of(command, "batchSize")?, single)
}

/// `count`.
pub(super) fn count(data: &Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "count")?);
    let empty = Document::new();
    let filter = document_of(command, "query")?.unwrap_or(&empty);
    let limit = whole(command, "limit")?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    let n = if filter.is_empty() {
        let all = data.get(&namespace).map_or(0, Collection::len);
        all.saturating_sub(whole(command, "skip")?).min(limit)
    } else {
        select(data, &namespace, filter, &empty, whole(command, "skip")?, limit)?.len()
    };
    Ok(doc! {"n": i32::try_from(n).unwrap_or(i32::MAX), "ok": 1.0})
}

/// `distinct`.
pub(super) fn distinct(data: &Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "distinct")?);
    let key = text_of(command, "key")?;
    let empty = Document::new();
    let filter = document_of(command, "query")?.unwrap_or(&empty);
    let mut values: Vec<Bson> = Vec::new();
    for found in select(data, &namespace, filter, &empty, 0, usize::MAX)? {
        for value in values_at(&found.document, key) {
            match value {
                Bson::Array(elements) => values.extend(elements.iter().cloned()),
                value => values.push(value.clone()),
            }
        }
    }
    values.sort_by(compare);
    values.dedup_by(|a, b| compare(a, b).is_eq());
    Ok(doc! {"values": values, "ok": 1.0})
}
