//! Processes under measurement: which core they run on, what they use, how they end.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::Value;

/// Longest wait for a server to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at something that gives no event.
const LOOK: Duration = Duration::from_millis(5);
/// Seconds of a tick in /proc, on every Linux that Rust runs on.
const TICK: f64 = 0.01;

/// Where a program runs, so that a server and what loads it do not take each other's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    /// The measured server.
    Server = 0,
    /// Whoever loads it, and Redis.
    Client = 1,
}

/// A command on a core of its own.
pub(super) fn pinned(core: Core, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &(core as u8).to_string()]).arg(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("APPFORGE_")) {
        command.env_remove(name);
    }
    command
}

/// A server that ends with this value.
pub(super) struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts it and waits until it listens on `port`.
    pub(super) fn start(command: &mut Command, port: u16) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("while starting {command:?}"))?;
        let mut server = Self { child, port };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{command:?}: {status}");
            }
            ensure!(begin.elapsed() < PATIENCE, "{command:?}: does not listen on port {port}");
            std::thread::sleep(LOOK);
        }
        Ok(server)
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status()?;
        ensure!(status.success(), "kill -s {name}: {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM lets a server with workers end them; what does not listen to it is killed.
        let _ = self.signal("TERM");
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(2) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A port that nobody listens on at this moment.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Runs a command to its end, demands one of these exit statuses, and tells how long it took.
pub(super) fn finish(command: &mut Command, accepted: &[i32]) -> Result<(Output, Duration)> {
    let begin = Instant::now();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("while starting {command:?}"))?;
    let took = begin.elapsed();
    let code = output.status.code();
    if !code.is_some_and(|code| accepted.contains(&code)) {
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok((output, took))
}

/// The same for a command that writes JSON.
pub(super) fn finish_json(command: &mut Command, accepted: &[i32]) -> Result<Value> {
    let (output, _) = finish(command, accepted)?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{command:?} wrote no JSON"))
}

/// Seconds of CPU that a process has used.
pub(super) fn cpu_of(pid: u32) -> Result<f64> {
    Ok(ticks(&format!("{pid}"), 11)? * TICK)
}

/// Seconds of CPU that a process and its living children have used.
pub(super) fn cpu_of_family(pid: u32) -> Result<f64> {
    let mut sum = 0.0;
    let mut family = vec![pid.to_string()];
    while let Some(pid) = family.pop() {
        sum += ticks(&pid, 11)? * TICK;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        family.extend(children.split_whitespace().map(str::to_owned));
    }
    Ok(sum)
}

/// Keeps this thread, and those that it starts, on a core.
pub(super) fn stay_on(core: Core) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core as usize);
    sched_setaffinity(None, &cores).context("cannot choose the core of a thread")
}

/// Lets this process open so many files.
pub(super) fn allow_open_files(count: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let wider = Rlimit { current: Some(count), maximum: limit.maximum };
    setrlimit(Resource::Nofile, wider).with_context(|| format!("cannot open {count} files"))
}

/// Seconds of CPU that the children which this process has waited for have used.
pub(super) fn cpu_of_children() -> Result<f64> {
    Ok(ticks("self", 13)? * TICK)
}

/// Two neighbouring fields of `/proc/PID/stat`, counted from the one behind the name.
fn ticks(pid: &str, first: usize) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("while reading /proc")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields = fields.split_ascii_whitespace().skip(first).take(2);
    Ok(fields.filter_map(|field| field.parse::<f64>().ok()).sum())
}

/// Memory of a process in MB: what it holds now, and the most it ever held.
pub(super) fn memory_of(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("while reading /proc")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<f64>().ok())
    };
    let (now, most) = (field("VmRSS:"), field("VmHWM:"));
    let kilobytes = now.zip(most).with_context(|| format!("process {pid} has no memory"))?;
    Ok((kilobytes.0 * 1024.0 / 1e6, kilobytes.1 * 1024.0 / 1e6))
}
