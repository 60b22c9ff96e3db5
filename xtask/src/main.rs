//! The project's own chores: `cargo xtask CHORE`.

mod images;

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;

/// The project's own chores.
#[derive(Parser)]
enum Chore {
    /// Make the container images of the tests
    Images,
}

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    match Chore::parse() {
        Chore::Images => images::run(root),
    }
}
