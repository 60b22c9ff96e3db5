//! The data file: all keys read at the start, changes written as one transaction. Blocking; knows no command.

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::redis::keyspace::Changes;

/// The file within the folder of the options.
pub(super) const FILE: &str = "redis.redb";
/// Key to end (milliseconds since 1970, or -1) and value.
const KEYS: TableDefinition<'_, &[u8], (i64, &[u8])> = TableDefinition::new("keys-v1");
/// A key as it was kept: name, value, end.
pub(super) type Kept = (Bytes, Bytes, Option<i64>);

/// Every key of the file.
pub(super) fn read(database: &Database) -> anyhow::Result<Vec<Kept>> {
    let transaction = database.begin_write()?;
    transaction.open_table(KEYS)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(KEYS)?;
    let mut kept = Vec::new();
    for row in table.iter()? {
        let (key, row) = row?;
        let (expires, value) = row.value();
        let expires = (expires >= 0).then_some(expires);
        kept.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value), expires));
    }
    Ok(kept)
}

/// Writes changes, all or none.
pub(super) fn write(database: &Database, changes: &Changes) -> anyhow::Result<()> {
    let transaction = database.begin_write()?;
    if changes.cleared {
        transaction.delete_table(KEYS)?;
    }
    {
        let mut table = transaction.open_table(KEYS)?;
        for (key, now) in &changes.keys {
            match now {
                Some((value, expires)) => {
                    table.insert(key.as_ref(), (expires.unwrap_or(-1), value.as_ref()))?;
                }
                None => {
                    table.remove(key.as_ref())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
