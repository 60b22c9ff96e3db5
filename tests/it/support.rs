//! A project folder and the real binary in it; what a run printed and how it ended are compared exactly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use tempfile::TempDir;

/// A project folder of one test.
pub(crate) struct Project {
    path: PathBuf,
    folder: TempDir,
}

/// What one run of appforge left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("appforge starts");
        Self {
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
            code: output.status.code(),
        }
    }
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { path: folder.path().to_owned(), folder }
    }

    /// A project with this stack file.
    pub(crate) fn with(stack: &str) -> Self {
        let project = Self::new();
        project.write("appforge.yaml", stack);
        project
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder another path, with all that is in it.
    pub(crate) fn rename(&mut self) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("renamed");
        std::fs::rename(&self.path, &path).expect("renamed");
        (self.path, self.folder) = (path, folder);
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("writable");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect("readable")
    }

    /// The command, in the project, with nothing of the caller's configuration in its environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appforge"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("APPFORGE_"))
        {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// The command as another user and group of this machine, with a umask such as `022`; only root can.
    pub(crate) fn command_as(&self, uid: u32, umask: &str, args: &[&str]) -> Command {
        let own = self.command(args);
        // The user need not be able to reach the folder of the build.
        let program = std::fs::File::open(own.get_program()).expect("the program");
        let line = format!(
            "umask {umask}; exec setpriv --reuid {uid} --regid {uid} --clear-groups /proc/self/fd/20 \"$@\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line, "sh"]).args(args);
        command
            .fd_mappings(vec![FdMapping { parent_fd: program.into(), child_fd: 20 }])
            .expect("one descriptor");
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("HOME", self.path()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Gives the project folder and all in it to a user; only root can.
    pub(crate) fn give(&self, uid: u32) {
        let done = Command::new("chown").args(["-R", &format!("{uid}:{uid}")]).arg(self.path()).status();
        assert!(done.expect("chown starts").success());
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Runs and demands exit 0.
    #[track_caller]
    pub(crate) fn done(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, Some(0), "{args:?}: {run:#?}");
        run
    }
}
