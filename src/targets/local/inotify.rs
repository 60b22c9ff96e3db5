//! The kernel's news of changed files and folders: the one owner of inotify(7). Judges no change.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::inotify;
pub(super) use rustix::fs::inotify::WatchFlags;
use tokio::io::unix::AsyncFd;

/// News of the folders that were added.
#[derive(Debug)]
pub(super) struct Inotify {
    events: AsyncFd<rustix::fd::OwnedFd>,
}

impl Inotify {
    /// News of nothing yet.
    ///
    /// # Errors
    /// When the machine has no instance left.
    pub(super) fn new() -> Result<Self> {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)
            .context("cannot watch files; fs.inotify.max_user_instances limits it")?;
        #[expect(deprecated, reason = "its successor is unsafe; the descriptor is owned, so this is sound")]
        let events = AsyncFd::new(events)?;
        Ok(Self { events })
    }

    /// Adds a folder, or changes what is of interest in it.
    ///
    /// # Errors
    /// As the kernel says: the folder is not there, or the machine has no watch left.
    pub(super) fn add(&self, folder: &Path, interest: WatchFlags) -> rustix::io::Result<()> {
        inotify::add_watch(&self.events, folder, interest).map(drop)
    }

    /// Waits for the next change, and takes in all that came with it.
    ///
    /// # Errors
    /// When the kernel's queue cannot be read.
    pub(super) async fn changed(&self) -> Result<()> {
        let mut ready = self.events.readable().await?;
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(error) => return Err(error).context("cannot watch files"),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}
