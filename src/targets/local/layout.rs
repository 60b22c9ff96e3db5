//! Where the local target keeps its files, all below `.appforge`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::files;

/// What the names of the secrets of an app of the user's own begin with: the addresses of its stores.
pub(crate) const APP_SECRETS: &str = "app-";

/// The folders and files of one stack on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below the state folder `root`, which is absolute.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The state folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file of ours as every process of the stack names it: from the state folder, in which they run. It stays right when
    /// the project is renamed.
    pub(crate) fn within(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    /// The data of the stores.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The file in a data folder whose lock a store holds with all that it started.
    pub(crate) const DATA_LOCK: &str = ".appforge.lock";

    /// The logs, one file a component.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// What monitoring keeps.
    pub(crate) fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    /// What only matters while something runs.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The name of the control socket within [`Layout::run`].
    pub(crate) fn socket_name(&self) -> &'static str {
        "control.sock"
    }

    /// Held by the supervisor as long as it lives.
    pub(crate) fn supervisor_lock(&self) -> PathBuf {
        self.run().join("supervisor.lock")
    }

    /// Held by a command that changes the stack.
    pub(crate) fn command_lock(&self) -> PathBuf {
        self.run().join("command.lock")
    }

    /// The processes that run, for the day after a crash.
    pub(crate) fn processes(&self) -> PathBuf {
        self.run().join("processes.json")
    }

    /// Checks that all is ours and no link; under `sudo`, gives all to the user behind it, also what the stores have made.
    ///
    /// # Errors
    /// At the first entry that is a link or belongs to another user.
    pub(crate) fn check(&self) -> Result<()> {
        files::check_private(&self.root)
    }

    /// Makes the folders; `.appforge` ignores itself in git, since it holds secrets.
    ///
    /// # Errors
    /// When another user can write in one of them, a link is in the way, or the disk cannot be written.
    pub(crate) fn make(&self) -> Result<()> {
        files::make_private_folder(&self.root)?;
        self.check()?;
        let ignore = self.root.join(".gitignore");
        if files::read_private(&ignore)?.is_none() {
            files::write_private(&ignore, b"*\n", 0o600)?;
        }
        for folder in [self.data(), self.logs(), self.run()] {
            files::make_private_folder(&folder)?;
        }
        Ok(())
    }
}
