//! Real servers that tests talk to: Valkey and a MongoDB wire server, as `cargo xtask peers` installs them.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::eventually;
use crate::{need, port};

/// Keeps its data over a restart.
pub const DURABLE: &[&str] = &["--save", "", "--appendonly", "yes"];
/// Has no data after a restart.
pub const IN_MEMORY: &[&str] = &["--save", "", "--appendonly", "no"];

/// A server in a folder of its own, which ends with this value.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    /// On 127.0.0.1; the same after a restart.
    pub port: u16,
    child: Option<Child>,
}

/// The program of a Valkey server, or of Redis where only that is installed.
#[track_caller]
pub fn valkey_program() -> PathBuf {
    need::program("APPFORGE_PEER_VALKEY", &["valkey-server", "redis-server"])
}

impl Server {
    /// A Valkey server that does not run yet.
    #[track_caller]
    pub fn valkey(arguments: &[&str]) -> Self {
        Self::new(valkey_program(), |port, folder| {
            let base =
                ["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", &folder.to_string_lossy()];
            base.iter().chain(arguments).map(|&word| word.to_owned()).collect()
        })
    }

    /// A MongoDB server that does not run yet.
    #[track_caller]
    pub fn mongodb() -> Self {
        Self::new(need::program("APPFORGE_PEER_MONGO", &["nx-27017"]), |port, folder| {
            let file = |name: &str| folder.join(name).display().to_string();
            let words = ["--host", "127.0.0.1", "-p", &port.to_string()];
            let files = ["--data-dir", &file("data"), "--log-file", &file("log"), "--pid-file", &file("pid")];
            words.iter().chain(&files).map(|&word| word.to_owned()).collect()
        })
    }

    /// A server that does not run yet, and that a line of shell starts.
    pub fn shell(line: impl FnOnce(u16) -> String) -> Self {
        Self::new("sh".into(), |port, _| vec!["-c".into(), line(port)])
    }

    fn new(program: PathBuf, arguments: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let (port, folder) = (port::reserve(), tempfile::tempdir().unwrap());
        let arguments = arguments(port, folder.path());
        Self { program, arguments, folder, port, child: None }
    }

    /// Gives Valkey a configuration file of these lines.
    #[must_use]
    pub fn configured(mut self, lines: &[&str]) -> Self {
        let file = self.folder.path().join("server.conf");
        std::fs::write(&file, lines.join("\n")).unwrap();
        self.arguments.insert(0, file.display().to_string());
        self
    }

    /// The same server, running.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts it, with the data that it had, and waits until it takes connections.
    #[track_caller]
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = self.child.insert(command.spawn().unwrap());
        eventually(&format!("{} listens", self.program.display()), || {
            assert_eq!(child.try_wait().unwrap(), None, "{} has ended", self.program.display());
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal to the running server.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
