//! What the Compose target needs of this machine, each with its fix. Changes nothing.

use std::path::Path;

use crate::stack::StoreKind;
use crate::targets::compose::observe::Engine;
use crate::targets::compose::session::Compose;
use crate::targets::finding::{Finding, Verdict};
use crate::targets::machine;

/// Room that the images and a first start take.
const ROOM: u64 = 5 << 30;
/// Below this the first pull fails.
const NO_ROOM: u64 = 1 << 30;

impl Compose {
    /// Looks at the engine, Compose, disk, port, addresses, and the processor where MongoDB needs more of it.
    pub(crate) async fn conditions(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let engine = match Engine::connect().await {
            Ok(engine) => engine,
            Err(error) => return vec![Finding::bad("docker engine", &error)],
        };
        findings
            .push(Finding::good("docker engine", format!("version {} at {}", engine.version, engine.host)));
        findings.push(match self.cli(&engine).await {
            Ok(cli) => Finding::good("docker compose", format!("version {}", cli.version)),
            Err(error) => Finding::bad("docker compose", &error),
        });
        findings.extend(disk(&engine).await);
        let containers = engine.containers(self.project()).await.unwrap_or_default();
        let neighbours = self.neighbours(&engine).await.unwrap_or_default();
        for port in self.published() {
            let name = format!("port {}", port.1.port());
            findings.push(match self.check_port(&engine, &containers, &neighbours, port) {
                Ok(()) => Finding::good(&name, "free, or used by this stack"),
                Err(error) => Finding::bad(&name, &error),
            });
        }
        findings.push(match self.check_subnet(&engine, &containers).await {
            Ok(()) => Finding::good("edge network", "its addresses are free"),
            Err(error) => Finding::bad("edge network", &error),
        });
        if self.stores().contains(&StoreKind::Mongodb) {
            findings.extend(processor(&engine));
        }
        findings
    }
}

/// The room where the engine keeps images and volumes, when that is on this machine.
async fn disk(engine: &Engine) -> Option<Finding> {
    if !engine.is_local() {
        return None;
    }
    let root = engine.docker.info().await.ok()?.docker_root_dir?;
    machine::disk(Path::new(&root), NO_ROOM, ROOM, "docker system prune")
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
    Some(if avx {
        Finding::good("processor", "has AVX, which MongoDB 5 and later need")
    } else {
        Finding::not_good(
            "processor",
            Verdict::Bad,
            "has no AVX, which MongoDB 5 and later need",
            "set `mongodb.image: mongo:4.4`, or choose another machine type",
        )
    })
}
