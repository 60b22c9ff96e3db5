//! The number of the last acknowledged commit, in a small synced file beside the data file. Blocking; knows no store.
//!
//! Without it a data file that lost its end would pass for an older, whole one. The file has one size for ever, so a full
//! disk cannot stop it. Two places are written in turn: a write that is cut off leaves the number before.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the file; each half holds one place, so that no disk sector holds both.
const SIZE: usize = 4096;
/// The first bytes of a place.
const MAGIC: &[u8; 8] = b"afmark-1";
/// Magic, number, checksum of both.
const PLACE: usize = 24;

/// The open file.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    number: u64,
    /// The place that the next number goes to.
    next: u64,
}

/// A store holds less than it acknowledged.
#[derive(Debug)]
pub struct Loss {
    store: &'static str,
    path: PathBuf,
    holds: u64,
    /// `None` when the file with the number is damaged.
    acknowledged: Option<u64>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, holds, .. } = self;
        let path = self.path.display();
        match self.acknowledged {
            Some(number) => write!(
                f,
                "the {store} data is damaged: it holds commit {holds}, but commit {number} was acknowledged (recorded in {path})"
            ),
            None => write!(
                f,
                "the record of the last acknowledged {store} commit, {path}, is damaged; the data holds commit {holds}"
            ),
        }
    }
}

impl std::error::Error for Loss {}

impl Mark {
    /// The mark in `path`, for data that holds commit `holds`; made where there is none.
    ///
    /// # Errors
    /// [`Loss`] when the data holds less than was acknowledged and `accept_loss` is false; also when the disk fails.
    pub(crate) fn open(path: &Path, store: &'static str, holds: u64, accept_loss: bool) -> Result<Self> {
        let loss = |acknowledged| Loss { store, path: path.to_owned(), holds, acknowledged };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if holds > 0 {
                    tracing::warn!("the number of the last {store} commit in {} was missing", path.display());
                }
                return Self::create(path, holds);
            }
            other => other.with_context(|| format!("cannot open {}", path.display()))?,
        };
        let places = [0, 1].map(|place| number(&file, place).map(|number| (number, place)));
        let Some((acknowledged, place)) = places.into_iter().flatten().max() else {
            if !accept_loss {
                return Err(loss(None).into());
            }
            return Self::create(path, holds);
        };
        if holds < acknowledged {
            if !accept_loss {
                return Err(loss(Some(acknowledged)).into());
            }
            tracing::warn!("{}; accepted", loss(Some(acknowledged)));
            return Self::create(path, holds);
        }
        Ok(Self { file, number: acknowledged, next: 1 - place })
    }

    /// Makes the file whole before it has its name.
    fn create(path: &Path, number: u64) -> Result<Self> {
        let fresh = path.with_extension("commit-new");
        let make = || -> io::Result<Self> {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&fresh)?;
            let mut bytes = vec![0; SIZE];
            bytes[..PLACE].copy_from_slice(&place(number));
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)?;
            sync_folder(path)?;
            Ok(Self { file, number, next: 1 })
        };
        make().with_context(|| format!("cannot make {}", path.display()))
    }

    /// Notes that `number` is acknowledged; it is on the disk when this returns. A smaller number changes nothing.
    pub(crate) fn set(&mut self, number: u64) -> io::Result<()> {
        if number <= self.number {
            return Ok(());
        }
        self.file.write_all_at(&place(number), self.next * SIZE as u64 / 2)?;
        self.file.sync_data()?;
        self.number = number;
        self.next = 1 - self.next;
        Ok(())
    }
}

/// Makes a new, renamed or removed name in the folder of `path` last.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn place(number: u64) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let check = xxh3_64(&bytes[..16]);
    bytes[16..].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn number(file: &File, at: u64) -> Option<u64> {
    let mut bytes = [0; PLACE];
    file.read_exact_at(&mut bytes, at * SIZE as u64 / 2).ok()?;
    let number = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
    (place(number) == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, holds: u64, accept: bool) -> Result<u64> {
        Mark::open(path, "test", holds, accept).map(|mark| mark.number)
    }

    #[test]
    fn mark_refuses_less_than_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.commit");
        let mut mark = Mark::open(&path, "test", 0, false).unwrap();
        for number in 1..=5 {
            mark.set(number).unwrap();
        }
        assert_eq!(open(&path, 5, false).unwrap(), 5);
        // A commit that was written and not acknowledged is no loss.
        assert_eq!(open(&path, 6, false).unwrap(), 5);
        let error = open(&path, 4, false).unwrap_err();
        assert!(error.is::<Loss>());
        assert!(error.to_string().contains("holds commit 4, but commit 5 was acknowledged"), "{error}");
        assert_eq!(open(&path, 4, true).unwrap(), 4);
        assert_eq!(open(&path, 4, false).unwrap(), 4);
    }

    #[test]
    fn mark_survives_a_write_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.commit");
        let mut mark = Mark::open(&path, "test", 0, false).unwrap();
        mark.set(1).unwrap();
        mark.set(2).unwrap();
        let last = (1 - mark.next) * SIZE as u64 / 2;
        mark.file.write_all_at(b"torn", last + 10).unwrap();
        assert_eq!(open(&path, 2, false).unwrap(), 1);
        // Both places gone is damage, which is refused until it is accepted.
        mark.file.write_all_at(&[7; SIZE], 0).unwrap();
        assert!(open(&path, 2, false).unwrap_err().is::<Loss>());
        assert_eq!(open(&path, 2, true).unwrap(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64);
    }
}
