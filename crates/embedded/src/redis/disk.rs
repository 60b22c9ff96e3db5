//! The data file: the log folded into it, all keys read at the start. Blocking; knows no command.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::file::commit;
use crate::redis::log::{self, Folded};

/// Key to end (milliseconds since 1970, or -1) and value.
const KEYS: TableDefinition<'_, &[u8], (i64, &[u8])> = TableDefinition::new("keys-v1");
/// A key as it was kept: name, value, end.
pub(super) type Kept = (Bytes, Bytes, Option<i64>);

/// Every key of the file and of the log in `folder`, with the number of the last record. `last` is that of the file.
pub(super) fn read(database: &Database, folder: &Path, last: u64) -> anyhow::Result<(Vec<Kept>, u64)> {
    let folded = log::fold(folder, last, u64::MAX)?;
    commit(database, folded.last, |transaction, _| write(transaction, &folded))?;
    let table = database.begin_read()?.open_table(KEYS)?;
    let mut kept = Vec::new();
    for row in table.iter()? {
        let (key, row) = row?;
        let (expires, value) = row.value();
        let expires = (expires >= 0).then_some(expires);
        kept.push((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value), expires));
    }
    Ok((kept, folded.last))
}

/// Writes what the log says within a transaction; a key that has ended by now is gone.
pub(super) fn write(transaction: &WriteTransaction, folded: &Folded) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    if folded.cleared {
        transaction.delete_table(KEYS)?;
    }
    let mut table = transaction.open_table(KEYS)?;
    for (key, value) in &folded.keys {
        match value {
            Some((value, expires)) if expires.is_none_or(|at| at > now) => {
                table.insert(key.as_ref(), (expires.unwrap_or(-1), value.as_ref()))?;
            }
            _ => {
                table.remove(key.as_ref())?;
            }
        }
    }
    Ok(())
}
