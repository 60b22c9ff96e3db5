//! Load by `wrk` from Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process::{Core, cpu_of_children, finish, pinned};

/// Sends as one of CLIENTS clients in turn, and writes what came of it as JSON. Requests are made before the run.
const SCRIPT: &str = r#"
local clients = tonumber(os.getenv("CLIENTS"))
local body = tonumber(os.getenv("BODY"))
if body > 0 then
  wrk.method = "POST"
  wrk.body = string.rep("x", body)
end
local ready = {}
local turn = 0
if clients > 0 then
  function init(args)
    for i = 0, clients - 1 do
      local address = string.format("10.%d.%d.%d", math.floor(i / 65536) % 256, math.floor(i / 256) % 256, i % 256)
      ready[i + 1] = wrk.format("GET", nil, { ["X-Forwarded-For"] = address })
    end
  end
  function request()
    turn = turn % clients + 1
    return ready[turn]
  end
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"seconds":%f,"refused":%d,"errors":%d,"p50":%f,"p95":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
"#;

/// Who asks what.
#[derive(Clone)]
pub(super) struct Load {
    url: String,
    connections: u32,
    clients: u32,
    body: u32,
}

impl Load {
    /// `GET url` over one connection, without `X-Forwarded-For`.
    pub(super) fn get(url: String) -> Self {
        Self { url, connections: 1, clients: 0, body: 0 }
    }

    /// `POST url` with a body of 1 MB.
    pub(super) fn post(url: String) -> Self {
        Self { body: 1_000_000, ..Self::get(url) }
    }

    /// Over so many connections.
    pub(super) fn connections(self, connections: u32) -> Self {
        Self { connections, ..self }
    }

    /// As one of so many clients in turn, by `X-Forwarded-For`.
    pub(super) fn clients(self, clients: u32) -> Self {
        Self { clients, ..self }
    }
}

/// The program and its script.
pub(super) struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

/// What one run measured. Latencies in ms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// Requests answered.
    pub requests: f64,
    /// Of them, those with a status of 400 and more.
    pub refused: f64,
    /// Requests per second.
    pub rate: f64,
    /// The median.
    pub p50: f64,
    /// 95 of 100 were faster.
    pub p95: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// Seconds of CPU of wrk itself.
    pub cpu: f64,
}

impl Wrk {
    /// `None` where it is not installed.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join("wrk")).find(|file| file.is_file());
        let Some(program) = found else { return Ok(None) };
        let script = folder.join("wrk.lua");
        fs::write(&script, SCRIPT)?;
        Ok(Some(Self { program, script }))
    }

    /// Sends this load for so long.
    pub(super) fn run(&self, load: &Load, length: Duration) -> Result<Run> {
        let Load { url, connections, clients, body } = load;
        let before = cpu_of_children()?;
        let mut command = pinned(Core::Client, &self.program);
        let connections = connections.to_string();
        command.args(["-t", "1", "-c", &connections, "-d", &format!("{}s", length.as_secs())]);
        // Longer than its 2 s: many large bodies at once take a while.
        command.args(["--timeout", "10s", "-s"]);
        command.arg(&self.script).arg(url).env("CLIENTS", clients.to_string()).env("BODY", body.to_string());
        let (output, _) = finish(&mut command, &[0])?;
        let cpu = cpu_of_children()? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let json = text.lines().find_map(|line| line.strip_prefix("JSON ")).context("wrk tells nothing")?;
        let json: Value = serde_json::from_str(json)?;
        let number = |name: &str| json[name].as_f64().with_context(|| format!("wrk tells no {name}"));
        let (requests, errors) = (number("requests")?, number("errors")?);
        ensure!(requests > 0.0, "no request was answered: {text}");
        ensure!(errors == 0.0, "{errors} of {requests} requests to {url} failed: {text}");
        Ok(Run {
            requests,
            refused: number("refused")?,
            rate: requests / number("seconds")?,
            p50: number("p50")?,
            p95: number("p95")?,
            p99: number("p99")?,
            cpu,
        })
    }
}
