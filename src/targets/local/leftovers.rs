//! The record of running processes, and what is done about those that a crash left behind.
//!
//! A process is known by its id, its start time and the boot of the machine, so that an id which another program has
//! meanwhile is never touched.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use crate::files;
use crate::owner;

/// The variable that every child of a supervisor has: [`Record::mark`].
pub(crate) const MARK: &str = "APPFORGE_STATE_FOLDER";
/// Ports below are not ours to take.
const FIRST_PORT: u16 = 1024;
/// How long a killed process may take to vanish.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// One process, beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The process id, which is also that of its group.
    pub(crate) pid: u32,
    /// When it started, in clock ticks since boot.
    started: u64,
    /// The boot that `started` counts from.
    boot: String,
}

impl Process {
    /// The process with this id; `None` when there is none.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started: started(pid)?, boot })
    }

    /// Whether it still runs.
    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks it to end, and kills it with its group when it has not ended `within` that time.
    pub(crate) async fn end(&self, within: Duration) -> Result<()> {
        let Some(handle) = self.handle()? else { return Ok(()) };
        // A process that ended by itself meanwhile is what we want.
        let _ = rustix::process::pidfd_send_signal(&handle, Signal::TERM);
        match tokio::time::timeout(within, ended(handle)).await {
            Ok(outcome) => outcome,
            Err(_) => self.kill().await,
        }
    }

    /// Whether it was started for the stack with this state folder: it has the mark in its environment, or it is a store
    /// that works in the stack's data. A record may name any process; this is what the process itself shows.
    pub(crate) fn serves(&self, state_folder: &Path) -> bool {
        let proc = PathBuf::from(format!("/proc/{}", self.pid));
        if !std::fs::metadata(&proc).is_ok_and(|meta| owner::is_own(meta.uid())) {
            return false;
        }
        let Ok(state_folder) = state_folder.canonicalize() else { return false };
        let secret = state_folder.join("secrets/probe");
        let marks = [
            format!("{MARK}={}", mark(&state_folder)).into_bytes(),
            // Replicas of versions that set no mark.
            [b"PROBE_SECRET_FILE=", secret.as_os_str().as_bytes()].concat(),
        ];
        let environment = std::fs::read(proc.join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|entry| marks.iter().any(|mark| mark == entry)) {
            return true;
        }
        // A server may write its title over its environment.
        let data = state_folder.join("data");
        let is_data = |link: &Path| std::fs::read_link(link).is_ok_and(|path| path.starts_with(&data));
        let open = std::fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
        is_data(&proc.join("cwd")) || open.map(|entry| entry.path()).any(|link| is_data(&link))
    }

    /// Kills it and its group, and waits until it is gone.
    pub(crate) async fn kill(&self) -> Result<()> {
        let Some(handle) = self.handle()? else { return Ok(()) };
        // A process that ended by itself meanwhile is what we want.
        let _ = rustix::process::kill_process_group(self.id()?, Signal::KILL);
        let _ = rustix::process::pidfd_send_signal(&handle, Signal::KILL);
        match tokio::time::timeout(GONE_WITHIN, ended(handle)).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("process {} does not exit after SIGKILL", self.pid),
        }
    }

    /// A handle of this very process; `None` when it has ended.
    fn handle(&self) -> Result<Option<OwnedFd>> {
        let Ok(handle) = rustix::process::pidfd_open(self.id()?, PidfdFlags::NONBLOCK) else {
            return Ok(None);
        };
        // The handle is of the right process if the id still belongs to it now.
        Ok(self.lives().then_some(handle))
    }

    fn id(&self) -> Result<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")
    }
}

async fn ended(handle: OwnedFd) -> Result<()> {
    #[expect(deprecated, reason = "its successor is unsafe; the descriptor is owned, so this is sound")]
    let handle = AsyncFd::new(handle)?;
    handle.readable().await.map(drop).context("cannot wait for a process to exit")
}

/// The children of a process, those that ended and are not reaped among them.
pub(crate) fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("cannot read `/proc`")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if self::parent(pid) == Some(parent) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The other processes of this user that carry the mark of the stack with this state folder, however they came to have another
/// parent. Those that this process descends from are left out: a command may be run by an app of the stack itself.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn marked(state_folder: &Path) -> Result<Vec<Process>> {
    let Ok(state_folder) = state_folder.canonicalize() else { return Ok(Vec::new()) };
    let entry = format!("{MARK}={}", mark(&state_folder)).into_bytes();
    let mut own = Vec::new();
    let mut next = Some(std::process::id());
    while let Some(pid) = next.filter(|pid| *pid > 1) {
        own.push(pid);
        next = parent(pid);
    }
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").context("cannot read `/proc`")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if own.contains(&pid) || !process.metadata().is_ok_and(|meta| owner::is_own(meta.uid())) {
            continue;
        }
        // One that ended meanwhile, or may not be read, is not ours to end.
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == entry) {
            found.extend(Process::of(pid));
        }
    }
    Ok(found)
}

/// The parent of a process.
fn parent(pid: u32) -> Option<u32> {
    // Field 4, counted from the last parenthesis, since the name may hold anything.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Device and number of a folder; nothing of the sort for one that was removed.
fn mark(folder: &Path) -> String {
    std::fs::metadata(folder)
        .map_or_else(|_| "gone".to_owned(), |meta| format!("{}:{}", meta.dev(), meta.ino()))
}

/// Field 22 of `/proc/PID/stat`; a zombie counts as gone.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, so the fields are counted from the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The file of the running processes and of the ports that the stores had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Processes by component.
    #[serde(default)]
    pub(crate) processes: BTreeMap<String, Process>,
    /// The ports of the stores, which stay the same as long as they are free.
    #[serde(default)]
    pub(crate) ports: BTreeMap<String, u16>,
    #[serde(skip)]
    path: PathBuf,
}

impl Record {
    /// Reads the record. A broken one is an empty one: what it held is also found in the kernel's locks.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = files::read_private(path)?;
        let mut record = text.and_then(|text| serde_json::from_str::<Self>(&text).ok()).unwrap_or_default();
        record.ports.retain(|_, port| *port >= FIRST_PORT);
        Ok(Self { path: path.to_owned(), ..record })
    }

    /// Writes the record.
    pub(crate) fn save(&self) -> Result<()> {
        files::write_private(&self.path, &serde_json::to_vec_pretty(self)?, 0o600)
    }

    /// What the processes of the stack have in their environment, to be known by: the identity of the state folder, which
    /// stays when the project is renamed.
    pub(crate) fn mark(&self) -> String {
        mark(self.state_folder())
    }

    fn state_folder(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// Ends every process of the record that still runs and is this stack's, and returns their names.
    pub(crate) async fn reap(&mut self) -> Result<Vec<String>> {
        let mut reaped = Vec::new();
        for (name, process) in std::mem::take(&mut self.processes) {
            if process.lives() && process.serves(self.state_folder()) {
                process.kill().await.with_context(|| format!("cannot end the leftover process `{name}`"))?;
                reaped.push(name);
            }
        }
        // What a program started may have outlived it and its guard.
        for process in marked(self.state_folder())? {
            process
                .kill()
                .await
                .with_context(|| format!("cannot end the leftover process {}", process.pid))?;
            reaped.push(format!("process {}", process.pid));
        }
        Ok(reaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    /// A state folder with an empty record.
    fn record() -> (tempfile::TempDir, Record) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        files::make_private_folder(&root.join("run")).unwrap();
        let record = Record::load(&root.join("run/processes.json")).unwrap();
        (folder, record)
    }

    #[tokio::test]
    async fn leftover_is_ended_and_reused_id_is_not_touched() {
        let (_folder, mut record) = record();
        let started = |mark: Option<String>| {
            let mut sleep = std::process::Command::new("sleep");
            sleep.arg("60").process_group(0).envs(mark.map(|mark| (MARK, mark)));
            let child = sleep.spawn().unwrap();
            let process = Process::of(child.id()).unwrap();
            (child, process)
        };
        let (mut stranger, strange) = started(None);
        let earlier = Process { started: strange.started + 1, ..strange.clone() };
        record.processes.insert("other".into(), earlier);
        assert_eq!(record.reap().await.unwrap(), Vec::<String>::new());
        let (mut child, process) = started(Some(record.mark()));
        record.processes.insert("redis".into(), process.clone());
        record.save().unwrap();
        let mut record = Record::load(&record.path).unwrap();
        assert_eq!(record.reap().await.unwrap(), ["redis"]);
        assert!(!process.lives() && strange.lives());
        child.wait().unwrap();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[tokio::test]
    async fn process_that_the_stack_did_not_start_is_not_killed() {
        let (_folder, mut record) = record();
        let (_other_folder, other) = self::record();
        let root = record.state_folder().to_owned();
        let mut marked = std::process::Command::new("sleep");
        marked.arg("60").process_group(0).env(MARK, other.mark());
        let mut named = std::process::Command::new("sleep");
        named.arg("60").process_group(0).env("NOTE", &root).current_dir(&root);
        let mut children = [marked.spawn().unwrap(), named.spawn().unwrap()];
        let processes: Vec<Process> = children.iter().map(|child| Process::of(child.id()).unwrap()).collect();
        for process in &processes {
            record.processes.insert(process.pid.to_string(), process.clone());
        }
        assert_eq!(record.reap().await.unwrap(), Vec::<String>::new());
        assert!(processes.iter().all(Process::lives));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn store_is_known_by_the_data_it_has_open() {
        let (_folder, mut record) = record();
        let data = record.state_folder().join("data/redis");
        files::make_private_folder(&data).unwrap();
        let log = std::fs::File::create(data.join("appendonly.aof")).unwrap();
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").process_group(0).env_clear().stdin(log).spawn().unwrap();
        record.processes.insert("redis.1".into(), Process::of(child.id()).unwrap());
        assert_eq!(record.reap().await.unwrap(), ["redis.1"]);
        child.wait().unwrap();
    }

    #[test]
    fn port_of_the_record_is_not_taken_below_1024() {
        let (_folder, record) = record();
        std::fs::write(&record.path, r#"{"ports": {"redis": 22, "mongodb": 27018}}"#).unwrap();
        let ports = Record::load(&record.path).unwrap().ports;
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), [("mongodb".to_owned(), 27018)]);
    }

    #[test]
    fn record_is_empty_when_its_file_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("processes.json");
        std::fs::write(&path, "{\"proc").unwrap();
        assert!(Record::load(&path).unwrap().processes.is_empty());
    }
}
