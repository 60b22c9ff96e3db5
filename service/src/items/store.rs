//! The items in MongoDB. Plain commands only; every one is bounded. What is read stays raw: decoding a document recurses as
//! deep as it is nested, and an item has no nested fields.

use futures_util::TryStreamExt;
use mongodb::Collection;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;

use crate::items::id;
use crate::items::model::{Change, Draft, Item, Page};
use crate::mongodb::{Away, Mongodb, Operation};

/// The collection.
const ITEMS: &str = "items";

/// The items.
#[derive(Clone)]
pub(super) struct Store {
    mongodb: Mongodb,
}

impl Store {
    pub(super) fn new(mongodb: Mongodb) -> Self {
        Self { mongodb }
    }

    /// Fails when MongoDB is known to be away.
    pub(super) fn reachable(&self) -> Result<(), Away> {
        if self.mongodb.is_away() { Err(Away) } else { Ok(()) }
    }

    pub(super) async fn create(&self, draft: Draft) -> Result<Item, Away> {
        let now = DateTime::now();
        let mut document = fields(&draft);
        document.insert("created_at", now);
        document.insert("updated_at", now);
        let id = self
            .mongodb
            .run(Operation::Insert, |database| async move {
                // As late as possible: a reader that follows the list meets items in the order of their ids.
                let id = id::next();
                document.insert("_id", id);
                database.collection(ITEMS).insert_one(document).await.map(|_| id)
            })
            .await?;
        Ok(Item {
            id: id.to_hex(),
            name: draft.name,
            description: draft.description,
            tags: draft.tags,
            created_at: text_of(now),
            updated_at: text_of(now),
        })
    }

    pub(super) async fn list(&self, after: Option<ObjectId>, limit: u16) -> Result<Page, Away> {
        let filter = after.map_or_else(Document::new, |id| doc! {"_id": {"$gt": id}});
        // One more tells whether there is a next page.
        let most = i64::from(limit) + 1;
        let documents: Vec<RawDocumentBuf> = self
            .mongodb
            .run(Operation::Find, |database| async move {
                collection(&database)
                    .find(filter)
                    .sort(doc! {"_id": 1})
                    .limit(most)
                    .await?
                    .try_collect()
                    .await
            })
            .await?;
        let mut items: Vec<Item> = documents.iter().map(|document| item(document)).collect();
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        let next_cursor = if more { items.last().map(|item| item.id.clone()) } else { None };
        Ok(Page { items, next_cursor })
    }

    pub(super) async fn get(&self, id: ObjectId) -> Result<Option<Item>, Away> {
        let found =
            self.mongodb
                .run(Operation::Find, |database| async move {
                    collection(&database).find_one(doc! {"_id": id}).await
                })
                .await?;
        Ok(found.as_deref().map(item))
    }

    /// An item, and a filter that finds it for as long as it stays as it is.
    pub(super) async fn state(&self, id: ObjectId) -> Result<Option<(Item, Document)>, Away> {
        let found =
            self.mongodb
                .run(Operation::Find, |database| async move {
                    collection(&database).find_one(doc! {"_id": id}).await
                })
                .await?;
        Ok(found.as_deref().map(|document| (item(document), unchanged(id, document))))
    }

    /// Writes the item that `filter` finds; `None` when it finds none.
    pub(super) async fn write(&self, filter: Document, write: Write) -> Result<Option<Written>, Away> {
        match write {
            Write::Update(update) => {
                let run = self.mongodb.run(Operation::Update, |database| async move {
                    let items = collection(&database);
                    items.find_one_and_update(filter, update).return_document(ReturnDocument::After).await
                });
                Ok(run.await?.as_deref().map(|document| Written::Item(item(document))))
            }
            Write::Delete => {
                let run = self.mongodb.run(Operation::Delete, |database| async move {
                    collection(&database).delete_one(filter).await
                });
                Ok((run.await?.deleted_count > 0).then_some(Written::Gone))
            }
        }
    }
}

/// What becomes of an item.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// A change by these operators.
    Update(Document),
    /// Its end.
    Delete,
}

/// What became of it.
pub(super) enum Written {
    /// The item after the change.
    Item(Item),
    /// It was removed.
    Gone,
}

impl From<Draft> for Write {
    /// All fields are replaced.
    fn from(draft: Draft) -> Self {
        let mut set = fields(&draft);
        set.insert("updated_at", DateTime::now());
        let mut update = doc! {"$set": set};
        if draft.description.is_none() {
            update.insert("$unset", doc! {"description": ""});
        }
        Self::Update(update)
    }
}

impl From<Change> for Write {
    fn from(change: Change) -> Self {
        let mut set = doc! {"updated_at": DateTime::now()};
        let mut update = Document::new();
        if let Some(name) = change.name {
            set.insert("name", name);
        }
        if let Some(tags) = change.tags {
            set.insert("tags", tags);
        }
        match change.description {
            Some(Some(description)) => drop(set.insert("description", description)),
            Some(None) => drop(update.insert("$unset", doc! {"description": ""})),
            None => {}
        }
        update.insert("$set", set);
        Self::Update(update)
    }
}

/// A filter by all that makes the representation of an item: its time alone has a resolution of a millisecond. Values of other
/// types, which only another program writes, are left out.
fn unchanged(id: ObjectId, document: &RawDocument) -> Document {
    let mut filter = doc! {"_id": id};
    if let Ok(time) = document.get_datetime("updated_at") {
        filter.insert("updated_at", time);
    }
    if let Ok(name) = document.get_str("name") {
        filter.insert("name", name);
    }
    match document.get("description") {
        Ok(None) => drop(filter.insert("description", doc! {"$exists": false})),
        Ok(Some(RawBsonRef::String(description))) => drop(filter.insert("description", description)),
        _ => {}
    }
    if let Ok(tags) = document.get_array("tags") {
        let tags: Option<Vec<&str>> = tags.into_iter().map(|tag| tag.ok()?.as_str()).collect();
        filter.extend(tags.map(|tags| ("tags".to_owned(), doc! {"$eq": tags}.into())));
    }
    filter
}

fn collection(database: &mongodb::Database) -> Collection<RawDocumentBuf> {
    database.collection(ITEMS)
}

fn fields(draft: &Draft) -> Document {
    let mut fields = doc! {"name": &draft.name, "tags": &draft.tags};
    if let Some(description) = &draft.description {
        fields.insert("description", description);
    }
    fields
}

/// A document of someone else may lack anything; an item never does.
fn item(document: &RawDocument) -> Item {
    let time = |key: &str| document.get_datetime(key).ok().map(text_of).unwrap_or_default();
    let text = |key: &str| document.get_str(key).ok().map(str::to_owned);
    let tags = document.get_array("tags").map(|tags| {
        tags.into_iter().filter_map(|tag| tag.ok().and_then(RawBsonRef::as_str).map(str::to_owned)).collect()
    });
    Item {
        id: document.get_object_id("_id").map(ObjectId::to_hex).unwrap_or_default(),
        name: text("name").unwrap_or_default(),
        description: text("description"),
        tags: tags.unwrap_or_default(),
        created_at: time("created_at"),
        updated_at: time("updated_at"),
    }
}

fn text_of(time: DateTime) -> String {
    time.try_to_rfc3339_string().unwrap_or_default()
}
