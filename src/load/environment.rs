//! Where a run took place: numbers without a machine and a commit cannot be compared with anything.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

/// Where a run took place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The processor and the number of cores, such as `AMD EPYC, 2 cores`.
    pub machine: String,
    /// Operating system and architecture.
    pub os: String,
    /// The version of appforge.
    pub appforge: String,
    /// The commit of the project, with `-dirty` when files were changed since; `None` outside a repository.
    pub commit: Option<String>,
    /// The target that was loaded, or `url`.
    pub target: String,
    /// The replicas that served, when known.
    pub replicas: Option<u32>,
}

impl Environment {
    /// Looks around from `folder`.
    pub async fn read(folder: &Path, target: &str, replicas: Option<u32>) -> Self {
        Self {
            machine: machine(),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            appforge: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit(folder).await,
            target: target.to_owned(),
            replicas,
        }
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{model}, {cores} {}", if cores == 1 { "core" } else { "cores" })
}

async fn commit(folder: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
    git.current_dir(folder).kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = timeout(Duration::from_secs(2), git.output()).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
