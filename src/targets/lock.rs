//! Locks that name their owner and vanish with it, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::error::{ExitStatus, Failure};
use crate::files;

/// How long a command waits for another one that changes the same stack.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// What an attempt found.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is ours.
    Taken(Lock),
    /// Another process has it; this is what it wrote about itself.
    Held(String),
}

impl Lock {
    /// The file of the right to change a stack whose files are in `folder`, which is made and checked.
    ///
    /// # Errors
    /// When the folder is not the caller's own, or cannot be made.
    pub(crate) fn file_in(folder: &Path) -> Result<PathBuf> {
        files::make_private_folder(folder)?;
        files::check_private(folder)?;
        Ok(folder.join("lock"))
    }

    /// Takes the right to change a stack, for the command `verb`; `say` hears once whom it waits for.
    ///
    /// # Errors
    /// As [`Lock::take`]; five minutes are the limit.
    pub(crate) async fn of_command(path: PathBuf, verb: &str, say: impl FnOnce(&str)) -> Result<Self> {
        let owner = format!("`appforge {verb}` (pid {})", std::process::id());
        Self::take(path, &owner, PATIENCE, |holder| say(&format!("waiting for {holder}"))).await
    }

    /// Takes the lock if it is free. `owner` is what others read, such as `appforge up (pid 4711)`.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub(crate) fn attempt(path: &Path, owner: &str) -> Result<Attempt> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Attempt::Taken(Self::own(path, file, owner)?)),
            Err(TryLockError::WouldBlock) => Ok(Attempt::Held(owner_of(&mut file))),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| locking(path)),
        }
    }

    /// Takes the lock, waiting for its owner up to `limit`; `waiting` receives that owner once.
    ///
    /// # Errors
    /// When `limit` passes (exit 9, naming the owner), or the file cannot be used.
    pub(crate) async fn take(
        path: PathBuf,
        owner: &str,
        limit: Duration,
        waiting: impl FnOnce(&str),
    ) -> Result<Self> {
        let holder = match Self::attempt(&path, owner)? {
            Attempt::Taken(lock) => return Ok(lock),
            Attempt::Held(holder) => holder,
        };
        waiting(&holder);
        let (there, name) = (path.clone(), owner.to_owned());
        let wait = tokio::task::spawn_blocking(move || {
            let file = open(&there)?;
            file.lock().with_context(|| locking(&there))?;
            Self::own(&there, file, &name)
        });
        match tokio::time::timeout(limit, wait).await {
            Ok(outcome) => outcome.context("the thread that waits for a lock ended")?,
            Err(_) => Err(Failure::new(
                ExitStatus::TimedOut,
                format!("another command ({holder}) is still running on this stack"),
            )
            .hint("wait for it to finish, or end it")
            .into()),
        }
    }

    /// Whether its file is still the one at `path`. A lock on a removed file excludes no process.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        match (self.file.metadata(), std::fs::metadata(path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    fn own(path: &Path, mut file: File, owner: &str) -> Result<Self> {
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(owner.as_bytes()))
            .map_err(|error| files::cannot_write(path, error))?;
        Ok(Self { file })
    }
}

fn open(path: &Path) -> Result<File> {
    files::private_lock_file(path).map_err(|error| files::failure(path, error, "cannot open"))
}

fn owner_of(file: &mut File) -> String {
    let mut owner = String::new();
    // The owner may not have written its name yet; the name is a courtesy.
    let _ = file.read_to_string(&mut owner);
    if owner.is_empty() { "another appforge".into() } else { owner }
}

fn locking(path: &Path) -> String {
    format!("cannot lock `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn held_lock_names_its_owner_and_is_free_once_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Attempt::Taken(first) = Lock::attempt(&path, "appforge up (pid 1)").unwrap() else {
            panic!("free")
        };
        let Attempt::Held(owner) = Lock::attempt(&path, "x").unwrap() else { panic!("held") };
        assert_eq!(owner, "appforge up (pid 1)");
        let error = Lock::take(path.clone(), "x", Duration::from_millis(20), |_| ()).await.unwrap_err();
        assert!(
            error.to_string().contains("another command (appforge up (pid 1)) is still running"),
            "{error}"
        );
        drop(first);
        Lock::take(path, "x", Duration::from_secs(10), |_| ()).await.unwrap();
    }
}
