//! Real servers that the tests talk to (Valkey and a MongoDB wire server) and scanners, as `cargo xtask peers` installs them.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::stack::DEADLINE;
use crate::support::free_port;

/// A server on a port and in a folder of its own, that ends with this value.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
}

/// A MongoDB server, or `None` with a word where none is installed. On CI that is a failure.
pub fn mongodb() -> Option<Server> {
    let program = peer("APPFORGE_PEER_MONGO")?;
    let server = Server::new(program, |port, folder| {
        let folder = folder.display();
        let mut arguments = vec!["--host".to_owned(), "127.0.0.1".into(), "-p".into(), port.to_string()];
        arguments.extend(["--data-dir".to_owned(), format!("{folder}/data")]);
        arguments.extend(["--log-file".to_owned(), format!("{folder}/log")]);
        arguments.extend(["--pid-file".to_owned(), format!("{folder}/pid")]);
        arguments
    });
    Some(server)
}

/// A Valkey server, likewise.
pub fn valkey() -> Option<Server> {
    let server = Server::new(valkey_program()?, |port, folder| {
        let (port, folder) = (port.to_string(), folder.display().to_string());
        let words =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", &folder];
        words.map(str::to_owned).to_vec()
    });
    Some(server)
}

/// The program of the Valkey server, likewise.
pub fn valkey_program() -> Option<PathBuf> {
    peer("APPFORGE_PEER_VALKEY")
}

/// A server that a line of shell starts, once it is known on which port.
pub fn started_by(line: impl FnOnce(u16) -> String) -> Server {
    Server::new("sh".into(), |port, _| vec!["-c".into(), line(port)])
}

/// A Python that has clients of both stores, likewise.
pub fn python() -> Option<PathBuf> {
    peer("APPFORGE_PEER_PYTHON")
}

/// The folder of kubernetes-validate and checkov, likewise.
pub fn scanners() -> Option<PathBuf> {
    peer("APPFORGE_PEER_SCANNERS")
}

/// Runs a script of `fixtures/` against a server; it ends with a traceback when something is not as it should be.
pub async fn script(python: &Path, name: &str, server: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name);
    let run = tokio::process::Command::new(python).arg(script).arg(server).kill_on_drop(true).output();
    let output = tokio::time::timeout(DEADLINE, run).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"done\n");
}

fn peer(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set");
        eprintln!("SKIPPED: {variable} is not set; `cargo xtask test` sets it");
    }
    found
}

impl Server {
    fn new(program: PathBuf, arguments: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(port, folder.path());
        let mut server = Self { program, arguments, folder, port, child: None };
        server.start();
        server
    }

    /// Starts it, with the data that it had, and waits until it takes connections.
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.folder.path());
        self.child = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "{} does not listen", self.program.display());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    /// The lines of a stack file that make a project use it.
    pub fn external(&self, store: &str) -> String {
        match store {
            "mongodb" => {
                format!("mongodb: {{mode: external, uri: \"mongodb://127.0.0.1:{}/\"}}\n", self.port)
            }
            _ => format!("redis: {{mode: external, url: \"redis://127.0.0.1:{}/\"}}\n", self.port),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
