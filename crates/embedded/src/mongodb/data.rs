//! All documents, in memory, ordered by `_id`; what changes is noted for the disk, and can be undone. Knows no command.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};

use super::answer::Refusal;
use super::collection::{Collection, duplicate};
use super::compare::{Ordered, truncated};
use super::disk::{Change, Kept};
use super::nesting;

/// Longest document, in bytes.
const MOST_DOCUMENT: usize = 16 * 1024 * 1024;

/// All collections by namespace (`database.collection`).
#[derive(Debug, Default)]
pub(super) struct Data {
    collections: BTreeMap<String, Collection>,
    changes: Vec<Undo>,
}

/// A change with what it replaced.
#[derive(Debug)]
pub(super) struct Undo {
    change: Change,
    before: Before,
}

/// What a change replaced.
#[derive(Debug)]
enum Before {
    /// That document, or none.
    Document(Arc<Ordered>, Option<Arc<Document>>),
    /// That collection, or none.
    Collection(Option<Collection>),
    /// A collection with these indexes.
    Indexes(Vec<Document>),
}

impl Data {
    /// What the disk held. What is nested too deeply is not decoded and stays where it is.
    ///
    /// # Errors
    /// When something is no BSON.
    pub(super) fn load(kept: Kept) -> anyhow::Result<Self> {
        let mut data = Self::default();
        for (namespace, options) in kept.collections {
            let collection = data.collections.entry(namespace.clone()).or_default();
            if nesting::scan(&options, nesting::MOST_COMMAND) == Err(nesting::Fault::TooDeep) {
                tracing::warn!("the indexes of {namespace} are nested too deeply and are not used");
                continue;
            }
            let options = Document::from_reader(&options[..])?;
            let indexes = options
                .get_array("indexes")
                .map(|indexes| indexes.iter().filter_map(|index| index.as_document().cloned()).collect());
            collection.indexes = indexes.unwrap_or_default();
        }
        let mut too_deep: BTreeMap<String, usize> = BTreeMap::new();
        for (namespace, key, document) in kept.documents {
            let collection = data.collections.entry(namespace.clone()).or_default();
            if nesting::scan(&document, nesting::MOST) == Err(nesting::Fault::TooDeep) {
                // An `_id` that is nested too deeply itself cannot come a second time.
                if nesting::scan(&key, nesting::MOST).is_ok() {
                    let id = Document::from_reader(&key[..])?.remove("_id");
                    collection.set_aside.insert(Ordered(id.unwrap_or(Bson::Null)));
                }
                *too_deep.entry(namespace).or_default() += 1;
                continue;
            }
            let document = Document::from_reader(&document[..])?;
            let id = Ordered(document.get("_id").cloned().unwrap_or(Bson::Null));
            collection.documents.insert(Arc::new(id), Arc::new(document));
        }
        for (namespace, count) in too_deep {
            tracing::warn!(
                "{namespace}: {count} documents have more than {} levels of nesting; they stay in the data file and are \
                 not served",
                nesting::MOST
            );
        }
        Ok(data)
    }

    /// How many changes are still to be written.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// What changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Undo> {
        std::mem::take(&mut self.changes)
    }

    /// Undoes changes that could not be written, and all that came since. Returns changes that bring a file that holds some
    /// of them to what is in memory now.
    pub(super) fn undo(&mut self, mut changes: Vec<Undo>) -> Vec<Change> {
        changes.append(&mut self.changes);
        let mut touched = Vec::new();
        for Undo { change, before } in changes.into_iter().rev() {
            let namespace = change.namespace().to_owned();
            match before {
                Before::Document(id, before) => {
                    let collection = self.collections.entry(namespace.clone()).or_default();
                    let now = before.as_ref().and_then(|document| document.to_vec().ok());
                    touched.push(Change::Document { namespace, id: encoded_id(&id.0), now });
                    match before {
                        Some(document) => drop(collection.documents.insert(id, document)),
                        None => drop(collection.documents.remove(&*id)),
                    }
                }
                Before::Collection(None) => {
                    self.collections.remove(&namespace);
                    touched.push(Change::Collection { namespace, now: None });
                }
                Before::Collection(Some(before)) => {
                    let now = Some(before.options());
                    touched.push(Change::Collection { namespace: namespace.clone(), now });
                    touched.extend(before.documents.iter().map(|(id, document)| Change::Document {
                        namespace: namespace.clone(),
                        id: encoded_id(&id.0),
                        now: document.to_vec().ok(),
                    }));
                    self.collections.insert(namespace, before);
                }
                Before::Indexes(indexes) => {
                    let collection = self.collections.entry(namespace.clone()).or_default();
                    collection.indexes = indexes;
                    touched.push(Change::Collection { namespace, now: Some(collection.options()) });
                }
            }
        }
        touched
    }

    /// A collection, if it exists.
    pub(super) fn get(&self, namespace: &str) -> Option<&Collection> {
        self.collections.get(namespace)
    }

    /// Namespaces in order.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&String, &Collection)> {
        self.collections.iter()
    }

    /// Makes a collection; false when it was there.
    pub(super) fn create(&mut self, namespace: &str) -> bool {
        if self.collections.contains_key(namespace) {
            return false;
        }
        let collection = Collection::default();
        let now = Some(collection.options());
        self.collections.insert(namespace.to_owned(), collection);
        let change = Change::Collection { namespace: namespace.to_owned(), now };
        self.changes.push(Undo { change, before: Before::Collection(None) });
        true
    }

    /// Removes a collection; false when there was none.
    pub(super) fn drop_collection(&mut self, namespace: &str) -> bool {
        let Some(before) = self.collections.remove(namespace) else { return false };
        let change = Change::Collection { namespace: namespace.to_owned(), now: None };
        self.changes.push(Undo { change, before: Before::Collection(Some(before)) });
        true
    }

    /// Adds an index; what is there must fit it. False when it was there.
    pub(super) fn create_index(&mut self, namespace: &str, index: Document) -> Result<bool, Refusal> {
        nesting::check(&index)?;
        self.create(namespace);
        let Some(collection) = self.collections.get_mut(namespace) else { return Ok(false) };
        if collection.indexes().iter().any(|known| known.get("name") == index.get("name")) {
            return Ok(false);
        }
        let before = collection.indexes.clone();
        collection.indexes.push(index);
        let fits = collection
            .documents
            .values()
            .try_for_each(|document| collection.check_unique(namespace, document, document.get("_id")));
        if fits.is_err() {
            collection.indexes.pop();
        }
        fits?;
        self.note_indexes(namespace, before);
        Ok(true)
    }

    /// Removes indexes by name, or all for `*`; false when there was none.
    pub(super) fn drop_index(&mut self, namespace: &str, name: &str) -> bool {
        let Some(collection) = self.collections.get_mut(namespace) else { return false };
        let before = collection.indexes.clone();
        collection.indexes.retain(|index| name != "*" && index.get_str("name").ok() != Some(name));
        let dropped = collection.indexes.len() < before.len();
        if dropped {
            self.note_indexes(namespace, before);
        }
        dropped || name == "*"
    }

    /// Adds a document and returns its `_id`, which is made when it has none.
    pub(super) fn insert(&mut self, namespace: &str, mut document: Document) -> Result<Bson, Refusal> {
        let id = match document.get("_id") {
            Some(Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined) => {
                return Err(Refusal::bad_value("The '_id' value cannot be of this type"));
            }
            Some(id) => id.clone(),
            None => {
                let id = Bson::ObjectId(ObjectId::new());
                let rest = std::mem::replace(&mut document, doc! {"_id": id.clone()});
                document.extend(rest);
                id
            }
        };
        let bytes = encoded(&document)?;
        self.create(namespace);
        let collection = self.collections.entry(namespace.to_owned()).or_default();
        let key = Ordered(id.clone());
        if collection.documents.contains_key(&key) || collection.set_aside.contains(&key) {
            return Err(duplicate(namespace, "_id_", doc! {"_id": 1}, doc! {"_id": id}));
        }
        collection.check_unique(namespace, &document, None)?;
        self.store(namespace, key, document, bytes);
        Ok(id)
    }

    /// Replaces the document with the `_id` of `document`.
    pub(super) fn replace(&mut self, namespace: &str, document: Document) -> Result<(), Refusal> {
        let bytes = encoded(&document)?;
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        if let Some(collection) = self.collections.get(namespace) {
            collection.check_unique(namespace, &document, Some(&id))?;
        }
        self.store(namespace, Ordered(id), document, bytes);
        Ok(())
    }

    /// Removes a document.
    pub(super) fn remove(&mut self, namespace: &str, id: &Ordered) {
        let Some(collection) = self.collections.get_mut(namespace) else { return };
        if let Some((id, document)) = collection.documents.remove_entry(id) {
            let change =
                Change::Document { namespace: namespace.to_owned(), id: encoded_id(&id.0), now: None };
            self.changes.push(Undo { change, before: Before::Document(id, Some(document)) });
        }
    }

    fn store(&mut self, namespace: &str, id: Ordered, document: Document, bytes: Vec<u8>) {
        let collection = self.collections.entry(namespace.to_owned()).or_default();
        let change =
            Change::Document { namespace: namespace.to_owned(), id: encoded_id(&id.0), now: Some(bytes) };
        let id = Arc::new(id);
        let before = collection.documents.insert(id.clone(), Arc::new(document));
        self.changes.push(Undo { change, before: Before::Document(id, before) });
    }

    fn note_indexes(&mut self, namespace: &str, before: Vec<Document>) {
        let Some(collection) = self.collections.get(namespace) else { return };
        let change = Change::Collection { namespace: namespace.to_owned(), now: Some(collection.options()) };
        self.changes.push(Undo { change, before: Before::Indexes(before) });
    }
}

impl Undo {
    /// The change itself.
    pub(super) fn change(&self) -> &Change {
        &self.change
    }
}

/// A document as it is stored; refused when it is too long or nested too deeply.
fn encoded(document: &Document) -> Result<Vec<u8>, Refusal> {
    nesting::check(document)?;
    let bytes =
        document.to_vec().map_err(|_| Refusal::bad_value("the document cannot be written as BSON"))?;
    if bytes.len() > MOST_DOCUMENT {
        let message = format!("a document of {} bytes is too large", bytes.len());
        return Err(Refusal::new(10334, "BSONObjectTooLarge", message));
    }
    Ok(bytes)
}

/// Equal ids have one form on the disk: whole numbers are of one width.
fn encoded_id(id: &Bson) -> Vec<u8> {
    let id = match id {
        Bson::Int32(number) => Bson::Int64(i64::from(*number)),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Bson::Int64(truncated(*number))
        }
        other => other.clone(),
    };
    doc! {"_id": id}.to_vec().unwrap_or_default()
}
