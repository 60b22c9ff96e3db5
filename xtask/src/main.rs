//! The project's own chores: `cargo xtask CHORE`.

mod bench;
mod debian;
mod images;
mod peers;
mod run;
mod tidy;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;

use crate::run::{run, say, step};

/// The project's own chores.
#[derive(Parser)]
enum Chore {
    /// What runs on every change: format, lints, boundaries, tests
    Ci,
    /// Install the servers and scanners that the tests need, then run all tests
    Test {
        /// A missing server is a failure, as it is where the variable CI is set
        #[arg(long)]
        strict: bool,
        /// Arguments for `cargo test`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Install the servers and scanners that the tests need, into target/peers and target/scanners
    Peers,
    /// Check the boundaries between the parts
    Tidy,
    /// Make the container images of the tests
    Images,
    /// Measure on this machine and write docs/benchmarks.md
    Bench(bench::Options),
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    match Chore::parse() {
        Chore::Ci => ci(root),
        Chore::Test { strict, arguments } => test(root, strict, &arguments),
        Chore::Peers => peers::peers(root).map(drop),
        Chore::Tidy => tidy::tidy(root),
        Chore::Images => images::run(root),
        Chore::Bench(options) => bench::run_bench(root, &options),
    }
}

fn ci(root: &Path) -> Result<()> {
    step("format", || run(cargo(root).args(["fmt", "--all", "--", "--check"])))?;
    step("boundaries", || tidy::tidy(root))?;
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("lints", || run(cargo(root).args(lints)))?;
    step("tests", || test(root, false, &[]))
}

fn test(root: &Path, strict: bool, arguments: &[String]) -> Result<()> {
    let strict = strict || std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    let mut command = cargo(root);
    command.args(["test", "--workspace"]).args(arguments);
    // The tests fail over a missing server when this is set, and say that they are skipped when it is not.
    command.env_remove("CI");
    if strict {
        command.env("CI", "1");
    }
    match peers::peers(root) {
        Ok(peers) => {
            command.env("APPFORGE_PEER_VALKEY", peers.valkey).env("APPFORGE_PEER_MONGO", peers.mongo);
            command.env("APPFORGE_PEER_PYTHON", peers.python).env("APPFORGE_PEER_SCANNERS", peers.scanners);
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(peers.compose).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders)?);
            match images::run(root) {
                Err(error) if strict => return Err(error),
                Err(error) => say(&format!("SKIPPED: what needs a Docker engine: {error:#}")),
                Ok(()) => {}
            }
        }
        Err(error) if strict => return Err(error),
        Err(error) => say(&format!("SKIPPED: what needs a server from PyPI: {error:#}")),
    }
    run(&mut command)
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root);
    command
}
