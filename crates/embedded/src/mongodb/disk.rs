//! The data file: everything read at the start, changes written as one transaction. Blocking; knows no command.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

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

impl Change {
    /// Where it belongs.
    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Document { namespace, .. } | Self::Collection { namespace, .. } => namespace,
        }
    }
}

/// What the file held.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) collections: Vec<(String, Vec<u8>)>,
    /// Namespace, `_id` (as a document), document.
    pub(super) documents: Vec<(String, Vec<u8>, Vec<u8>)>,
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
        let (namespace, id) = key.value();
        kept.documents.push((namespace.to_owned(), id.to_vec(), document.value().to_vec()));
    }
    Ok(kept)
}

/// Writes changes within a transaction.
pub(super) fn write<'a>(
    transaction: &WriteTransaction,
    changes: impl Iterator<Item = &'a Change>,
) -> anyhow::Result<()> {
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
                documents.retain_in((namespace.as_str(), &[][..])..(next.as_str(), &[][..]), |_, _| false)?;
            }
        }
    }
    Ok(())
}
