//! One collection in memory: its documents by `_id`, its indexes, walks in order. Notes nothing for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::answer::Refusal;
use super::compare::{Ordered, compare};
use super::path::get;

/// A document where it lies: its `_id`, and itself. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: Arc<Ordered>,
    pub(super) document: Arc<Document>,
}

/// One collection.
#[derive(Clone, Debug, Default)]
pub(super) struct Collection {
    pub(super) documents: BTreeMap<Arc<Ordered>, Arc<Document>>,
    pub(super) indexes: Vec<Document>,
    /// Documents of older builds that are nested too deeply to be decoded: they stay on the disk, and keep their `_id`.
    pub(super) set_aside: BTreeSet<Ordered>,
}

impl Collection {
    /// The documents whose `_id` lies within what `filter` says of it, in its order or against it, after the one with the
    /// `_id` `after`.
    pub(super) fn walk<'a>(
        &'a self,
        filter: &Document,
        after: Option<&Arc<Ordered>>,
        backwards: bool,
    ) -> Box<dyn Iterator<Item = Found> + 'a> {
        let (mut low, mut high) = bounds(filter).unwrap_or((Bound::Unbounded, Bound::Unbounded));
        if let Some(after) = after {
            *(if backwards { &mut high } else { &mut low }) = Bound::Excluded(Ordered(after.0.clone()));
        }
        if !is_range(&low, &high) {
            return Box::new(std::iter::empty());
        }
        let range = self.documents.range::<Ordered, _>((low, high));
        let found = |(id, document): (&Arc<Ordered>, &Arc<Document>)| Found {
            id: id.clone(),
            document: document.clone(),
        };
        if backwards { Box::new(range.rev().map(found)) } else { Box::new(range.map(found)) }
    }

    /// The document with this `_id`.
    pub(super) fn document(&self, id: &Ordered) -> Option<&Arc<Document>> {
        self.documents.get(id)
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

    /// As it is stored.
    pub(super) fn options(&self) -> Vec<u8> {
        doc! {"indexes": self.indexes.clone()}.to_vec().unwrap_or_default()
    }

    /// Refuses a document that a unique index forbids. `but` is the `_id` of the document that it replaces.
    pub(super) fn check_unique(
        &self,
        namespace: &str,
        document: &Document,
        but: Option<&Bson>,
    ) -> Result<(), Refusal> {
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

/// The refusal of a key that is there already.
pub(super) fn duplicate(namespace: &str, index: &str, pattern: Document, value: Document) -> Refusal {
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
