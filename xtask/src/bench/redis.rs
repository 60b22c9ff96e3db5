//! The real Valkey of `cargo xtask peers`, and what it tells of its own work.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::{Core, Server, free_port, pinned};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Valkey without persistence.
pub(super) struct Redis {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    server: Option<Server>,
}

/// What it has done since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    /// Seconds of CPU.
    pub cpu: f64,
    /// Commands of the limiter.
    pub commands: f64,
}

impl Redis {
    /// Starts one on a port of its own.
    pub(super) fn start(program: &Path, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut redis = Self { program: program.to_owned(), folder, port: free_port()?, server: None };
        redis.revive()?;
        Ok(redis)
    }

    /// Starts it again, on the same port.
    pub(super) fn revive(&mut self) -> Result<()> {
        let mut command = pinned(Core::Client, &self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--logfile", ""]).arg("--dir").arg(&self.folder);
        self.server = Some(Server::start(&mut command, self.port)?);
        Ok(())
    }

    /// Kills it.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(server) = self.server.take() {
            server.signal("KILL")?;
        }
        Ok(())
    }

    /// Freezes it, or lets it go on.
    pub(super) fn freeze(&self, frozen: bool) -> Result<()> {
        let server = self.server.as_ref().context("Redis does not run")?;
        server.signal(if frozen { "STOP" } else { "CONT" })
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it has done since its start.
    pub(super) fn work(&self) -> Result<Work> {
        let mut client = Client::connect(self.port)?;
        let cpu = client.info("cpu")?;
        let seconds = |name: &str| {
            let line = cpu.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<f64>().ok()).with_context(|| format!("no {name}"))
        };
        let cpu = seconds("used_cpu_user")? + seconds("used_cpu_sys")?;
        let commands = client.info("commandstats")?;
        let commands = commands.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            // What connections and health checks cost is not the limiter's; it sets keys only after an outage.
            let ours = ["incrby", "multi", "exec", "pexpire", "pttl"].contains(&name);
            rest.split(',').next()?.parse::<f64>().ok().filter(|_| ours)
        });
        Ok(Work { cpu, commands: commands.sum() })
    }
}

/// How long a PING through `port` takes, in ms: the median of some.
pub(super) fn round_trip(port: u16) -> Result<f64> {
    let mut client = Client::connect(port)?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let begin = Instant::now();
        client.send("PING\r\n")?;
        client.line()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(super::median(&mut times))
}

/// As much of the protocol as is needed here.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("while asking Redis")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn send(&mut self, command: &str) -> Result<()> {
        Ok(self.0.get_mut().write_all(command.as_bytes())?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn info(&mut self, section: &str) -> Result<String> {
        self.send(&format!("INFO {section}\r\n"))?;
        let head = self.line()?;
        let length = head.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        ensure!(length.is_some(), "INFO {section}: {head}");
        let mut text = vec![0; length.unwrap_or(0) + 2];
        self.0.read_exact(&mut text)?;
        Ok(String::from_utf8(text)?)
    }
}
