//! Notices changes of the files of a project, without those that `.gitignore` names. Changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use ignore::WalkBuilder;
use tokio::time::{Instant, timeout};

use crate::targets::local::inotify::{Inotify, WatchFlags};

/// Folders that tools fill by themselves, also where no `.gitignore` says so.
const TOOLS: [&str; 4] = [".git", ".appforge", "node_modules", "__pycache__"];
/// A burst of changes has ended after so long without another.
const QUIET: Duration = Duration::from_millis(150);
/// A burst that lasts longer is looked at in its midst.
const LONGEST: Duration = Duration::from_secs(2);
/// Deeper folders are not looked at.
const DEEPEST: usize = 64;

/// The files of a project as they were last.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: PathBuf,
    /// Files that count although `.gitignore` may name them.
    always: Vec<PathBuf>,
    events: Inotify,
    files: BTreeMap<PathBuf, (SystemTime, u64)>,
}

impl Watch {
    /// Begins to watch `folder` and all below it; the files of `always` count although `.gitignore` may name them.
    ///
    /// # Errors
    /// When the machine has no watch left.
    pub(crate) fn new(folder: &Path, always: Vec<PathBuf>) -> Result<Self> {
        let (folder, events, files) = (folder.to_owned(), Inotify::new()?, BTreeMap::new());
        let mut watch = Self { folder, always, events, files };
        watch.files = watch.look()?;
        Ok(watch)
    }

    /// Waits for the end of the next burst of changes; a file that changed, seen from the folder.
    ///
    /// # Errors
    /// When the machine has no watch left.
    pub(crate) async fn changed(&mut self) -> Result<PathBuf> {
        loop {
            self.events.changed().await?;
            let until = Instant::now() + LONGEST;
            while let Ok(more) = timeout(QUIET, self.events.changed()).await {
                more?;
                // Files that are ignored may change all the time.
                if Instant::now() > until {
                    break;
                }
            }
            // New folders are watched from here on, and what was written into them before is seen.
            let files = self.look()?;
            let before = std::mem::replace(&mut self.files, files);
            let changed = self.files.iter().find(|(path, state)| before.get(*path) != Some(state));
            let removed = before.keys().find(|path| !self.files.contains_key(*path));
            if let Some(path) = changed.map(|(path, _)| path).or(removed) {
                return Ok(path.strip_prefix(&self.folder).unwrap_or(path).to_owned());
            }
        }
    }

    /// The files now; each folder among them is watched.
    fn look(&self) -> Result<BTreeMap<PathBuf, (SystemTime, u64)>> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        let mut walk = WalkBuilder::new(&self.folder);
        walk.hidden(false).require_git(false).follow_links(false).max_depth(Some(DEEPEST));
        walk.filter_entry(|entry| !TOOLS.iter().any(|tool| entry.file_name() == *tool));
        let mut files = BTreeMap::new();
        // What is removed during the walk gives another event.
        for entry in walk.build().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                match self.events.add(entry.path(), flags) {
                    Ok(())
                    | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::ACCESS) =>
                        {}
                    Err(error) => {
                        return Err(error).with_context(|| {
                            format!(
                                "cannot watch `{}`; fs.inotify.max_user_watches limits it",
                                entry.path().display()
                            )
                        });
                    }
                }
            } else {
                let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(entry.into_path(), (changed, meta.len()));
            }
        }
        for path in &self.always {
            // Its folder may be another one than the project's; without the file there is nothing to compare.
            let _ = path.parent().map(|folder| self.events.add(folder, flags));
            if let Ok(meta) = path.metadata() {
                let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.insert(path.clone(), (changed, meta.len()));
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_that_git_ignores_is_not_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".gitignore", "*.log\nbuild/\n.env\n");
        write("src/app.py", "1");
        let mut watch = Watch::new(folder.path(), vec![folder.path().join(".env")]).unwrap();
        for ignored in
            ["app.log", "build/out.js", "node_modules/x.js", "src/__pycache__/app.pyc", ".git/index"]
        {
            write(ignored, "1");
        }
        let quiet = timeout(Duration::from_millis(600), watch.changed()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        write("src/app.py", "22");
        let limit = Duration::from_secs(10);
        assert_eq!(timeout(limit, watch.changed()).await.unwrap().unwrap(), Path::new("src/app.py"));
        write(".env", "A=1");
        assert_eq!(timeout(limit, watch.changed()).await.unwrap().unwrap(), Path::new(".env"));
        // A folder that came later is watched too, and removing is a change.
        write("src/new/deep/util.py", "1");
        assert_eq!(
            timeout(limit, watch.changed()).await.unwrap().unwrap(),
            Path::new("src/new/deep/util.py")
        );
        std::fs::remove_file(folder.path().join("src/new/deep/util.py")).unwrap();
        assert_eq!(
            timeout(limit, watch.changed()).await.unwrap().unwrap(),
            Path::new("src/new/deep/util.py")
        );
    }
}
