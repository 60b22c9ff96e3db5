//! The data file: all keys read at the start, changes written as one transaction. Blocking; knows no command.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use bytes::Bytes;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::embedded::redis::keyspace::Changes;

/// The file within the folder of the options.
pub(super) const FILE: &str = "redis.redb";
/// Key to end (milliseconds since 1970, or -1) and value.
const KEYS: TableDefinition<'_, &[u8], (i64, &[u8])> = TableDefinition::new("keys-v1");
/// All keys are in memory anyway, so the file's pages need little room there.
const CACHE: usize = 8 * 1024 * 1024;

/// A key as it was kept: name, value, end.
pub(super) type Kept = (Bytes, Bytes, Option<i64>);

/// The open data file. It is locked against other processes.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// `None` after a failed write: the library gives up a database then, and it must be opened again.
    database: Mutex<Option<Database>>,
}

impl Disk {
    /// Opens or makes the file and reads what it holds.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or read, is in use by another process, or is no data file.
    pub(super) fn open(folder: &Path) -> anyhow::Result<(Self, Vec<Kept>)> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let path = folder.join(FILE);
        let database = match Builder::new().set_cache_size(CACHE).create(&path) {
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                bail!("the Redis data file {} is in use by another process", path.display())
            }
            other => other.with_context(|| unreadable(&path))?,
        };
        let kept = read(&database).with_context(|| unreadable(&path))?;
        Ok((Self { path, database: Mutex::new(Some(database)) }, kept))
    }

    /// Writes changes, all or none; they are on the disk when this returns.
    ///
    /// # Errors
    /// When the disk is full or broken. Nothing has changed then, and the next call tries afresh.
    pub(super) fn write(&self, changes: &Changes) -> anyhow::Result<()> {
        let mut place = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match place.take() {
            Some(database) => database,
            // Not `create`: a file that vanished must not come back with a part of the keys.
            None => Builder::new().set_cache_size(CACHE).open(&self.path)?,
        };
        write(&database, changes)?;
        *place = Some(database);
        Ok(())
    }
}

fn read(database: &Database) -> anyhow::Result<Vec<Kept>> {
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

fn write(database: &Database, changes: &Changes) -> anyhow::Result<()> {
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

fn unreadable(path: &Path) -> String {
    format!("cannot read the Redis data file {}; to start empty, move it away", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &'static str) -> Changes {
        let key = Bytes::from_static(key.as_bytes());
        Changes { cleared: false, keys: vec![(key, Some((Bytes::from_static(b"value"), None)))] }
    }

    #[test]
    fn after_a_failed_write_the_file_is_opened_again_and_never_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, kept) = Disk::open(folder.path()).unwrap();
        assert!(kept.is_empty());
        disk.write(&change("a")).unwrap();
        // As a failed write leaves it.
        *disk.database.lock().unwrap() = None;
        let (file, away) = (folder.path().join(FILE), folder.path().join("away"));
        std::fs::rename(&file, &away).unwrap();
        assert!(disk.write(&change("b")).is_err());
        assert!(!file.exists());
        std::fs::rename(&away, &file).unwrap();
        disk.write(&change("c")).unwrap();
        drop(disk);
        let kept = Disk::open(folder.path()).unwrap().1;
        assert_eq!(kept.iter().map(|(key, ..)| key.as_ref()).collect::<Vec<_>>(), [b"a", b"c"]);
    }
}
