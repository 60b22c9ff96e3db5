//! Where and when: a figure without it means nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::process::finish;

/// The lines at the top of the document.
pub(super) fn about(root: &Path, redis: &Path, nginx: bool) -> Result<String> {
    let cpu = first("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = first("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kilobytes: f64 = memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
    let kernel = said(Command::new("uname").arg("-sr"))?;
    let git = |args: &[&str]| said(Command::new("git").args(args).current_dir(root));
    let dirty =
        if git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() { "" } else { ", changed" };
    let date = said(Command::new("date").args(["-u", "+%F %H:%M"]))?;
    let redis = said(Command::new(redis).arg("--version"))?;
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
    let peers = if nginx { ", nginx from Debian" } else { "" };
    Ok(format!(
        "- {date} UTC, commit {}{dirty}\n- {cores} x {cpu}, {:.0} GB, {kernel}; {:.0} % of it busy with other work before the run\n\
         - Valkey {redis} without persistence{peers}, all on 127.0.0.1. The server runs on core 0; `wrk`, `appforge load` and Valkey \
         run on core 1.\n- The brief's own stack (Express with rate-limit-redis) is not among the peers: it needs npm.",
        git(&["rev-parse", "--short", "HEAD"])?,
        kilobytes / 1e6,
        busy(Duration::from_secs(2))? * 100.0,
    ))
}

/// The share of all cores that is used while this process waits.
fn busy(span: Duration) -> Result<f64> {
    let read = || -> Result<(f64, f64)> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        let fields: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        let idle = fields.iter().skip(3).take(2).sum::<f64>();
        Ok((fields.iter().take(8).sum(), idle))
    };
    let (all, idle) = read()?;
    std::thread::sleep(span);
    let (all_after, idle_after) = read()?;
    Ok(1.0 - (idle_after - idle) / (all_after - all).max(1.0))
}

fn first(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(command: &mut Command) -> Result<String> {
    let (output, _) = finish(command, &[0])?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
