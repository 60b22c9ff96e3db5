//! The data file: everything read at the start, changes written as one transaction. Blocking; knows no command.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

/// The file within the folder of the options.
pub(super) const FILE: &str = "mongodb.redb";
/// Namespace and `_id` (as a BSON document) to the document.
const DOCUMENTS: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("documents-v1");
/// Namespace to what is known of a collection (a BSON document).
const COLLECTIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("collections-v1");
/// One change, of a document (with its `_id`) or of a collection.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// A document is now this, or gone.
    Document { namespace: String, id: Vec<u8>, now: Option<Vec<u8>> },
    /// A collection is now this, or gone with all its documents.
    Collection { namespace: String, now: Option<Vec<u8>> },
}

/// What the file held.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) collections: Vec<(String, Vec<u8>)>,
    pub(super) documents: Vec<(String, Vec<u8>)>,
}

/// Everything in the file.
pub(super) fn read(database: &Database) -> anyhow::Result<Kept> {
    let transaction = database.begin_write()?;
    transaction.open_table(DOCUMENTS)?;
    transaction.open_table(COLLECTIONS)?;
    transaction.commit()?;
    let transaction = database.begin_read()?;
    let mut kept = Kept::default();
    for row in transaction.open_table(COLLECTIONS)?.iter()? {
        let (namespace, options) = row?;
        kept.collections.push((namespace.value().to_owned(), options.value().to_vec()));
    }
    for row in transaction.open_table(DOCUMENTS)?.iter()? {
        let (key, document) = row?;
        kept.documents.push((key.value().0.to_owned(), document.value().to_vec()));
    }
    Ok(kept)
}

/// Writes changes, all or none.
pub(super) fn write(database: &Database, changes: &Vec<Change>) -> anyhow::Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut documents = transaction.open_table(DOCUMENTS)?;
        let mut collections = transaction.open_table(COLLECTIONS)?;
        for change in changes {
            match change {
                Change::Document { namespace, id, now: Some(now) } => {
                    documents.insert((namespace.as_str(), id.as_slice()), now.as_slice())?;
                }
                Change::Document { namespace, id, now: None } => {
                    documents.remove((namespace.as_str(), id.as_slice()))?;
                }
                Change::Collection { namespace, now: Some(now) } => {
                    collections.insert(namespace.as_str(), now.as_slice())?;
                }
                Change::Collection { namespace, now: None } => {
                    collections.remove(namespace.as_str())?;
                    // A name followed by a zero byte comes right after all keys that begin with the name.
                    let next = format!("{namespace}\0");
                    documents
                        .retain_in((namespace.as_str(), &[][..])..(next.as_str(), &[][..]), |_, _| false)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
