//! A store in a process of its own, so that it can be killed, measured and limited.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use appforge_embedded::{mongodb, redis};
use appforge_testing::wait::DEADLINE;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpListener;

/// Set only for a child: the store, and the folder of its data and of its address.
const STORE: &str = "APPFORGE_TEST_STORE";
const FOLDER: &str = "APPFORGE_TEST_FOLDER";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mongodb,
    Redis,
}

pub(crate) struct Store {
    child: Child,
    pub address: SocketAddr,
}

#[test]
#[ignore = "the body of the process of a store"]
fn child_process() {
    let (store, folder) = (std::env::var_os(STORE).unwrap(), std::env::var_os(FOLDER).unwrap());
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::fs::write(folder.join("address.new"), address).unwrap();
        std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
        let data = folder.join("data");
        // The parent ends it; should the parent be gone, it ends by itself.
        let shutdown = async {
            let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
            tokio::select! { _ = term.recv() => {}, () = tokio::time::sleep(DEADLINE * 3) => {} }
        };
        if store == "mongodb" {
            mongodb::serve(listener, mongodb::Options { data }, shutdown).await
        } else {
            let eviction = redis::Eviction::Noeviction;
            redis::serve(listener, redis::Options { data, max_memory: 0, eviction }, shutdown).await
        }
    });
    if let Err(error) = outcome {
        let error = format!("{error:#}");
        std::fs::write(folder.join("error"), &error).unwrap();
        panic!("{error}");
    }
}

impl Store {
    /// Starts it on the data below `folder`.
    #[track_caller]
    pub(crate) fn start(kind: Kind, folder: &Path) -> Self {
        Self::try_start(kind, folder).unwrap()
    }

    /// The same; the store's error when it does not start.
    pub(crate) fn try_start(kind: Kind, folder: &Path) -> Result<Self, String> {
        Self::run(kind, folder, &[])
    }

    /// The same behind the words `before`, such as those of another program that starts it.
    pub(crate) fn run(kind: Kind, folder: &Path, before: &[&str]) -> Result<Self, String> {
        let (address, error) = (folder.join("address"), folder.join("error"));
        for file in [&address, &error] {
            let _ = std::fs::remove_file(file);
        }
        // A file that may not grow must fail the write, not end the process.
        let script = "trap '' XFSZ; exec \"$@\"";
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).args(before).arg(program).args([
            "--ignored",
            "--exact",
            "process::child_process",
        ]);
        command.env(STORE, if kind == Kind::Mongodb { "mongodb" } else { "redis" }).env(FOLDER, folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + DEADLINE;
        loop {
            let serves = std::fs::read_to_string(&address).ok().and_then(|text| text.parse().ok());
            if let Some(address) = serves
                && Self::answers(kind, address)
            {
                return Ok(Self { child, address });
            }
            if let Some(status) = child.try_wait().unwrap() {
                let said = std::fs::read_to_string(&error);
                return Err(said.unwrap_or_else(|_| format!("it ended with {status}")));
            }
            assert!(Instant::now() < until, "the store does not serve");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// It listens before it has read its data, and answers after that.
    fn answers(kind: Kind, address: SocketAddr) -> bool {
        match kind {
            Kind::Mongodb => crate::mongo::Client::try_connect(address).is_ok(),
            Kind::Redis => crate::resp::Client::try_connect(address).is_ok(),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn pid_number(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9), "it ended before it was killed");
    }

    /// SIGTERM; it must end well.
    pub(crate) fn stop(mut self) {
        rustix::process::kill_process(self.pid(), rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// No file of it may grow beyond this many bytes; `None` is no limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        prlimit(Some(self.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// The most memory that it ever used, in kB.
    pub(crate) fn peak_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
