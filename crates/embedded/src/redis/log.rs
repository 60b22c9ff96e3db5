//! The log: what changed since the data file was written last. A record is handed to the kernel before its commands are
//! answered, synced each second, and folded into the data file when the log is long. Blocking; knows no command.
//!
//! Files are named by the number of their first record. A record is whole or it is not there: a checksum covers it and its
//! number, and numbers have no gaps. What follows the last whole record was cut off by a crash, or is damage; the number of
//! the last synced record tells which ([`crate::mark`]).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::mark::sync_folder;

/// The first bytes of a file; the number of its first record is in its name.
const MAGIC: &[u8; 8] = b"aflog-01";
/// Before each record: its length, its number, its checksum.
const HEAD: usize = 4 + 8 + 8;
/// A log of this many bytes is folded into the data file.
const LONG: u64 = 32 * 1024 * 1024;
/// Room for a record that is kept from one to the next.
const KEPT_ROOM: usize = 1024 * 1024;

const CLEAR: u8 = 0;
const SET: u8 = 1;
const REMOVE: u8 = 2;

/// A key's value and end (milliseconds since 1970), or `None` when it is gone.
pub(super) type Now = Option<(Bytes, Option<i64>)>;

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    file: Arc<File>,
    /// Bytes of whole records; what lies behind was cut off.
    length: u64,
    /// The number of the last record.
    last: u64,
    /// The number of the last record on the disk.
    synced: u64,
    /// Files before this one that are not synced yet, and whether a name is new.
    unsynced: Vec<Arc<File>>,
    named: bool,
    record: Vec<u8>,
    /// Whether the last record could be written.
    pub(super) works: bool,
}

/// What has to reach the disk; see [`Log::unsynced`].
#[derive(Debug)]
pub(super) struct Unsynced {
    folder: Option<PathBuf>,
    files: Vec<Arc<File>>,
    /// The record that is on the disk after that.
    pub(super) last: u64,
}

impl Unsynced {
    /// Makes it last. A call that fails may have lost what the kernel held.
    pub(super) fn sync(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        self.folder.as_ref().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Log {
    /// A new log for the records after `last`; all older files are removed, since their records are in the data file.
    pub(super) fn start(folder: &Path, last: u64) -> Result<Self> {
        remove(folder, u64::MAX)?;
        let file = create(folder, last + 1).context("the log cannot be made")?;
        sync_folder(&path(folder, last + 1)).context("the log cannot be made")?;
        Ok(Self {
            folder: folder.to_owned(),
            file: Arc::new(file),
            length: MAGIC.len() as u64,
            last,
            synced: last,
            unsynced: Vec::new(),
            named: false,
            record: Vec::new(),
            works: true,
        })
    }

    /// Writes one record, which `fill` makes with [`clear`], [`set`] and [`remove_key`]; a failed one leaves nothing behind.
    pub(super) fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.record.clear();
        self.record.resize(HEAD, 0);
        fill(&mut self.record);
        let number = self.last + 1;
        let (head, body) = self.record.split_at_mut(HEAD);
        let length = u32::try_from(body.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut head = head;
        head.put_u32_le(length);
        head.put_u64_le(number);
        head.put_u64_le(xxh3_64_with_seed(body, number));
        let written = self.file.write_all_at(&self.record, self.length);
        self.works = written.is_ok();
        if written.is_ok() {
            self.length += self.record.len() as u64;
            self.last = number;
        } else {
            // Should this fail too, the next record overwrites it; alone it is no whole record.
            let _ = self.file.set_len(self.length);
        }
        if self.record.capacity() > KEPT_ROOM {
            self.record = Vec::new();
        }
        written
    }

    /// Records that a crash of the machine would lose now.
    pub(super) fn unsaved(&self) -> u64 {
        self.last - self.synced
    }

    /// What has to be synced; `None` when all is on the disk.
    pub(super) fn unsynced(&mut self) -> Option<Unsynced> {
        if self.unsaved() == 0 {
            return None;
        }
        let mut files = self.unsynced.clone();
        files.push(self.file.clone());
        Some(Unsynced { folder: self.named.then(|| self.folder.clone()), files, last: self.last })
    }

    /// Notes that this is on the disk.
    pub(super) fn synced(&mut self, done: &Unsynced) {
        self.synced = done.last;
        self.unsynced.retain(|file| !done.files.iter().any(|done| Arc::ptr_eq(done, file)));
        self.named &= done.folder.is_none();
    }

    /// Whether it should be folded.
    pub(super) fn is_long(&self) -> bool {
        self.length > LONG
    }

    /// Goes on in a new file; returns the number of the last record before it.
    pub(super) fn rotate(&mut self) -> io::Result<u64> {
        let file = create(&self.folder, self.last + 1)?;
        let before = std::mem::replace(&mut self.file, Arc::new(file));
        self.unsynced.push(before);
        self.named = true;
        self.length = MAGIC.len() as u64;
        Ok(self.last)
    }
}

/// Everything that was there before is gone.
pub(super) fn clear(record: &mut Vec<u8>) {
    record.put_u8(CLEAR);
}

/// A key is now this.
pub(super) fn set(record: &mut Vec<u8>, key: &[u8], value: &[u8], expires: Option<i64>) {
    record.put_u8(SET);
    put(record, key);
    put(record, value);
    record.put_i64_le(expires.unwrap_or(-1));
}

/// A key is gone.
pub(super) fn remove_key(record: &mut Vec<u8>, key: &[u8]) {
    record.put_u8(REMOVE);
    put(record, key);
}

/// A key or a value has at most 512 MiB, see the parser of requests; APPEND may make more, which the length of the record
/// refuses.
fn put(record: &mut Vec<u8>, bytes: &[u8]) {
    record.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    record.put_slice(bytes);
}

/// What records say, the last word on each key.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// Everything before `keys` is gone.
    pub(super) cleared: bool,
    pub(super) keys: HashMap<Bytes, Now>,
    /// The number of the last record.
    pub(super) last: u64,
}

impl Folded {
    fn apply(&mut self, mut body: Bytes) -> Option<()> {
        while body.has_remaining() {
            let kind = body.get_u8();
            if kind == CLEAR {
                self.cleared = true;
                self.keys.clear();
                continue;
            }
            let key = take(&mut body)?;
            let now = match kind {
                SET => {
                    let value = take(&mut body)?;
                    let expires = body.try_get_i64_le().ok()?;
                    Some((value, (expires >= 0).then_some(expires)))
                }
                REMOVE => None,
                _ => return None,
            };
            self.keys.insert(key, now);
        }
        Some(())
    }
}

/// Copied, so that no key holds its whole record.
fn take(body: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
    (length <= body.len()).then(|| Bytes::copy_from_slice(&body.split_to(length)))
}

/// Reads the records after number `after`, up to `until`. Stops at the first that is not whole or leaves a gap.
pub(super) fn fold(folder: &Path, after: u64, until: u64) -> Result<Folded> {
    let mut folded = Folded { last: after, ..Folded::default() };
    for (first, path) in files(folder)? {
        if first > until {
            break;
        }
        let left = fold_file(&path, until, &mut folded)
            .with_context(|| format!("cannot read the log {}", path.display()))?;
        if left > 0 {
            tracing::warn!(
                "{} ends after record {}: the {left} bytes after it are not a complete record",
                path.display(),
                folded.last
            );
        }
    }
    Ok(folded)
}

/// Returns how many bytes were left over.
fn fold_file(path: &Path, until: u64, folded: &mut Folded) -> io::Result<u64> {
    let file = File::open(path)?;
    let mut left = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    if left < MAGIC.len() as u64 {
        return Ok(left);
    }
    reader.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Ok(left);
    }
    left -= MAGIC.len() as u64;
    while left >= HEAD as u64 {
        let mut bytes = [0; HEAD];
        reader.read_exact(&mut bytes)?;
        let mut head = &bytes[..];
        let (length, number, check) = (head.get_u32_le(), head.get_u64_le(), head.get_u64_le());
        if u64::from(length) > left - HEAD as u64 {
            return Ok(left);
        }
        let mut body = vec![0; length as usize];
        reader.read_exact(&mut body)?;
        if xxh3_64_with_seed(&body, number) != check || number > folded.last + 1 || number > until {
            return Ok(left);
        }
        // An older one is in the data file already.
        if number == folded.last + 1 {
            if folded.apply(body.into()).is_none() {
                return Ok(left);
            }
            folded.last = number;
        }
        left -= HEAD as u64 + u64::from(length);
    }
    Ok(left)
}

/// Removes the files that begin with record `until` or before.
pub(super) fn remove(folder: &Path, until: u64) -> Result<()> {
    for (_, path) in files(folder)?.into_iter().filter(|(first, _)| *first <= until) {
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("redis.{first:020}.log"))
}

fn create(folder: &Path, first: u64) -> io::Result<File> {
    // One of that name has no whole record, or it would have been folded.
    let path = path(folder, first);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    file.write_all_at(MAGIC, 0)?;
    Ok(file)
}

/// The files of the log by the number of their first record.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let unreadable = || format!("cannot read the folder {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let first = name.and_then(|name| name.strip_prefix("redis.")?.strip_suffix(".log")?.parse().ok());
        found.extend(first.map(|first| (first, path)));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three(folder: &Path) -> Log {
        let mut log = Log::start(folder, 7).unwrap();
        log.append(|record| set(record, b"a", b"1", None)).unwrap();
        log.append(|record| set(record, b"b", b"2", Some(9))).unwrap();
        log.append(|record| {
            set(record, b"a", b"3", None);
            remove_key(record, b"c");
        })
        .unwrap();
        log
    }

    fn only_log(folder: &Path) -> PathBuf {
        let mut all = files(folder).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0).1
    }

    #[test]
    fn log_ends_at_its_last_whole_record_wherever_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        drop(three(folder.path()));
        let path = only_log(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut lasts = Vec::new();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            lasts.push(fold(folder.path(), 7, u64::MAX).unwrap().last);
        }
        assert!(lasts.is_sorted());
        assert_eq!((lasts[0], lasts[whole.len() - 1], lasts[whole.len()]), (7, 9, 10));
        // Any changed byte ends it before its record, never within.
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            std::fs::write(&path, &changed).unwrap();
            let folded = fold(folder.path(), 7, u64::MAX).unwrap();
            assert!(folded.last < 10, "byte {at}");
            assert!(!folded.keys.contains_key(&b"c"[..]), "byte {at}");
        }
    }

    #[test]
    fn fold_keeps_the_last_word_and_skips_what_the_file_has() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = three(folder.path());
        assert_eq!(log.rotate().unwrap(), 10);
        log.append(|record| set(record, b"b", b"4", None)).unwrap();
        let folded = fold(folder.path(), 7, 10).unwrap();
        assert_eq!((folded.last, folded.keys.len()), (10, 3));
        assert_eq!(folded.keys[&b"b"[..]], Some(("2".into(), Some(9))));
        let folded = fold(folder.path(), 9, u64::MAX).unwrap();
        assert_eq!((folded.last, folded.keys[&b"a"[..]].clone()), (11, Some(("3".into(), None))));
        assert_eq!(folded.keys[&b"b"[..]], Some(("4".into(), None)));
        // A file that is missing in the middle is a gap.
        remove(folder.path(), 8).unwrap();
        assert_eq!(fold(folder.path(), 7, u64::MAX).unwrap().last, 7);
        log.append(clear).unwrap();
        let folded = fold(folder.path(), 10, u64::MAX).unwrap();
        assert!(folded.cleared && folded.keys.is_empty() && folded.last == 12);
    }

    #[test]
    fn failed_record_leaves_nothing_and_the_next_one_fits() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = three(folder.path());
        let works = log.file.clone();
        // A descriptor that cannot be written to fails as a full disk does.
        log.file = Arc::new(File::open(only_log(folder.path())).unwrap());
        assert!(log.append(|record| set(record, b"a", b"lost", None)).is_err());
        assert!(!log.works);
        log.file = works;
        log.append(|record| set(record, b"a", b"kept", None)).unwrap();
        let folded = fold(folder.path(), 7, u64::MAX).unwrap();
        assert_eq!((folded.last, folded.keys[&b"a"[..]].clone()), (11, Some(("kept".into(), None))));
    }
}
