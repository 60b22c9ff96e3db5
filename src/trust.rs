//! The gate for everything that says what this program does: stack files, overlays, templates, catalogues, scenarios.
//!
//! Whoever can write such a file runs programs as the caller. So a file counts only if it and its folder belong to the
//! caller, to root, or to the user behind `sudo`, and no other user can change them; a folder that the caller named in
//! `APPFORGE_TRUST` or `~/.config/appforge/trusted` is exempt with all below it. What is checked is what was opened, and
//! every link on the way to it. Files that appforge itself keeps are the business of `files.rs`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat};
use rustix::io::Errno;

use crate::error::{ExitStatus, Failure, quoted};
use crate::owner;

/// The variable that allows folders, separated as in `PATH`.
const VARIABLE: &str = "APPFORGE_TRUST";
/// More links in a row lead in a circle.
const MOST_LINKS: usize = 40;
/// No file of instructions is longer, in bytes; a device such as `/dev/zero` has no end.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a text that the caller is about to follow; `None` when there is no such file.
///
/// # Errors
/// Exit 3 when another user can write it; also when it cannot be read or is no text of a sensible length.
pub fn read(path: &Path) -> Result<Option<String>> {
    open(path, &is_allowed)?.map(|file| text_of(file, path)).transpose()
}

/// Checks the folder in which appforge is about to keep its own files, by the rule for folders of instructions.
///
/// # Errors
/// Exit 3 when another user can write it.
pub fn check_folder(path: &Path) -> Result<()> {
    let folder = open_folder(path).with_context(|| format!("cannot inspect `{}`", path.display()))?;
    match folder_trouble(&rustix::fs::fstat(&folder)?) {
        Some(writer) => exempt(&folder, path, refusal(path, (&folder, path), true, &writer), &is_allowed),
        None => Ok(()),
    }
}

/// The whole text of an open file.
fn text_of(file: File, path: &Path) -> Result<String> {
    let reading = || format!("cannot read `{}`", path.display());
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(reading)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("`{}` is longer than {} MiB", path.display(), MOST_BYTES >> 20);
        return Err(Failure::new(ExitStatus::Config, message).into());
    }
    // The error of the conversion would carry the text along.
    String::from_utf8(bytes).ok().context("the file is not UTF-8 text").with_context(reading)
}

/// Opens a file hop by hop: a link is judged where it lies, then what it leads to.
fn open(path: &Path, allowed: &dyn Fn(&Path) -> Result<bool>) -> Result<Option<File>> {
    let opening = || format!("cannot open `{}`", path.display());
    let mut at = std::path::absolute(path).with_context(opening)?;
    for _ in 0..MOST_LINKS {
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::IsADirectory)).with_context(opening);
        };
        let folder = match open_folder(parent) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            folder => folder.with_context(opening)?,
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        // A pipe without a writer must not hold up the opening.
        let plain = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let (file, found) = match rustix::fs::openat(&folder, name, plain, Mode::empty()) {
            Ok(file) => {
                let found = rustix::fs::fstat(&file)?;
                (Some(file), found)
            }
            // `/dev/stdin` and `<(command)` lead to descriptors of this process, which have no place among the folders.
            Err(Errno::LOOP) if rustix::fs::fstatfs(&folder)?.f_type == PROC_SUPER_MAGIC => {
                let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).with_context(opening)?;
                return handed_over(file, path).map(Some);
            }
            Err(Errno::LOOP) => (None, rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error).with_context(opening),
        };
        let of_file = file_trouble(&found).map(|writer| (false, writer));
        let of_folder = || rustix::fs::fstat(&folder).map(|found| folder_trouble(&found));
        if let Some((of_folder, writer)) = of_file.or(of_folder()?.map(|writer| (true, writer))) {
            exempt(&folder, parent, refusal(&at, (&folder, parent), of_folder, &writer), allowed)?;
        }
        match file {
            Some(file) => match FileType::from_raw_mode(found.st_mode) {
                FileType::RegularFile | FileType::CharacterDevice => return Ok(Some(File::from(file))),
                FileType::Directory => {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory)).with_context(opening);
                }
                _ => {
                    let message = format!("`{}` is not a regular file", at.display());
                    return Err(Failure::new(ExitStatus::Config, message).into());
                }
            },
            None => {
                let to = rustix::fs::readlinkat(&folder, name, Vec::new()).with_context(opening)?;
                at = parent.join(OsStr::from_bytes(to.as_bytes()));
            }
        }
    }
    Err(io::Error::from(Errno::LOOP)).with_context(opening)
}

/// A descriptor that the caller's shell opened. What is behind it is judged without its folder.
fn handed_over(file: OwnedFd, path: &Path) -> Result<File> {
    let found = rustix::fs::fstat(&file)?;
    let pipe = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
    match trouble(&found, pipe || is_device(&found)) {
        Some(writer) => {
            let message = format!("refusing to read `{}`: {}", path.display(), writer.text("it"));
            Err(Failure::new(ExitStatus::Config, message).hint("name the file itself").into())
        }
        None => Ok(File::from(file)),
    }
}

/// Who else can change a file or a folder.
#[derive(Debug, PartialEq, Eq)]
enum Writer {
    Owner(u32),
    Everyone,
    Group(u32),
}

impl Writer {
    fn text(&self, thing: &str) -> String {
        match self {
            Self::Owner(uid) => format!("{thing} belongs to {}", owner::shown(*uid)),
            Self::Everyone => format!("every user can write {thing}"),
            Self::Group(gid) => format!("the group {gid} can write {thing}"),
        }
    }
}

/// The failure to read `path`, since `writer` can change it, or its folder if `of_folder`.
fn refusal(path: &Path, (folder, at): (&OwnedFd, &Path), of_folder: bool, writer: &Writer) -> Failure {
    let real = real_path(folder, at);
    let (thing, place) = if of_folder {
        (format!("the folder `{}`", real.display()), real.as_path())
    } else {
        ("it".to_owned(), path)
    };
    let message = format!("refusing to use `{}`: {}", path.display(), writer.text(&thing));
    let failure = Failure::new(ExitStatus::Config, message);
    let failure = match writer {
        Writer::Owner(_) => failure,
        Writer::Everyone | Writer::Group(_) => failure.hint(format!("chmod go-w {}", quoted(place))),
    };
    // To trust a folder such as `/tmp` would be to trust every user.
    if rustix::fs::fstat(folder).is_ok_and(|found| found.st_mode & 0o002 != 0) && !of_folder {
        return failure.hint("work in a folder of your own, or name your own file with `--config FILE`");
    }
    let failure = failure.hint(format!("if you trust that folder: export {VARIABLE}={}", quoted(&real)));
    match trusted_file() {
        Some(file) => failure.hint(format!(
            "to trust it in every shell: mkdir -p {} && echo {} >> {}",
            quoted(file.parent().unwrap_or(&file)),
            quoted(&real),
            quoted(&file)
        )),
        None => failure,
    }
}

fn is_device(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
}

fn file_trouble(found: &Stat) -> Option<Writer> {
    // The modes of links and devices say nothing about who can change what is read.
    trouble(found, FileType::from_raw_mode(found.st_mode) == FileType::Symlink || is_device(found))
}

fn folder_trouble(found: &Stat) -> Option<Writer> {
    // With the sticky bit others may add files, which are theirs then, and change none.
    trouble(found, found.st_mode & 0o1000 != 0)
}

fn trouble(found: &Stat, any_mode: bool) -> Option<Writer> {
    match found.st_mode {
        _ if !owner::is_trusted(found.st_uid) => Some(Writer::Owner(found.st_uid)),
        _ if any_mode => None,
        mode if mode & 0o002 != 0 => Some(Writer::Everyone),
        mode if mode & 0o020 != 0 && !owner::is_own_group(found.st_uid, found.st_gid) => {
            Some(Writer::Group(found.st_gid))
        }
        _ => None,
    }
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Where an open folder lies, without links; `path` is what led there.
fn real_path(folder: &OwnedFd, path: &Path) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).unwrap_or_else(|_| path.to_owned())
}

/// Passes if the caller trusts the folder; `refusal` otherwise, with why the list of trusted folders does not count.
fn exempt(
    folder: &OwnedFd,
    path: &Path,
    refusal: Failure,
    allowed: &dyn Fn(&Path) -> Result<bool>,
) -> Result<()> {
    match allowed(&real_path(folder, path)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(refusal.into()),
        Err(error) => Err(refusal.caused_by(error).into()),
    }
}

/// Whether the caller has named this folder, or one above it.
fn is_allowed(folder: &Path) -> Result<bool> {
    let named = std::env::var_os(VARIABLE).unwrap_or_default();
    let mut allowed = Vec::new();
    for path in std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()) {
        if !path.is_absolute() {
            let message = format!("{VARIABLE} must name absolute paths, got `{}`", path.display());
            let hint = format!("export {VARIABLE}={}", quoted(folder));
            return Err(Failure::new(ExitStatus::Config, message).hint(hint).into());
        }
        allowed.push(path);
    }
    if let Some(file) = trusted_file() {
        let text = own_list(&file).with_context(|| format!("`{}` is not used", file.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        allowed.extend(lines.map(PathBuf::from).filter(|path| path.is_absolute()));
    }
    Ok(allowed.iter().filter_map(|path| path.canonicalize().ok()).any(|path| folder.starts_with(path)))
}

/// The list of trusted folders, which counts only if it is the caller's own.
fn own_list(path: &Path) -> Result<String> {
    let Some(file) = open(path, &|_| Ok(false))? else { return Ok(String::new()) };
    let uid = file.metadata()?.uid();
    if !owner::is_own(uid) {
        anyhow::bail!("it belongs to {}", owner::shown(uid));
    }
    text_of(file, path)
}

fn trusted_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("appforge").join("trusted"))
}
