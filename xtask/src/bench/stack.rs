//! A stack of the local target, brought up by the program under measurement itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::process::{Core, cpu_of, finish, finish_json, free_port, memory_of, pinned};

/// A limit that nobody reaches.
pub(super) const ENDLESS: u32 = 1_000_000_000;
/// Longest wait for an answer of a replica.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the limiter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// It is off.
    Off,
    /// It counts, and all pass.
    Pass,
    /// It refuses after the brief's 100 requests.
    Block,
}

/// A running stack, gone with its data when this value is.
pub(super) struct Stack {
    program: PathBuf,
    folder: PathBuf,
    core: Option<Core>,
    /// The published port.
    pub port: u16,
    replicas: Vec<u32>,
}

impl Stack {
    /// The folder of a stack that is not up, with what it counts in.
    pub(super) fn prepare(program: &Path, folder: PathBuf, limit: Limit, redis: Option<u16>) -> Result<Self> {
        let stack = Self {
            program: program.to_owned(),
            folder,
            core: None,
            port: free_port()?,
            replicas: Vec::new(),
        };
        if stack.folder.join("appforge.yaml").exists() {
            // Left over from a run that was interrupted.
            stack.down();
        }
        fs::create_dir_all(&stack.folder)?;
        let name = stack.folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        let requests = if limit == Limit::Block { 100 } else { ENDLESS };
        let enabled = limit != Limit::Off;
        let redis = redis.map_or_else(String::new, |port| {
            format!("redis: {{ mode: external, url: \"redis://127.0.0.1:{port}\" }}")
        });
        let text = format!(
            "version: 1\nname: {name}\nservice: {{ port: {}, env: {{ RATE_LIMIT_ENABLED: \"{enabled}\" }} }}\n\
             rate_limit: {{ requests: {requests}, trusted_proxies: [\"127.0.0.0/8\"] }}\n{redis}\n",
            stack.port
        );
        fs::write(stack.folder.join("appforge.yaml"), text)?;
        Ok(stack)
    }

    /// A running stack, with its replicas on `core`.
    pub(super) fn up(
        program: &Path,
        folder: PathBuf,
        limit: Limit,
        redis: Option<u16>,
        replicas: u32,
        core: Core,
    ) -> Result<Self> {
        let mut stack = Self::prepare(program, folder, limit, redis)?;
        stack.core = Some(core);
        stack.run(&["up", "--replicas", &replicas.to_string()])?;
        stack.find_replicas()?;
        Ok(stack)
    }

    /// `appforge ARGS` in its folder.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = match self.core {
            Some(core) => pinned(core, &self.program),
            None => Command::new(&self.program),
        };
        command.current_dir(&self.folder).env("NO_COLOR", "1").args(args);
        command
    }

    /// `appforge ARGS` on the core of the load.
    pub(super) fn load(&self, args: &[&str]) -> Command {
        let mut command = pinned(Core::Client, &self.program);
        command.current_dir(&self.folder).env("NO_COLOR", "1").arg("load").args(args);
        command
    }

    /// Runs `appforge ARGS` and tells how long it took, in ms.
    pub(super) fn run(&self, args: &[&str]) -> Result<f64> {
        let (_, took) = finish(&mut self.command(args), &[0])?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// The file that holds the secret of simulated clients.
    pub(super) fn probe_secret(&self) -> String {
        self.folder.join(".appforge/secrets/probe").display().to_string()
    }

    /// Where a path of the service is.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Learns the processes of the replicas.
    pub(super) fn find_replicas(&mut self) -> Result<()> {
        let status = finish_json(&mut self.command(&["status", "-o", "json"]), &[0])?;
        let components = status["components"].as_array().context("a status has components")?;
        let admins = components.iter().filter(|component| component["kind"] == "service");
        let admins = admins.filter_map(|component| component["endpoint"].as_str());
        self.replicas = admins.map(process_behind).collect::<Result<_>>()?;
        Ok(())
    }

    /// Seconds of CPU that all replicas have used.
    pub(super) fn cpu(&self) -> Result<f64> {
        self.replicas.iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Memory of the largest replica in MB: now, and the most it ever held.
    pub(super) fn memory(&self) -> Result<(f64, f64)> {
        let all = self.replicas.iter().map(|pid| memory_of(*pid)).collect::<Result<Vec<_>>>()?;
        Ok(all.into_iter().fold((0.0, 0.0), |most, one| (one.0.max(most.0), one.1.max(most.1))))
    }

    /// Stops it and removes its data.
    pub(super) fn down(&self) {
        // A stack that is not up has nothing to stop; one that cannot be stopped is found by the next run.
        let _ = finish(&mut self.command(&["down", "--volumes", "--yes"]), &[0]);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.down();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The process that answers on the admin listener at `endpoint`.
fn process_behind(endpoint: &str) -> Result<u32> {
    let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let port: u16 = address.rsplit_once(':').context("an endpoint has a port")?.1.parse()?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("while asking a replica")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /statusz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status: Value = serde_json::from_str(body).context("a replica answers with JSON")?;
    let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    pid.context("a replica tells its process")
}
