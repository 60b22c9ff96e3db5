//! The data file of an embedded store: opened once, written in whole numbered transactions. Blocking; knows no table of a
//! store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::mark::Mark;

/// All data is in memory anyway, so the file's pages need little room there.
const CACHE: usize = 8 * 1024 * 1024;
/// What the file says of itself; files of builds before this table have no number, which counts as 0.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta-v1");
/// The row of the last commit's number.
const COMMIT: &str = "commit";

/// Where a store keeps its data.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// The name of its files, without their extensions.
    pub(crate) name: &'static str,
    /// The name for people.
    pub(crate) store: &'static str,
    /// Continue with data that is less than what was acknowledged.
    pub(crate) accept_loss: bool,
}

impl Place {
    fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.redb", self.name))
    }
}

/// An open data file. It is locked against other processes.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    /// `None` after a failed write: the library gives up a database then, and it must be opened again.
    database: Mutex<Option<Database>>,
    mark: Mutex<Mark>,
}

/// Another process has the data file.
#[derive(Debug)]
pub(crate) struct InUse {
    store: &'static str,
    path: PathBuf,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} data file {} is in use by another process", self.store, self.path.display())
    }
}

impl std::error::Error for InUse {}

/// Whether a store was opened to accept its loss; false for one that another process has open, which lost nothing.
pub(crate) fn accepted<T>(opened: Result<T>) -> Result<bool> {
    match opened {
        Ok(_) => Ok(true),
        Err(error) if error.is::<InUse>() => Ok(false),
        Err(error) => Err(error),
    }
}

impl DataFile {
    /// Opens or makes the data file of `place` and reads what it holds, on a thread that may block; a panic of the library
    /// over a broken file ends there as an error. `read` gets the number of the last commit, and returns that of all that
    /// it found.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or read, is in use by another process, is no data file, or holds less
    /// than was acknowledged ([`crate::Loss`]).
    pub(crate) async fn open<T: Send + 'static>(
        place: Place,
        read: impl FnOnce(&Database, u64) -> Result<(T, u64)> + Send + 'static,
    ) -> Result<(Self, T, u64)> {
        let (store, path) = (place.store, place.file());
        let shown = path.display().to_string();
        let way_out = if place.accept_loss {
            "to start empty, move it away and try again"
        } else {
            "to start empty, move it away, then `appforge up --accept-loss`"
        };
        let open = move || {
            make(&place.folder)?;
            let unreadable = || format!("cannot read the {store} data file {}; {way_out}", path.display());
            let mut database = match Builder::new().set_cache_size(CACHE).create(&path) {
                Err(DatabaseError::DatabaseAlreadyOpen) => return Err(InUse { store, path }.into()),
                other => other.with_context(unreadable)?,
            };
            // Without this, pages that were damaged after the last orderly end would be read as they are. Falling back to
            // an older commit shows in its number.
            database.check_integrity().with_context(unreadable)?;
            let last = last_commit(&database).with_context(unreadable)?;
            let (kept, number) = read(&database, last).with_context(unreadable)?;
            let mark = place.folder.join(format!("{}.commit", place.name));
            let mark = Mark::open(&mark, store, number, place.accept_loss)?;
            Ok((Self { path, database: Mutex::new(Some(database)), mark: Mutex::new(mark) }, kept, number))
        };
        tokio::task::spawn_blocking(open).await.unwrap_or_else(|error| {
            Err(anyhow!(error).context(format!("the {store} data file {shown} is broken; {way_out}")))
        })
    }

    /// Writes commit `number` by `write`, which gets the transaction and the number of the commit before. It is on the
    /// disk when this returns.
    ///
    /// # Errors
    /// When the disk is full or broken. The next call tries afresh; what it finds in the file is the commit before, or in
    /// rare cases this one.
    pub(crate) fn commit(
        &self,
        number: u64,
        write: impl FnOnce(&WriteTransaction, u64) -> Result<()>,
    ) -> Result<()> {
        let mut place = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match place.take() {
            Some(database) => database,
            // Not `create`: a file that vanished must not come back with a part of the data.
            None => Builder::new().set_cache_size(CACHE).open(&self.path)?,
        };
        commit(&database, number, write)?;
        *place = Some(database);
        Ok(())
    }

    /// Notes on the disk that commit `number` is about to be acknowledged.
    ///
    /// # Errors
    /// When the disk is broken.
    pub(crate) fn acknowledge(&self, number: u64) -> Result<()> {
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.set(number).context("the number of the commit cannot be written")
    }

    /// Runs `work` on a thread that may block; a panic is an error.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn blocking(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || work(&file)).await.unwrap_or_else(|error| Err(anyhow!(error)))
    }
}

/// Writes commit `number` to an open database.
pub(crate) fn commit(
    database: &Database,
    number: u64,
    write: impl FnOnce(&WriteTransaction, u64) -> Result<()>,
) -> Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        let before = meta.insert(COMMIT, number)?.map_or(0, |before| before.value());
        write(&transaction, before)?;
    }
    Ok(transaction.commit()?)
}

fn last_commit(database: &Database) -> Result<u64> {
    let transaction = database.begin_read()?;
    match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        table => Ok(table?.get(COMMIT)?.map_or(0, |number| number.value())),
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use redb::ReadableTable;

    use super::*;

    const TABLE: TableDefinition<'_, &str, ()> = TableDefinition::new("t");

    fn put(file: &DataFile, number: u64, key: &str) -> Result<()> {
        file.commit(number, |transaction, _| Ok(transaction.open_table(TABLE)?.insert(key, ()).map(drop)?))
    }

    fn keys(database: &Database, number: u64) -> Result<(Vec<String>, u64)> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        transaction.commit()?;
        let table = database.begin_read()?.open_table(TABLE)?;
        let keys: Result<_> = table.iter()?.map(|row| Ok(row?.0.value().to_owned())).collect();
        Ok((keys?, number))
    }

    #[tokio::test]
    async fn file_is_opened_again_after_a_failed_write() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().to_owned(), name: "t", store: "test", accept_loss: false };
        let open = || DataFile::open(place.clone(), keys);
        let (file, kept, number) = open().await.unwrap();
        assert!(kept.is_empty() && number == 0);
        put(&file, 1, "a").unwrap();
        // As a failed write leaves it.
        *file.database.lock().unwrap() = None;
        let (path, away) = (folder.path().join("t.redb"), folder.path().join("away"));
        std::fs::rename(&path, &away).unwrap();
        assert!(put(&file, 2, "b").is_err());
        assert!(!path.exists(), "a file that vanished is not made a second time");
        std::fs::rename(&away, &path).unwrap();
        put(&file, 3, "c").unwrap();
        drop(file);
        let (_, kept, number) = open().await.unwrap();
        assert_eq!((kept, number), (vec!["a".to_owned(), "c".to_owned()], 3));
    }
}
