//! Disk: the only writer of files that must be whole at every instant. Knows nothing of what they hold.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::{ExitStatus, Failure};

/// Replaces `path` by `bytes` in one step: readers see the old file or the new one, also after a crash.
/// `mode` is the Unix permission of the file.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let write = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let fresh = folder.join(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        let written =
            file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&fresh, path));
        if written.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&fresh);
        }
        written?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| cannot_write(path, error))
}

/// The failure to write `path`. A full disk is told apart: there is something to do about it.
pub fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return anyhow::Error::from(error).context(format!("while writing `{}`", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Failure::new(ExitStatus::Failed, format!("there is no room left on the disk for `{}`", path.display()))
        .hint(format!("df -h {}", folder.display()))
        .caused_by(error)
        .into()
}

/// Reads a text file; `None` when there is none.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("while reading `{}`", path.display())),
    }
}

/// Makes a folder, and those above it.
pub fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("while making the folder `{}`", path.display()))
}

/// Makes a folder that only its owner can enter, and those above it.
pub fn make_private_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("while making the folder `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_atomically(&path, b"one", 0o600).unwrap();
        write_atomically(&path, b"two", 0o600).unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_said_with_the_next_command() {
        // The device that is always full.
        let error = fs::write("/dev/full", "x").unwrap_err();
        let error = cannot_write(Path::new("/dev/full"), error);
        assert_eq!(error.to_string(), "there is no room left on the disk for `/dev/full`");
        assert_eq!(crate::error::hints(&error).next().unwrap(), "df -h /dev");
    }

    #[test]
    fn a_missing_file_is_no_error_but_an_unreadable_one_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_if_there(&folder.path().join("nothing")).unwrap(), None);
        read_if_there(folder.path()).expect_err("a folder is no text");
    }
}
