//! The data file of an embedded store: opened once, written in whole transactions. Blocking; knows no table.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use redb::{Builder, Database, DatabaseError};

/// All data is in memory anyway, so the file's pages need little room there.
const CACHE: usize = 8 * 1024 * 1024;

/// An open data file. It is locked against other processes.
#[derive(Debug)]
pub(super) struct DataFile {
    path: PathBuf,
    /// `None` after a failed write: the library gives up a database then, and it must be opened again.
    database: Mutex<Option<Database>>,
}

impl DataFile {
    /// Opens or makes the file `name` in `folder` and reads what it holds, on a thread that may block; a panic of the library
    /// over a broken file ends there as an error. `store` is how people call it.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or read, is in use by another process, or is no data file.
    pub(super) async fn open<T: Send + 'static>(
        folder: PathBuf,
        name: &'static str,
        store: &'static str,
        read: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<(Self, T)> {
        let path = folder.join(name);
        let shown = path.display().to_string();
        let open = move || {
            make(&folder)?;
            let unreadable = || {
                let path = path.display();
                format!("cannot read the {store} data file {path}; to start empty, move it away")
            };
            let database = match Builder::new().set_cache_size(CACHE).create(&path) {
                Err(DatabaseError::DatabaseAlreadyOpen) => {
                    bail!("the {store} data file {} is in use by another process", path.display())
                }
                other => other.with_context(unreadable)?,
            };
            let kept = read(&database).with_context(unreadable)?;
            Ok((Self { path, database: Mutex::new(Some(database)) }, kept))
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| {
            Err(anyhow!(error).context(format!("the {store} data file {shown} is broken; move it away")))
        })
    }

    /// Writes changes by `write`, which makes one transaction, on a thread that may block; they are on the disk when this
    /// returns.
    ///
    /// # Errors
    /// When the disk is full or broken. Nothing has changed then, and the next call tries afresh.
    pub(super) async fn write<C: Send + Sync + 'static>(
        self: &Arc<Self>,
        changes: Arc<C>,
        write: fn(&Database, &C) -> Result<()>,
    ) -> Result<()> {
        let file = self.clone();
        let outcome =
            tokio::task::spawn_blocking(move || file.write_now(|database| write(database, &changes)));
        outcome.await.unwrap_or_else(|error| Err(anyhow!(error)))
    }

    fn write_now(&self, write: impl FnOnce(&Database) -> Result<()>) -> Result<()> {
        let mut place = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match place.take() {
            Some(database) => database,
            // Not `create`: a file that vanished must not come back with a part of the data.
            None => Builder::new().set_cache_size(CACHE).open(&self.path)?,
        };
        write(&database)?;
        *place = Some(database);
        Ok(())
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{ReadableDatabase, ReadableTable, TableDefinition};

    const TABLE: TableDefinition<'_, &str, ()> = TableDefinition::new("t");

    fn put(database: &Database, key: &&'static str) -> Result<()> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?.insert(*key, ())?;
        Ok(transaction.commit()?)
    }

    fn keys(database: &Database) -> Result<Vec<String>> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        let table = database.begin_read()?.open_table(TABLE)?;
        table.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect()
    }

    #[tokio::test]
    async fn after_a_failed_write_the_file_is_opened_again_and_never_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || DataFile::open(folder.path().to_owned(), "t.redb", "test", keys);
        let (file, kept) = open().await.unwrap();
        let file = Arc::new(file);
        assert!(kept.is_empty());
        file.write(Arc::new("a"), put).await.unwrap();
        // As a failed write leaves it.
        *file.database.lock().unwrap() = None;
        let (path, away) = (folder.path().join("t.redb"), folder.path().join("away"));
        std::fs::rename(&path, &away).unwrap();
        assert!(file.write(Arc::new("b"), put).await.is_err());
        assert!(!path.exists());
        std::fs::rename(&away, &path).unwrap();
        file.write(Arc::new("c"), put).await.unwrap();
        drop(file);
        assert_eq!(open().await.unwrap().1, ["a", "c"]);
    }
}
