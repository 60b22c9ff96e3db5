//! What the Compose target needs of this machine, each with its fix. Changes nothing.

use std::path::Path;

use super::Compose;
use super::engine::Engine;
use crate::error::{Failure, hints};
use crate::target::finding::{Finding, Verdict};

/// Room that the images and a first start take.
const ROOM: u64 = 5 << 30;
/// Below this the first pull fails.
const NO_ROOM: u64 = 1 << 30;

impl Compose {
    /// Looks at the engine, Compose, disk, port, addresses, and the processor where MongoDB needs more of it.
    pub async fn doctor(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let engine = match Engine::connect().await {
            Ok(engine) => engine,
            Err(error) => return vec![bad("docker engine", &error)],
        };
        findings
            .push(Finding::good("docker engine", format!("version {} at {}", engine.version, engine.host)));
        findings.push(match self.cli(&engine).await {
            Ok(cli) => Finding::good("docker compose", format!("version {}", cli.version)),
            Err(error) => bad("docker compose", &error),
        });
        findings.extend(disk(&engine).await);
        let containers = engine.containers(self.project()).await.unwrap_or_default();
        let port = format!("port {}", self.stack.service.port);
        findings.push(match self.check_port(&engine, &containers) {
            Ok(()) => Finding::good(&port, "free, or this stack's own"),
            Err(error) => bad(&port, &error),
        });
        findings.push(match self.check_subnet(&engine).await {
            Ok(()) => Finding::good("edge network", "its addresses are free"),
            Err(error) => bad("edge network", &error),
        });
        if self.stores().contains(&"mongodb") {
            findings.extend(processor(&engine));
        }
        findings
    }
}

/// An error of a check, as a finding.
fn bad(name: &str, error: &anyhow::Error) -> Finding {
    let fix = hints(error).next().cloned().unwrap_or_default();
    let observed = error.downcast_ref::<Failure>().map_or_else(|| format!("{error:#}"), Failure::to_string);
    Finding::not_good(name, Verdict::Bad, observed, fix)
}

/// The room where the engine keeps images and volumes, when that is on this machine.
async fn disk(engine: &Engine) -> Option<Finding> {
    if !engine.is_local() {
        return None;
    }
    let root = engine.docker.info().await.ok()?.docker_root_dir?;
    // The folder itself may be closed to us; the one above is on the same disk as a rule.
    let seen = Path::new(&root).ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    let free = seen.f_bavail.saturating_mul(seen.f_frsize);
    let observed = format!("{:.1} GiB free below {root}", free as f64 / f64::from(1 << 30));
    Some(match free {
        free if free < NO_ROOM => Finding::not_good("disk", Verdict::Bad, observed, "docker system prune"),
        free if free < ROOM => Finding::not_good("disk", Verdict::Warning, observed, "docker system prune"),
        _ => Finding::good("disk", observed),
    })
}

/// MongoDB 5 and later do not start on an x86-64 processor without AVX.
fn processor(engine: &Engine) -> Option<Finding> {
    if engine.architecture != "amd64" || !engine.is_local() {
        return None;
    }
    let flags = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let avx = flags
        .lines()
        .any(|line| line.starts_with("flags") && line.split_whitespace().any(|flag| flag == "avx"));
    Some(match avx {
        true => Finding::good("processor", "has AVX, which MongoDB 5 and later need"),
        false => Finding::not_good(
            "processor",
            Verdict::Bad,
            "has no AVX, which MongoDB 5 and later need",
            "set `mongodb.image: mongo:4.4`, or choose another machine type",
        ),
    })
}
