//! The data folder of one store, known by its descriptor: the project folder may be renamed or removed while the store runs.
//!
//! A lock on it is inherited by the store and by all that the store starts, so that one server uses it, ever.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::targets::local::holders::holders;
use crate::targets::local::layout::Layout;

/// How long the lock may take to be free once its holders have ended.
const FREE_WITHIN: Duration = Duration::from_secs(10);

/// An open data folder.
#[derive(Debug)]
pub(super) struct DataFolder {
    folder: File,
    opened_at: PathBuf,
}

impl DataFolder {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// When it is not there, or is a link.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder =
            files::open_private_folder(path).map_err(|error| files::failure(path, error, "cannot open"))?;
        let folder = File::from(folder);
        let opened_at = path_of(&folder)?;
        Ok(Self { folder, opened_at })
    }

    /// Where the folder is now, absolute.
    ///
    /// # Errors
    /// When it was removed.
    pub(super) fn path(&self) -> Result<PathBuf> {
        let path = path_of(&self.folder)?;
        if !is_same(&self.folder, &path) {
            bail!("the data folder `{}` was removed", self.opened_at.display());
        }
        Ok(path)
    }

    /// What happened to the folder since it was opened at `path`, which is relative to where the project is now.
    pub(super) fn change(&self, path: &Path) -> Option<String> {
        match self.path() {
            Ok(now) if is_same(&self.folder, path) => (now != self.opened_at)
                .then(|| format!("folder: {} -> {}", self.opened_at.display(), now.display())),
            _ => Some(format!("the data folder `{}` was removed", self.opened_at.display())),
        }
    }

    /// Takes the lock for one run of the store. Processes that hold it were started by an earlier run and are ended first.
    pub(super) async fn lock(&self) -> Result<File> {
        let path = self.path()?.join(Layout::DATA_LOCK);
        let file = files::lock_file_in(&self.folder, Layout::DATA_LOCK.as_ref())
            .map_err(|error| files::failure(&path, error, "cannot open"))?;
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        for process in holders(&file)? {
            tracing::warn!("ending the process {}, left over by an earlier run", process.pid);
            process.kill().await?;
        }
        let wait = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        match tokio::time::timeout(FREE_WITHIN, wait).await {
            Ok(outcome) => {
                let file = outcome.context("the thread that waits for a lock ended")?;
                file.with_context(|| format!("cannot lock `{}`", path.display()))
            }
            Err(_) => Err(Failure::new(
                ExitStatus::TimedOut,
                format!("another process uses the data in `{}`", self.opened_at.display()),
            )
            .hint(format!("fuser -v {}", path.display()))
            .into()),
        }
    }
}

fn path_of(folder: &File) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

fn is_same(folder: &File, path: &Path) -> bool {
    match (folder.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
