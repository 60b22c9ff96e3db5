//! Files below `.appforge`: no link is followed or written through, nothing of another user is read or changed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::refused::Refused;
use super::{
    CREATE_NEW, FOLDER, cannot_write, failure, give, give_to, none_if_missing, replace_in, set_mode,
};
use crate::owner;

/// No private file that is read whole is longer, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// Replaces a private file by `bytes` in one step: readers see the old file or the new one, also after a crash.
///
/// # Errors
/// When a link is in the way, or the disk cannot be written.
pub fn write_private(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    replace_in(private_folder_of(path).map(|(folder, _)| folder), path, bytes, Some(mode))
}

/// Changes the bytes of a private file in place, for a container that has the file itself mounted. A crash in the midst
/// of it leaves a part.
///
/// # Errors
/// As [`write_private`].
pub fn overwrite_private(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || -> io::Result<()> {
        // A file that not even its owner may write is opened to him first.
        set_private_mode(path, 0o600)?;
        let mut file = open_own(path, OFlags::WRONLY)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()?;
        set_mode(&file, mode)
    };
    write().map_err(|error| cannot_write(path, error))
}

/// Gives a private file exactly this mode.
///
/// # Errors
/// When it is not there, or not ours.
pub fn set_private_mode(path: &Path, mode: u32) -> io::Result<()> {
    set_mode(&open_own(path, OFlags::RDONLY)?, mode)
}

/// Opens a private file to add lines to its end; made with mode 600 where there is none.
///
/// # Errors
/// When a link is in the way, the file belongs to another user, or the disk cannot be written.
pub fn append_private(path: &Path) -> io::Result<File> {
    open_or_make(path, OFlags::WRONLY | OFlags::APPEND)
}

/// Opens a private file that serves as a lock, for reading and writing; made with mode 600 where there is none.
///
/// # Errors
/// As [`append_private`].
pub fn private_lock_file(path: &Path) -> io::Result<File> {
    open_or_make(path, OFlags::RDWR)
}

/// The same in a private folder that is open already, so that it may have been renamed since.
///
/// # Errors
/// As [`append_private`].
pub fn lock_file_in(folder: impl AsFd, name: &OsStr) -> io::Result<File> {
    open_or_make_in(folder, name, Path::new(name), OFlags::RDWR)
}

/// Opens a private file for reading.
///
/// # Errors
/// As [`append_private`], and when it is not there.
pub fn open_private(path: &Path) -> io::Result<File> {
    open_own(path, OFlags::RDONLY)
}

/// Reads a private text file; `None` when there is none.
///
/// # Errors
/// When a link is in the way, the file belongs to another user, or is no text of a sensible length.
pub fn read_private(path: &Path) -> Result<Option<String>> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let file = open_own(path, OFlags::RDONLY)?;
        if file.take(MOST_BYTES + 1).read_to_string(&mut text)? as u64 > MOST_BYTES {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(text)
        }
    };
    none_if_missing(read(), path)
}

/// The names in a private folder, in order; none when there is no such folder.
///
/// # Errors
/// As [`open_private_folder`].
pub fn list_private(path: &Path) -> Result<Vec<OsString>> {
    let list = || -> io::Result<Vec<OsString>> {
        let folder = Dir::new(open_private_folder(path)?)?;
        let mut names = Vec::new();
        for entry in folder {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            names.extend(Some(name).filter(|name| name != "." && name != ".."));
        }
        names.sort_unstable();
        Ok(names)
    };
    Ok(none_if_missing(list(), path)?.unwrap_or_default())
}

/// Opens a private folder.
///
/// # Errors
/// When it is not there, a link is in the way, or another user can write in it.
pub fn open_private_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = rustix::fs::openat(&reach(path, Missing::Fails)?, ".", FOLDER, Mode::empty())?;
    check_own_folder(path, &rustix::fs::fstat(&folder)?)?;
    Ok(folder)
}

/// Makes a private folder with mode 700, and those above it. One that is there gets that mode.
///
/// # Errors
/// When a link is in the way, another user owns or can write the folder, or the file system keeps no modes.
pub fn make_private_folder(path: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        reach(path, Missing::IsMade)?;
        let folder = open_private_folder(path)?;
        if rustix::fs::fstat(&folder)?.st_mode & 0o077 != 0 {
            rustix::fs::fchmod(&folder, Mode::RWXU)?;
        }
        match rustix::fs::fstat(&folder)?.st_mode & 0o077 {
            0 => Ok(()),
            _ => Err(Refused::NoModes(path.to_owned()).into()),
        }
    };
    make().map_err(|error| failure(path, error, "cannot create the folder"))
}

/// Renames a private file.
///
/// # Errors
/// When a link is in the way, or it is not there.
pub fn rename_private(from: &Path, to: &Path) -> io::Result<()> {
    let ((from, old), (to, new)) = (private_folder_of(from)?, private_folder_of(to)?);
    Ok(rustix::fs::renameat(&from, old, &to, new)?)
}

/// Removes a private file or a whole private folder; one that is not there is as it should be.
///
/// # Errors
/// When a link is in the way, or the disk cannot be written.
pub fn remove_private(path: &Path) -> Result<()> {
    let remove = || -> io::Result<()> {
        let (folder, name) = private_folder_of(path)?;
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            // No link of the tree is followed, also by this.
            Err(Errno::ISDIR) => fs::remove_dir_all(path),
            other => Ok(other?),
        }
    };
    match remove() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(path, error, "cannot remove")),
        _ => Ok(()),
    }
}

/// Checks that a private folder holds no link and nothing of another user. Under `sudo` all goes to the user behind it;
/// sockets stay root's, for who may write to one commands the process behind it, and so do files with a second name,
/// which may lie anywhere.
///
/// # Errors
/// At the first entry that is a link or belongs to another user; when the folder cannot be read.
pub fn check_private(path: &Path) -> Result<()> {
    let check = || -> io::Result<()> {
        let user = owner::sudo_user();
        let mut left = vec![(open_private_folder(path)?, path.to_owned())];
        while let Some((folder, at)) = left.pop() {
            if let Some(user) = user {
                give_to(&folder, user)?;
            }
            for entry in Dir::read_from(&folder)? {
                let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
                let path = at.join(&name);
                if name == "." || name == ".." {
                    continue;
                }
                let found = match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    // A process that still runs has removed it meanwhile.
                    Err(Errno::NOENT) => continue,
                    found => found?,
                };
                let give = |file: File| user.map_or(Ok(()), |user| give_to(file, user));
                let done = match FileType::from_raw_mode(found.st_mode) {
                    FileType::Symlink => return Err(Refused::Link(path).into()),
                    _ if !owner::is_own(found.st_uid) => {
                        return Err(Refused::Owner(path, found.st_uid).into());
                    }
                    FileType::Directory => {
                        enter(&folder, &name, &path, OFlags::RDONLY).map(|inner| left.push((inner, path)))
                    }
                    FileType::RegularFile if found.st_nlink == 1 && found.st_uid == 0 => {
                        open_own_in(&folder, &name, &path, OFlags::RDONLY).and_then(give)
                    }
                    _ => Ok(()),
                };
                done.or_else(|error| match error.kind() {
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })?;
            }
        }
        Ok(())
    };
    check().map_err(|error| failure(path, error, "cannot search"))
}

/// What happens where a folder of a path is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    IsMade,
}

/// Opens a folder on a way without links: from the root, or from the current folder for a relative path.
fn reach(path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    let start = if path.is_absolute() { "/" } else { "." };
    let mut folder = rustix::fs::open(start, FOLDER | OFlags::PATH, Mode::empty())?;
    let mut at = PathBuf::new();
    for component in path.components() {
        at.push(component);
        folder = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => match enter(&folder, name, &at, OFlags::PATH) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::IsMade => {
                    make_and_enter(&folder, name, &at)?
                }
                entered => entered?,
            },
            // No private path is made of these.
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        };
    }
    Ok(folder)
}

/// The folder of a private path, reached without a link, and the name in it.
fn private_folder_of(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    Ok((reach(parent, Missing::Fails)?, name))
}

fn enter(folder: &OwnedFd, name: &OsStr, path: &Path, how: OFlags) -> io::Result<OwnedFd> {
    match rustix::fs::openat(folder, name, FOLDER | OFlags::NOFOLLOW | how, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) if is_link(folder, name) => {
            Err(Refused::Link(path.to_owned()).into())
        }
        Err(Errno::NOTDIR) => Err(Refused::NotFolder(path.to_owned()).into()),
        entered => Ok(entered?),
    }
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

fn make_and_enter(folder: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        // Another command made it meanwhile.
        Err(Errno::EXIST) => return enter(folder, name, path, OFlags::PATH),
        made => made?,
    }
    // The umask may have taken away so much that the folder cannot be opened; its name is ours since a moment ago.
    rustix::fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty())?;
    let made = enter(folder, name, path, OFlags::RDONLY)?;
    if let Some(user) = owner::sudo_user() {
        give_to(&made, user)?;
    }
    Ok(made)
}

fn open_own(path: &Path, how: OFlags) -> io::Result<File> {
    let (folder, name) = private_folder_of(path)?;
    open_own_in(&folder, name, path, how)
}

fn open_own_in(folder: impl AsFd, name: &OsStr, path: &Path, how: OFlags) -> io::Result<File> {
    let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Err(Refused::Link(path.to_owned()).into()),
        opened => opened?,
    };
    let found = rustix::fs::fstat(&file)?;
    let refused = match FileType::from_raw_mode(found.st_mode) {
        _ if !owner::is_own(found.st_uid) => Some(Refused::Owner(path.to_owned(), found.st_uid)),
        FileType::RegularFile if found.st_nlink > 1 && how != OFlags::RDONLY => {
            Some(Refused::Shared(path.to_owned()))
        }
        FileType::RegularFile => None,
        _ => Some(Refused::Kind(path.to_owned())),
    };
    refused.map_or(Ok(File::from(file)), |refused| Err(refused.into()))
}

fn open_or_make(path: &Path, how: OFlags) -> io::Result<File> {
    let (folder, name) = private_folder_of(path)?;
    open_or_make_in(&folder, name, path, how)
}

fn open_or_make_in(folder: impl AsFd, name: &OsStr, path: &Path, how: OFlags) -> io::Result<File> {
    let folder = folder.as_fd();
    loop {
        match open_own_in(folder, name, path, how) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match rustix::fs::openat(folder, name, CREATE_NEW | how, Mode::from_raw_mode(0o600)) {
            // Another process made it meanwhile.
            Err(Errno::EXIST) => {}
            made => {
                let file = File::from(made?);
                set_mode(&file, 0o600)?;
                give(&file, &rustix::fs::fstat(folder)?)?;
                return Ok(file);
            }
        }
    }
}

fn check_own_folder(path: &Path, found: &Stat) -> io::Result<()> {
    let group_writes = found.st_mode & 0o020 != 0 && !owner::is_own_group(found.st_uid, found.st_gid);
    match found.st_mode {
        _ if !owner::is_own(found.st_uid) => Err(Refused::Owner(path.to_owned(), found.st_uid).into()),
        mode if mode & 0o002 != 0 || group_writes => Err(Refused::Writable(path.to_owned(), mode).into()),
        _ => Ok(()),
    }
}
