//! What judges the rules of alerts: promtool, from Debian's package of Prometheus.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::debian;

/// `amtool` lies beside `promtool`.
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];

/// The program `promtool`.
pub(crate) fn promtool(root: &Path) -> Result<PathBuf> {
    // The tests that get the path run in folders of their own.
    let work = std::path::absolute(root.join("target/monitoring"))?;
    let program = debian::unpack(&work, &PACKAGES, None)?.join("usr/bin/promtool");
    ensure!(program.is_file(), "Debian's package of Prometheus holds no promtool");
    Ok(program)
}
