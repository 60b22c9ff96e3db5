//! Disk: the only writer of files. Knows nothing of what they hold.
//!
//! There are two kinds of paths. A path of the user (a report, a rendered document) is followed as any program does. A
//! *private* path lies below `.appforge`, see [`crate::state_folder`]: no component of it may be a link, what is there must
//! be the caller's own, and what is made has exactly the mode that was asked for, whatever the umask. Under `sudo` it is
//! given to the user behind it, who works on with it later.

mod private;
mod refused;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

pub use private::{
    append_private, check_private, list_private, lock_file_in, make_private_folder, open_private,
    open_private_folder, overwrite_private, private_lock_file, read_private, remove_private, rename_private,
    set_private_mode, write_private,
};
pub(crate) use refused::STATE_FOLDER;

use crate::error::{ExitStatus, Failure};
use crate::files::refused::Refused;
use crate::owner::{self, Owner};

/// The `f_type` of ext2 to 4, XFS, Btrfs, tmpfs, OverlayFS, ZFS, F2FS and NFS (`statfs(2)`).
const KEEP_MODES: [u64; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1, 0xF2F5_2010, 0x6969];
/// Leftovers of a crash may have a name that a process of the same id would choose.
const MOST_NAMES: u32 = 100;
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
/// Makes a file where there is none, not even a link.
const CREATE_NEW: OFlags = OFlags::CREATE.union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Replaces a file of the user by `bytes` in one step, with the mode that the umask leaves of 666.
///
/// # Errors
/// When the disk cannot be written; the old file is whole then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_in(open_folder_of(path), path, bytes, None)
}

/// The same with exactly this mode, for documents that containers of other users read.
///
/// # Errors
/// As [`write`].
pub fn write_document(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    replace_in(open_folder_of(path), path, bytes, Some(mode))
}

/// Removes a file of the user, or the link of that name.
///
/// # Errors
/// When it is not there, or the folder cannot be written.
pub fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("cannot remove `{}`", path.display()))
}

/// Makes a folder of the user, and those above it.
///
/// # Errors
/// When the disk cannot be written.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder `{}`", path.display()))
}

/// Whether the file system of a folder keeps the modes of what is made in it. Asked of the file system itself where its
/// kind does not say so, with a folder that is removed again at once; where nothing can be made, modes are assumed.
pub fn keeps_modes(folder: &Path) -> bool {
    let known = rustix::fs::statfs(folder)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| KEEP_MODES.contains(&kind)));
    let probe = folder.join(format!(".appforge.{}", std::process::id()));
    if known || fs::create_dir(&probe).is_err() {
        return true;
    }
    let kept = rustix::fs::chmod(&probe, Mode::RWXU).is_ok()
        && rustix::fs::stat(&probe).is_ok_and(|found| found.st_mode & 0o777 == 0o700);
    // An empty folder that stays is a nuisance, and no reason to do nothing.
    let _ = fs::remove_dir(&probe);
    kept
}

/// Reads a text file of the user; `None` when there is none.
///
/// # Errors
/// When it cannot be read, or is no text.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    none_if_missing(fs::read_to_string(path), path)
}

/// The failure to write `path`. A full disk comes with a hint.
pub fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return failure(path, error, "cannot write");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Failure::new(ExitStatus::Failed, format!("no space left on the disk for `{}`", path.display()))
        .hint(format!("df -h {}", folder.display()))
        .caused_by(error)
        .into()
}

/// The failure to do something with a private file; a refusal comes with what to do about it.
pub fn failure(path: &Path, error: io::Error, doing: &str) -> anyhow::Error {
    let doing = format!("{doing} `{}`", path.display());
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
        Some(refused) => Failure::new(ExitStatus::Failed, refused.to_string()).hint(refused.hint()).into(),
        None => anyhow::Error::from(error).context(doing),
    }
}

fn none_if_missing<T>(read: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(path, error, "cannot read")),
    }
}

fn replace_in(folder: io::Result<OwnedFd>, path: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
    let replace = || -> io::Result<()> {
        let folder = folder?;
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let (fresh, mut file) = create_beside(&folder, name, mode)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| give(&file, &rustix::fs::fstat(&folder)?))
            .and_then(|()| mode.map_or(Ok(()), |mode| set_mode(&file, mode)))
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(rustix::fs::renameat(&folder, &fresh, &folder, name)?));
        if written.is_err() {
            // The error that counts is the first one.
            let _ = rustix::fs::unlinkat(&folder, &fresh, AtFlags::empty());
        }
        written?;
        File::from(rustix::fs::openat(&folder, ".", FOLDER, Mode::empty())?).sync_all()
    };
    replace().map_err(|error| cannot_write(path, error))
}

fn create_beside(folder: &OwnedFd, name: &OsStr, mode: Option<u32>) -> io::Result<(OsString, File)> {
    let flags = CREATE_NEW | OFlags::WRONLY;
    for number in 0..MOST_NAMES {
        let mut fresh = name.to_owned();
        fresh.push(format!(".{}-{number}.new", std::process::id()));
        match rustix::fs::openat(folder, &fresh, flags, Mode::from_raw_mode(mode.unwrap_or(0o666))) {
            Ok(file) => return Ok((fresh, File::from(file))),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::EXIST.into())
}

fn open_folder_of(path: &Path) -> io::Result<OwnedFd> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(rustix::fs::openat(CWD, folder, FOLDER | OFlags::PATH, Mode::empty())?)
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
}

/// Under `sudo`, a new file in a folder of the user is the user's.
fn give(file: &File, folder: &Stat) -> io::Result<()> {
    match owner::sudo_user().filter(|user| user.uid == folder.st_uid) {
        Some(user) => give_to(file, user),
        None => Ok(()),
    }
}

fn give_to(file: impl AsFd, user: Owner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}

#[cfg(test)]
mod tests;
