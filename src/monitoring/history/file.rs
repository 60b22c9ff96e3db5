//! The file of a history: a redb database with a row an interval, written once a minute. Blocking.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use super::{History, MOST_EVENTS, REPLICA_RINGS, RINGS};
use crate::error::Failure;
use crate::files;
use crate::monitoring::figures::Figures;

/// Pages of the file in memory, in bytes.
const CACHE: usize = 1 << 20;
/// By [`Key`]: [`Figures::encode`]. The name changes with the meaning of the sums.
const INTERVALS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("intervals-v1");
/// One row: the events as JSON.
const EVENTS: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("events-v1");

/// What is written at once.
#[derive(Debug)]
pub(in crate::monitoring) struct Changes {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first and the last interval to keep, by ring.
    keep: Vec<(u8, u64, u64)>,
    events: Option<Vec<u8>>,
}

/// An open file.
#[derive(Debug)]
pub(in crate::monitoring) struct HistoryFile {
    database: Database,
}

/// The key of an interval: the ring, the interval's number, the replica; empty for the whole stack. Rings of replicas come after
/// those of the whole.
struct Key<'a> {
    ring: u8,
    slot: u64,
    replica: &'a [u8],
}

impl<'a> Key<'a> {
    fn bytes(ring: u8, slot: u64, replica: &str) -> Vec<u8> {
        let mut bytes = vec![ring];
        bytes.extend_from_slice(&slot.to_be_bytes());
        bytes.extend_from_slice(replica.as_bytes());
        bytes
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (ring, rest) = bytes.split_first()?;
        let (slot, replica) = rest.split_first_chunk::<8>()?;
        Some(Self { ring: *ring, slot: u64::from_be_bytes(*slot), replica })
    }
}

fn ring_number(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl History {
    /// What is not in the file yet.
    pub(in crate::monitoring) fn changes(&mut self) -> Changes {
        let (mut rows, mut keep) = (Vec::new(), Vec::new());
        let mut unsaved = self.unsaved;
        for (number, (ring, next)) in self.stack.iter().zip(&mut unsaved).enumerate() {
            let Some((first, last)) = ring.range() else { continue };
            // A clock that was set back.
            let from = (*next).min(last);
            let mut add = |number: usize, name: &str, ring: &super::Ring| {
                let known = ring.from(from).filter(|(_, figures)| !figures.is_gap());
                let key = |slot| Key::bytes(ring_number(number), slot, name);
                rows.extend(known.map(|(slot, figures)| (key(slot), figures.encode())));
                keep.push((ring_number(number), first, last));
            };
            add(number, "", ring);
            for (name, rings) in &self.replicas {
                if let Some(ring) = rings.get(number) {
                    add(RINGS.len() + number, name, ring);
                }
            }
            // The last one grows still.
            *next = last;
        }
        keep.dedup();
        self.unsaved = unsaved;
        let events = (!self.events_saved).then(|| serde_json::to_vec(&self.events).unwrap_or_default());
        self.events_saved = true;
        Changes { rows, keep, events }
    }

    /// Writes everything again with the next changes, after a failed write.
    pub(in crate::monitoring) fn forget_saved(&mut self) {
        self.unsaved = [0; RINGS.len()];
        self.events_saved = false;
    }
}

impl HistoryFile {
    /// Opens or makes the file and reads it, as far as it is older than `now` (milliseconds since 1970).
    ///
    /// # Errors
    /// When the file is damaged, in use, or the disk cannot be read. The library may panic over a damaged file.
    pub(in crate::monitoring) fn open(path: &Path, now: u64) -> Result<(Self, History)> {
        let file: File =
            files::private_lock_file(path).map_err(|error| files::failure(path, error, "cannot open"))?;
        let mut database =
            Builder::new().set_cache_size(CACHE).create_with_backend(FileBackend::new(file)?)?;
        // Without this, damaged pages would be read as they are.
        database.check_integrity()?;
        let history = read(&database, now)?;
        Ok((Self { database }, history))
    }

    /// Writes what has changed; it is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk is full or broken.
    pub(in crate::monitoring) fn write(&self, changes: &Changes) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(INTERVALS)?;
            for (key, value) in &changes.rows {
                table.insert(key.as_slice(), value.as_slice())?;
            }
            for (ring, first, last) in &changes.keep {
                let bound = |ring: u8, slot: u64| Key::bytes(ring, slot, "");
                let (start, first) = (bound(*ring, 0), bound(*ring, *first));
                table.retain_in(start.as_slice()..first.as_slice(), |_, _| false)?;
                // Of a clock that was ahead.
                let (end, after) = (bound(ring.saturating_add(1), 0), bound(*ring, last.saturating_add(1)));
                table.retain_in(after.as_slice()..end.as_slice(), |_, _| false)?;
            }
            if let Some(events) = &changes.events {
                transaction.open_table(EVENTS)?.insert(0, events.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn read(database: &Database, now: u64) -> Result<History> {
    let mut history = History::default();
    let transaction = database.begin_write()?;
    // Both tables exist from the first time on.
    transaction.open_table(INTERVALS)?;
    transaction.open_table(EVENTS)?;
    transaction.commit()?;
    let transaction = database.begin_read()?;
    for row in transaction.open_table(INTERVALS)?.iter()? {
        let (key, value) = row?;
        let key = Key::parse(key.value()).context("a key of the history is malformed")?;
        let figures = Figures::decode(value.value()).context("an interval of the history is malformed")?;
        let name = std::str::from_utf8(key.replica).context("the name of a replica is not text")?;
        let number = usize::from(key.ring);
        let step = RINGS.get(number % RINGS.len()).map_or(1, |(step, _)| *step);
        if key.slot > now / step {
            continue;
        }
        if let Some(ring) = history.stack.get_mut(number) {
            ring.add(key.slot, &figures);
        } else if number - RINGS.len() < REPLICA_RINGS {
            history.add_to_replica(name, number - RINGS.len(), key.slot, &figures);
        }
    }
    for (ring, next) in history.stack.iter().zip(&mut history.unsaved) {
        *next = ring.range().map_or(0, |(_, last)| last);
    }
    if let Some(events) = transaction.open_table(EVENTS)?.get(0)? {
        history.events = serde_json::from_slice(events.value()).context("the events are malformed")?;
        history.events.truncate(MOST_EVENTS);
    }
    Ok(history)
}

/// Whether a file could not be read for what is in it: not for a full disk, or another process that has it open.
pub(in crate::monitoring) fn is_damage(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<DatabaseError>() {
        Some(DatabaseError::DatabaseAlreadyOpen) => false,
        Some(DatabaseError::Storage(StorageError::Io(error))) => {
            matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        }
        // A refusal of `files.rs` is about the path.
        _ => !error.is::<Failure>() && !error.is::<std::io::Error>(),
    }
}

/// Moves a damaged file out of the way, in place of an earlier one, and returns its new path.
///
/// # Errors
/// When it cannot be renamed.
pub(in crate::monitoring) fn set_aside(path: &Path) -> Result<PathBuf> {
    let aside = path.with_extension("damaged");
    files::rename_private(path, &aside).map_err(|error| files::failure(path, error, "cannot rename"))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::super::tests::tick;
    use super::super::{Event, Window, events::EventKind};
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        folder
    }

    fn shown(history: &History) -> Vec<Vec<(u64, Figures)>> {
        let known = |ring: &super::super::Ring| {
            ring.from(0)
                .filter(|(_, figures)| !figures.is_gap())
                .map(|(slot, figures)| (slot, figures.clone()))
                .collect()
        };
        history.stack.iter().chain(history.replicas.values().flatten()).map(known).collect()
    }

    #[test]
    fn history_is_read_back_as_it_was() {
        let folder = folder();
        let path = folder.path().join("history.redb");
        let (file, mut history) = HistoryFile::open(&path, NOW).unwrap();
        for number in 0..500 {
            history.add(&tick(NOW - 2_000_000 + number * 2000, &["service-1", "service-2"]));
            if number % 30 == 0 {
                file.write(&history.changes()).unwrap();
            }
        }
        history.note([Event { at: NOW, kind: EventKind::Scale, text: "2 replicas".into() }]);
        file.write(&history.changes()).unwrap();
        drop(file);
        let (file, again) = HistoryFile::open(&path, NOW).unwrap();
        assert_eq!(shown(&again), shown(&history));
        assert_eq!(again.events, history.events);
        drop(file);
        // What is older than a ring holds is in the file no more.
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 4 << 20, "{size}");
        let (_, earlier) = HistoryFile::open(&path, NOW - 1_500_000).unwrap();
        assert!(earlier.ring(Window::Minutes).range().unwrap().1 <= (NOW - 1_500_000) / 2000);
    }

    #[test]
    fn damaged_file_is_an_error_and_can_be_set_aside() {
        let folder = folder();
        let path = folder.path().join("history.redb");
        files::write_private(&path, &[7; 9000], 0o600).unwrap();
        assert!(is_damage(&HistoryFile::open(&path, NOW).unwrap_err()));
        let aside = set_aside(&path).unwrap();
        assert_eq!(std::fs::read(aside).unwrap(), [7; 9000]);
        HistoryFile::open(&path, NOW).unwrap();
    }
}
