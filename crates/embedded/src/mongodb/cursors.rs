//! Open cursors: where each stands, never copies of what is stored. Bounded in number and in memory; they end when they are
//! read, killed, idle or without the connection that used them last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};

use super::answer::{Answer, Refusal, number_of, text_of};
use super::compare::Ordered;
use super::data::Data;
use super::projection::project;
use super::query::matches;

/// Documents in a first answer unless told, as MongoDB has it.
const FIRST_BATCH: usize = 101;
/// Bytes in one answer, below the longest message.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// A cursor that was not used for so long ends.
const IDLE: Duration = Duration::from_secs(600);
/// Most open cursors of all connections.
const MOST_CURSORS: usize = 500;
/// Most bytes that they hold together.
const MOST_HELD: usize = 64 * 1024 * 1024;
/// What a cursor takes besides what it holds, and a document besides its bytes.
const OVERHEAD: usize = 512;

/// The open cursors of all connections.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: BTreeMap<i64, Cursor>,
    last: i64,
    held: usize,
    /// The connection whose command runs now.
    pub(super) connection: i32,
}

#[derive(Debug)]
struct Cursor {
    namespace: String,
    view: View,
    used: Instant,
    /// The connection that used it last.
    connection: i32,
    /// Bytes that it holds.
    held: usize,
}

/// What a cursor still has to show.
#[derive(Debug)]
pub(super) struct View {
    pub(super) source: Source,
    pub(super) projection: Option<Document>,
}

/// Where documents come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The collection as it is, in the order of `_id`.
    Scan(Scan),
    /// The documents with these ids, as they are when they are shown.
    Ids(VecDeque<Arc<Ordered>>),
    /// Results that lie nowhere else.
    Results(VecDeque<Document>),
}

/// A place in a collection.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) filter: Document,
    pub(super) backwards: bool,
    /// Matching documents to leave out.
    pub(super) skip: usize,
    /// Documents to show at most.
    pub(super) limit: usize,
    /// The `_id` that was looked at last.
    pub(super) after: Option<Arc<Ordered>>,
}

impl From<Vec<Document>> for View {
    fn from(results: Vec<Document>) -> Self {
        Self { source: Source::Results(results.into()), projection: None }
    }
}

/// One answer in the making.
struct Batch {
    documents: Vec<Document>,
    bytes: usize,
    most: usize,
}

impl Batch {
    /// Takes a document unless the batch is full; an empty batch takes any.
    fn take(&mut self, document: &Document, projection: Option<&Document>) -> Result<bool, Refusal> {
        if self.documents.len() >= self.most {
            return Ok(false);
        }
        let shown = match projection {
            Some(projection) => project(document.clone(), projection)?,
            None => document.clone(),
        };
        let bytes = size(&shown);
        if self.bytes + bytes > MOST_BYTES && !self.documents.is_empty() {
            return Ok(false);
        }
        self.bytes += bytes;
        self.documents.push(shown);
        Ok(true)
    }
}

fn size(document: &Document) -> usize {
    document.to_vec().map_or(0, |bytes| bytes.len())
}

impl View {
    /// The next documents, `most` at most, and whether more follow.
    fn next(&mut self, data: &Data, namespace: &str, most: usize) -> Result<(Vec<Document>, bool), Refusal> {
        let mut batch = Batch { documents: Vec::new(), bytes: 0, most };
        let projection = self.projection.as_ref();
        let collection = data.get(namespace);
        let more = match (&mut self.source, collection) {
            (Source::Results(results), _) => loop {
                let Some(document) = results.front() else { break false };
                if !batch.take(document, projection)? {
                    break true;
                }
                results.pop_front();
            },
            // The collection was dropped.
            (_, None) => false,
            (Source::Ids(ids), Some(collection)) => loop {
                let Some(id) = ids.front() else { break false };
                // One that is gone meanwhile is left out.
                if let Some(document) = collection.document(id)
                    && !batch.take(document, projection)?
                {
                    break true;
                }
                ids.pop_front();
            },
            (Source::Scan(scan), Some(collection)) => {
                let mut more = false;
                let after = scan.after.clone();
                for found in collection.walk(&scan.filter, after.as_ref(), scan.backwards) {
                    if scan.limit == 0 {
                        break;
                    }
                    if matches(&found.document, &scan.filter)? {
                        if scan.skip > 0 {
                            scan.skip -= 1;
                        } else if batch.take(&found.document, projection)? {
                            scan.limit -= 1;
                        } else {
                            more = true;
                            break;
                        }
                    }
                    scan.after = Some(found.id);
                }
                more
            }
        };
        Ok((batch.documents, more))
    }

    /// Bytes that it holds.
    fn held(&self) -> usize {
        let source = match &self.source {
            Source::Scan(scan) => size(&scan.filter),
            Source::Ids(ids) => ids.capacity() * size_of::<Arc<Ordered>>(),
            Source::Results(results) => results.iter().map(|document| size(document) + OVERHEAD).sum(),
        };
        OVERHEAD + source + self.projection.as_ref().map_or(0, size)
    }
}

impl Cursors {
    /// Answers with the first batch of `view` and keeps the rest.
    pub(super) fn first(
        &mut self,
        data: &Data,
        namespace: &str,
        mut view: View,
        batch: Option<i64>,
        single: bool,
    ) -> Answer {
        let most = batch.map_or(FIRST_BATCH, |batch| usize::try_from(batch).unwrap_or(FIRST_BATCH));
        let (first, more) = view.next(data, namespace, most)?;
        let id = if more && !single { self.keep(namespace, view)? } else { 0 };
        Ok(doc! {"cursor": {"firstBatch": first, "id": id, "ns": namespace}, "ok": 1.0})
    }

    fn keep(&mut self, namespace: &str, view: View) -> Result<i64, Refusal> {
        self.end_idle();
        let held = view.held();
        if self.open.len() >= MOST_CURSORS || self.held + held > MOST_HELD {
            let message = format!(
                "{} cursors are open and hold {} bytes; the limits are {MOST_CURSORS} cursors and {MOST_HELD} bytes together",
                self.open.len(),
                self.held
            );
            return Err(Refusal::new(146, "ExceededMemoryLimit", message));
        }
        self.last += 1;
        self.held += held;
        let (namespace, connection) = (namespace.to_owned(), self.connection);
        self.open.insert(self.last, Cursor { namespace, view, used: Instant::now(), connection, held });
        Ok(self.last)
    }

    /// `getMore`.
    pub(super) fn more(&mut self, data: &Data, database: &str, command: &Document) -> Answer {
        let id = number_of(command, "getMore")?.unwrap_or(0);
        let namespace = format!("{database}.{}", text_of(command, "collection")?);
        let cursor = self.open.get_mut(&id).filter(|cursor| cursor.namespace == namespace);
        let cursor =
            cursor.ok_or_else(|| Refusal::new(43, "CursorNotFound", format!("cursor id {id} not found")))?;
        let batch = number_of(command, "batchSize")?.and_then(|batch| usize::try_from(batch).ok());
        let most = batch.filter(|batch| *batch > 0).unwrap_or(usize::MAX);
        cursor.used = Instant::now();
        cursor.connection = self.connection;
        let outcome = cursor.view.next(data, &namespace, most);
        let left = if matches!(outcome, Ok((_, true))) { id } else { 0 };
        if left == 0 {
            self.end(id);
        }
        Ok(doc! {"cursor": {"nextBatch": outcome?.0, "id": left, "ns": namespace}, "ok": 1.0})
    }

    /// `killCursors`.
    pub(super) fn kill(&mut self, command: &Document) -> Answer {
        let ids = command
            .get_array("cursors")
            .map_err(|_| Refusal::type_mismatch("field 'cursors' must be an array"))?;
        let (killed, missing): (Vec<Bson>, Vec<Bson>) =
            ids.iter().cloned().partition(|id| id.as_i64().is_some_and(|id| self.end(id)));
        Ok(
            doc! {"cursorsKilled": killed, "cursorsNotFound": missing, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0},
        )
    }

    /// Ends the cursors that were last used by a connection.
    pub(super) fn end_of_connection(&mut self, connection: i32) {
        self.end_where(|cursor| cursor.connection == connection);
    }

    /// Ends the cursors that were not used for long.
    pub(super) fn end_idle(&mut self) {
        self.end_where(|cursor| cursor.used.elapsed() >= IDLE);
    }

    fn end_where(&mut self, ends: impl Fn(&Cursor) -> bool) {
        let held = &mut self.held;
        self.open.retain(|_, cursor| {
            let ends = ends(cursor);
            *held -= if ends { cursor.held } else { 0 };
            !ends
        });
    }

    fn end(&mut self, id: i64) -> bool {
        let ended = self.open.remove(&id);
        self.held -= ended.as_ref().map_or(0, |cursor| cursor.held);
        ended.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "d.c";

    fn data(count: i32) -> Data {
        let mut data = Data::default();
        for number in 0..count {
            data.insert(NAMESPACE, doc! {"_id": number, "even": number % 2 == 0}).unwrap();
        }
        data
    }

    fn scan(filter: Document, backwards: bool, skip: usize, limit: usize) -> View {
        View { source: Source::Scan(Scan { filter, backwards, skip, limit, after: None }), projection: None }
    }

    fn ids(answer: &Document, batch: &str) -> Vec<i32> {
        let batch = answer.get_document("cursor").unwrap().get_array(batch).unwrap();
        batch.iter().map(|document| document.as_document().unwrap().get_i32("_id").unwrap()).collect()
    }

    fn id(answer: &Document) -> i64 {
        answer.get_document("cursor").unwrap().get_i64("id").unwrap()
    }

    #[test]
    fn scan_goes_on_where_it_stood_whatever_changed() {
        let mut data = data(10);
        let mut cursors = Cursors::default();
        let view = scan(doc! {"even": true}, false, 1, 3);
        let answer = cursors.first(&data, NAMESPACE, view, Some(1), false).unwrap();
        assert_eq!(ids(&answer, "firstBatch"), [2]);
        data.remove(NAMESPACE, &Ordered(4.into()));
        let more = doc! {"getMore": id(&answer), "collection": "c"};
        let answer = cursors.more(&data, "d", &more).unwrap();
        assert_eq!((ids(&answer, "nextBatch"), id(&answer)), (vec![6, 8], 0));
        assert_eq!((cursors.held, cursors.open.len()), (0, 0));
        let view = scan(doc! {"_id": {"$gte": 3, "$lt": 8}}, true, 0, usize::MAX);
        let answer = cursors.first(&data, NAMESPACE, view, Some(2), false).unwrap();
        assert_eq!(ids(&answer, "firstBatch"), [7, 6]);
        let answer = cursors.more(&data, "d", &doc! {"getMore": id(&answer), "collection": "c"}).unwrap();
        assert_eq!(ids(&answer, "nextBatch"), [5, 3]);
    }

    #[test]
    fn cursors_are_bounded_in_number_and_in_bytes() {
        let data = data(3);
        let mut cursors = Cursors { connection: 1, ..Cursors::default() };
        let open = |cursors: &mut Cursors| {
            let view = scan(doc! {}, false, 0, usize::MAX);
            cursors.first(&data, NAMESPACE, view, Some(1), false)
        };
        for _ in 0..MOST_CURSORS {
            open(&mut cursors).unwrap();
        }
        assert_eq!(open(&mut cursors).unwrap_err().code, 146);
        cursors.connection = 2;
        cursors.end_of_connection(1);
        assert_eq!((cursors.held, cursors.open.len()), (0, 0));
        let large = || vec![doc! {"x": "x".repeat(MOST_BYTES - 1000)}; 3];
        let mut opened = 0;
        while cursors.first(&data, NAMESPACE, large().into(), Some(1), false).is_ok() {
            opened += 1;
        }
        assert_eq!(opened, 2);
    }
}
