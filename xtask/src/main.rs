//! The project's own chores: `cargo xtask CHORE`.

mod bench;
mod circles;
mod debian;
mod examples;
mod images;
mod monitoring;
mod peers;
mod run;
mod suite;
mod tidy;
mod words;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;

use crate::run::{cargo, run, step};

/// The project's own chores.
#[derive(Parser)]
enum Chore {
    /// What runs on every change: format, lints, boundaries, tests
    Ci,
    /// Install the servers and scanners that the tests need, then run all tests and list those that could not run
    Test {
        /// Fail where a test needs what is missing; so does a set variable CI
        #[arg(long)]
        strict: bool,
        /// Arguments for `cargo test`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Install the servers and scanners that the tests need, into target/peers and target/scanners
    Peers,
    /// Check the boundaries between the parts, and the words that STYLE.md rules out
    Tidy {
        /// Rewrite xtask/words.txt, once some of the words became fewer
        #[arg(long)]
        update_words: bool,
    },
    /// Make the container images of the tests
    Images,
    /// Measure on this machine and write docs/benchmarks.md
    Bench(bench::Options),
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    match Chore::parse() {
        Chore::Ci => ci(root),
        Chore::Test { strict, arguments } => suite::test(root, strict, &arguments),
        Chore::Peers => peers::peers(root).map(drop),
        Chore::Tidy { update_words } => tidy::tidy(root, update_words),
        Chore::Images => suite::images(root),
        Chore::Bench(options) => bench::run_bench(root, &options),
    }
}

fn ci(root: &Path) -> Result<()> {
    step("format", || run(cargo(root).args(["fmt", "--all", "--", "--check"])))?;
    step("boundaries", || tidy::tidy(root, false))?;
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("lints", || run(cargo(root).args(lints)))?;
    step("tests", || suite::test(root, false, &[]))
}
