//! Reading commands: find, count, distinct, and the cursors of long answers.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};

use super::answer::{Answer, Refusal, document_of, flag_of, number_of, text_of};
use super::compare::compare;
use super::data::Data;
use super::path::{get, remove, set, values_at};
use super::query::matches;

/// Documents in a first answer unless told, as MongoDB has it.
const FIRST_BATCH: usize = 101;
/// Bytes in one answer, below the longest message.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// A cursor that nobody asked for so long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// The open cursors of all connections.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: BTreeMap<i64, Cursor>,
    last: i64,
}

#[derive(Debug)]
struct Cursor {
    namespace: String,
    rest: VecDeque<Document>,
    used: Instant,
}

impl Cursors {
    /// Answers with the first batch of `documents` and keeps the rest.
    pub(super) fn first(
        &mut self,
        namespace: &str,
        documents: Vec<Document>,
        batch: Option<i64>,
        single: bool,
    ) -> Answer {
        let mut rest = VecDeque::from(documents);
        let most = batch.map_or(FIRST_BATCH, |batch| usize::try_from(batch).unwrap_or(FIRST_BATCH));
        let first = take(&mut rest, most);
        let id = if rest.is_empty() || single { 0 } else { self.keep(namespace, rest) };
        Ok(doc! {"cursor": {"firstBatch": first, "id": id, "ns": namespace}, "ok": 1.0})
    }

    fn keep(&mut self, namespace: &str, rest: VecDeque<Document>) -> i64 {
        self.open.retain(|_, cursor| cursor.used.elapsed() < IDLE);
        self.last += 1;
        self.open.insert(self.last, Cursor { namespace: namespace.to_owned(), rest, used: Instant::now() });
        self.last
    }

    /// `getMore`.
    pub(super) fn more(&mut self, database: &str, command: &Document) -> Answer {
        let id = number_of(command, "getMore")?.unwrap_or(0);
        let namespace = format!("{database}.{}", text_of(command, "collection")?);
        let cursor = self.open.get_mut(&id).filter(|cursor| cursor.namespace == namespace);
        let cursor =
            cursor.ok_or_else(|| Refusal::new(43, "CursorNotFound", format!("cursor id {id} not found")))?;
        let batch = number_of(command, "batchSize")?.and_then(|batch| usize::try_from(batch).ok());
        let next = take(&mut cursor.rest, batch.filter(|batch| *batch > 0).unwrap_or(usize::MAX));
        cursor.used = Instant::now();
        let left = if cursor.rest.is_empty() { 0 } else { id };
        if left == 0 {
            self.open.remove(&id);
        }
        Ok(doc! {"cursor": {"nextBatch": next, "id": left, "ns": namespace}, "ok": 1.0})
    }

    /// `killCursors`.
    pub(super) fn kill(&mut self, command: &Document) -> Answer {
        let ids = command
            .get_array("cursors")
            .map_err(|_| Refusal::type_mismatch("field 'cursors' must be an array"))?;
        let (killed, missing): (Vec<Bson>, Vec<Bson>) =
            ids.iter().cloned().partition(|id| id.as_i64().is_some_and(|id| self.open.remove(&id).is_some()));
        Ok(
            doc! {"cursorsKilled": killed, "cursorsNotFound": missing, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0},
        )
    }
}

fn take(rest: &mut VecDeque<Document>, most: usize) -> Vec<Document> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while taken.len() < most {
        let Some(document) = rest.front() else { break };
        bytes += document.to_vec().map_or(0, |bytes| bytes.len());
        if bytes > MOST_BYTES && !taken.is_empty() {
            break;
        }
        taken.extend(rest.pop_front());
    }
    taken
}

/// The documents of a collection that match, sorted, skipped and limited.
pub(super) fn select(
    data: &Data,
    namespace: &str,
    filter: &Document,
    sort: &Document,
    skip: usize,
    limit: usize,
) -> Result<Vec<Document>, Refusal> {
    let Some(collection) = data.get(namespace) else {
        // A wrong filter is wrong on nothing too.
        matches(&Document::new(), filter)?;
        return Ok(Vec::new());
    };
    let by_id = sort.len() == 1 && sort.contains_key("_id");
    let backwards = by_id && number_of(sort, "_id")?.unwrap_or(1) < 0;
    let candidates: Box<dyn Iterator<Item = &Document>> =
        if backwards { Box::new(collection.candidates(filter).rev()) } else { collection.candidates(filter) };
    let in_order = by_id || sort.is_empty();
    let enough = if in_order { skip.saturating_add(limit) } else { usize::MAX };
    let mut found = Vec::new();
    for document in candidates {
        if found.len() >= enough {
            break;
        }
        if matches(document, filter)? {
            found.push(document.clone());
        }
    }
    if !in_order {
        sort_by(&mut found, sort)?;
    }
    Ok(found.into_iter().skip(skip).take(limit).collect())
}

/// Sorts documents as `sort` says; equal ones keep their order.
pub(super) fn sort_by(documents: &mut [Document], sort: &Document) -> Result<(), Refusal> {
    let mut keys = Vec::new();
    for (path, direction) in sort {
        match super::compare::real(direction) {
            Some(1.0) => keys.push((path, false)),
            Some(-1.0) => keys.push((path, true)),
            _ => return Err(Refusal::new(15975, "Location15975", "$sort key ordering must be 1 or -1")),
        }
    }
    documents.sort_by(|a, b| {
        let orders = keys.iter().map(|(path, backwards)| {
            let value = |document| get(document, path).unwrap_or(&Bson::Null);
            let order = compare(value(a), value(b));
            if *backwards { order.reverse() } else { order }
        });
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(())
}

/// What a projection leaves of a document: fields to keep, or fields to leave out.
pub(super) fn project(document: Document, projection: &Document) -> Result<Document, Refusal> {
    let flags: Vec<(&String, bool)> = projection
        .iter()
        .map(|(path, value)| match value {
            Bson::Boolean(flag) => Ok((path, *flag)),
            Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => {
                Ok((path, super::compare::real(value) != Some(0.0)))
            }
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
    let mut found = select(data, &namespace, filter, sort, whole(command, "skip")?, limit)?;
    if let Some(projection) = projection {
        found = found.into_iter().map(|document| project(document, projection)).collect::<Result<_, _>>()?;
    }
    cursors.first(&namespace, found, number_of(command, "batchSize")?, flag_of(command, "singleBatch", false))
}

/// `count`.
pub(super) fn count(data: &Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "count")?);
    let empty = Document::new();
    let filter = document_of(command, "query")?.unwrap_or(&empty);
    let limit = whole(command, "limit")?;
    let limit = if limit == 0 { usize::MAX } else { limit };
    let n = if filter.is_empty() {
        let all = data.get(&namespace).map_or(0, super::data::Collection::len);
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
    for document in select(data, &namespace, filter, &empty, 0, usize::MAX)? {
        for value in values_at(&document, key) {
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
