//! All documents, in memory, ordered by `_id`; what changes is noted for the disk. Knows no command.

use std::collections::BTreeMap;
use std::ops::Bound;

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};

use super::answer::Refusal;
use super::compare::{Ordered, compare};
use super::disk::{Change, Kept};
use super::path::get;

/// Longest document, in bytes.
const MOST_DOCUMENT: usize = 16 * 1024 * 1024;

/// All collections by namespace (`database.collection`).
#[derive(Debug, Default)]
pub(super) struct Data {
    collections: BTreeMap<String, Collection>,
    changes: Vec<Change>,
}

/// One collection.
#[derive(Debug, Default)]
pub(super) struct Collection {
    documents: BTreeMap<Ordered, Document>,
    indexes: Vec<Document>,
}

impl Collection {
    /// The documents whose `_id` lies within what `filter` says of it, in its order.
    pub(super) fn candidates<'a>(
        &'a self,
        filter: &Document,
    ) -> Box<dyn DoubleEndedIterator<Item = &'a Document> + 'a> {
        match bounds(filter) {
            Some((low, high)) if is_range(&low, &high) => {
                Box::new(self.documents.range((low, high)).map(|(_, document)| document))
            }
            Some(_) => Box::new(std::iter::empty()),
            None => Box::new(self.documents.values()),
        }
    }

    /// How many documents there are.
    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    /// The definitions of the indexes, `_id_` first.
    pub(super) fn indexes(&self) -> Vec<Document> {
        let mut all = vec![doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"}];
        all.extend(self.indexes.iter().cloned());
        all
    }

    /// Refuses a document that a unique index forbids. `but` is the `_id` of the document that it replaces.
    fn check_unique(&self, namespace: &str, document: &Document, but: Option<&Bson>) -> Result<(), Refusal> {
        for index in self.indexes.iter().filter(|index| index.get_bool("unique").unwrap_or(false)) {
            let Ok(keys) = index.get_document("key") else { continue };
            let value = |document: &Document| {
                let values = keys.keys().map(|path| get(document, path).cloned().unwrap_or(Bson::Null));
                Bson::Array(values.collect())
            };
            let sparse = index.get_bool("sparse").unwrap_or(false);
            if sparse && keys.keys().all(|path| get(document, path).is_none()) {
                continue;
            }
            let wanted = value(document);
            let taken = self.documents.iter().any(|(id, other)| {
                but.is_none_or(|but| compare(&id.0, but).is_ne()) && compare(&value(other), &wanted).is_eq()
            });
            if taken {
                let name = index.get_str("name").unwrap_or_default();
                let key: Document = keys
                    .keys()
                    .map(|path| (path.clone(), get(document, path).cloned().unwrap_or(Bson::Null)))
                    .collect();
                return Err(duplicate(namespace, name, keys.clone(), key));
            }
        }
        Ok(())
    }
}

impl Data {
    /// What the disk held.
    ///
    /// # Errors
    /// When that is no BSON.
    pub(super) fn load(kept: Kept) -> anyhow::Result<Self> {
        let mut data = Self::default();
        for (namespace, options) in kept.collections {
            let options = Document::from_reader(&options[..])?;
            let indexes = options
                .get_array("indexes")
                .map(|indexes| indexes.iter().filter_map(|index| index.as_document().cloned()).collect());
            data.collections.entry(namespace).or_default().indexes = indexes.unwrap_or_default();
        }
        for (namespace, document) in kept.documents {
            let document = Document::from_reader(&document[..])?;
            let id = Ordered(document.get("_id").cloned().unwrap_or(Bson::Null));
            data.collections.entry(namespace).or_default().documents.insert(id, document);
        }
        Ok(data)
    }

    /// How many changes are still to be written.
    pub(super) fn pending(&self) -> usize {
        self.changes.len()
    }

    /// What changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Puts changes that could not be written back before those that came since.
    pub(super) fn put_back(&mut self, mut changes: Vec<Change>) {
        changes.append(&mut self.changes);
        self.changes = changes;
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
        self.collections.insert(namespace.to_owned(), Collection::default());
        self.note_collection(namespace);
        true
    }

    /// Removes a collection; false when there was none.
    pub(super) fn drop_collection(&mut self, namespace: &str) -> bool {
        let there = self.collections.remove(namespace).is_some();
        if there {
            self.changes.push(Change::Collection { namespace: namespace.to_owned(), now: None });
        }
        there
    }

    /// Adds an index; what is there must fit it. False when it was there.
    pub(super) fn create_index(&mut self, namespace: &str, index: Document) -> Result<bool, Refusal> {
        self.create(namespace);
        let Some(collection) = self.collections.get_mut(namespace) else { return Ok(false) };
        if collection.indexes().iter().any(|known| known.get("name") == index.get("name")) {
            return Ok(false);
        }
        collection.indexes.push(index);
        let fits = collection
            .documents
            .values()
            .try_for_each(|document| collection.check_unique(namespace, document, document.get("_id")));
        if fits.is_err() {
            collection.indexes.pop();
        }
        fits?;
        self.note_collection(namespace);
        Ok(true)
    }

    /// Removes indexes by name, or all for `*`; false when there was none.
    pub(super) fn drop_index(&mut self, namespace: &str, name: &str) -> bool {
        let Some(collection) = self.collections.get_mut(namespace) else { return false };
        let before = collection.indexes.len();
        collection.indexes.retain(|index| name != "*" && index.get_str("name").ok() != Some(name));
        let dropped = collection.indexes.len() < before || name == "*";
        self.note_collection(namespace);
        dropped
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
        self.create(namespace);
        let collection = self.collections.entry(namespace.to_owned()).or_default();
        if collection.documents.contains_key(&Ordered(id.clone())) {
            return Err(duplicate(namespace, "_id_", doc! {"_id": 1}, doc! {"_id": id}));
        }
        collection.check_unique(namespace, &document, None)?;
        self.store(namespace, id.clone(), document)?;
        Ok(id)
    }

    /// Replaces the document with the `_id` of `document`.
    pub(super) fn replace(&mut self, namespace: &str, document: Document) -> Result<(), Refusal> {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        if let Some(collection) = self.collections.get(namespace) {
            collection.check_unique(namespace, &document, Some(&id))?;
        }
        self.store(namespace, id, document)
    }

    /// Removes a document.
    pub(super) fn remove(&mut self, namespace: &str, id: &Bson) {
        let Some(collection) = self.collections.get_mut(namespace) else { return };
        if let Some((id, _)) = collection.documents.remove_entry(&Ordered(id.clone())) {
            let id = encoded_id(&id.0);
            self.changes.push(Change::Document { namespace: namespace.to_owned(), id, now: None });
        }
    }

    fn store(&mut self, namespace: &str, id: Bson, document: Document) -> Result<(), Refusal> {
        let bytes =
            document.to_vec().map_err(|_| Refusal::bad_value("the document cannot be written as BSON"))?;
        if bytes.len() > MOST_DOCUMENT {
            return Err(Refusal::new(
                10334,
                "BSONObjectTooLarge",
                format!("a document of {} bytes is too large", bytes.len()),
            ));
        }
        let collection = self.collections.entry(namespace.to_owned()).or_default();
        let change =
            Change::Document { namespace: namespace.to_owned(), id: encoded_id(&id), now: Some(bytes) };
        collection.documents.insert(Ordered(id), document);
        self.changes.push(change);
        Ok(())
    }

    fn note_collection(&mut self, namespace: &str) {
        let Some(collection) = self.collections.get(namespace) else { return };
        let options = doc! {"indexes": collection.indexes.clone()};
        let now = Some(options.to_vec().unwrap_or_default());
        self.changes.push(Change::Collection { namespace: namespace.to_owned(), now });
    }
}

/// Equal ids have one form on the disk: whole numbers are of one width.
fn encoded_id(id: &Bson) -> Vec<u8> {
    let id = match id {
        Bson::Int32(number) => Bson::Int64(i64::from(*number)),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => Bson::Int64(*number as i64),
        other => other.clone(),
    };
    doc! {"_id": id}.to_vec().unwrap_or_default()
}

fn duplicate(namespace: &str, index: &str, pattern: Document, value: Document) -> Refusal {
    let message =
        format!("E11000 duplicate key error collection: {namespace} index: {index} dup key: {value}");
    let mut refusal = Refusal::new(11000, "DuplicateKey", message);
    refusal.more = Some(Box::new(doc! {"keyPattern": pattern, "keyValue": value}));
    refusal
}

type Bounds = (Bound<Ordered>, Bound<Ordered>);

/// What a filter says of `_id`, as far as that is a range.
fn bounds(filter: &Document) -> Option<Bounds> {
    let one = |value: &Bson| {
        let value = Ordered(value.clone());
        Some((Bound::Included(value.clone()), Bound::Included(value)))
    };
    match filter.get("_id")? {
        Bson::Document(operators) if super::query::is_operators(operators) => {
            let (mut low, mut high) = (Bound::Unbounded, Bound::Unbounded);
            for (operator, value) in operators {
                let value_of = || Ordered(value.clone());
                match operator.as_str() {
                    "$eq" => return one(value),
                    "$gt" => low = Bound::Excluded(value_of()),
                    "$gte" => low = Bound::Included(value_of()),
                    "$lt" => high = Bound::Excluded(value_of()),
                    "$lte" => high = Bound::Included(value_of()),
                    _ => {}
                }
            }
            Some((low, high))
        }
        Bson::RegularExpression(_) => None,
        value => one(value),
    }
}

/// Whether a range is one that can be asked for: the map panics over any other.
fn is_range(low: &Bound<Ordered>, high: &Bound<Ordered>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low <= high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low < high
        }
        _ => true,
    }
}
