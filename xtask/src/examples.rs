//! What the apps of `examples/` need besides PyPI: the drivers of Node, and Go with its drivers, from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::{self, output, run_quietly};

const NODE_PACKAGES: [&str; 2] = ["node-mongodb", "node-redis"];
const GO_PACKAGES: [&str; 3] =
    ["golang-go", "golang-mongodb-mongo-driver-dev", "golang-github-gomodule-redigo-dev"];

/// The folder `node_modules` of the Node example.
pub(crate) fn node_modules(root: &Path) -> Result<PathBuf> {
    let work = work(root, "node")?;
    let unpacked = debian::unpack(&work, &NODE_PACKAGES, Some("node-"))?;
    let modules = work.join("node_modules");
    if !modules.is_dir() {
        // A module finds the others only in a folder of this name; Debian's own Node knows their place, others do not.
        run_quietly(Command::new("cp").arg("-r").arg(unpacked.join("usr/share/nodejs")).arg(&modules))?;
    }
    Ok(modules)
}

/// The program of the Go example. Go itself skips what did not change.
pub(crate) fn go_app(root: &Path) -> Result<PathBuf> {
    let work = work(root, "go")?;
    let unpacked = debian::unpack(&work, &GO_PACKAGES, Some("golang-"))?;
    // Debian's `lib/go` is a link to the version that `golang-go` stands for, and so relative.
    let home = fs::canonicalize(unpacked.join("usr/lib/go")).context("Debian's packages hold no Go")?;
    let program = work.join("app-go");
    let mut build = Command::new(home.join("bin/go"));
    build
        .current_dir(root.join("examples/go"))
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".")
        // The drivers lie in Debian's place: no module, no download.
        .envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GOTOOLCHAIN", "local")])
        .env("GOROOT", &home)
        .env("GOPATH", unpacked.join("usr/share/gocode"))
        .env("GOCACHE", work.join("cache"));
    output(&mut build).context("while building examples/go")?;
    Ok(program)
}

fn work(root: &Path, name: &str) -> Result<PathBuf> {
    Ok(std::path::absolute(root.join("target/examples").join(name))?)
}
