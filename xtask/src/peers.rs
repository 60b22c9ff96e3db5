//! Real servers and scanners for the tests, from PyPI into `target/peers` and `target/scanners`: nothing of this machine is
//! used or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::run;

/// The servers, with versions.
const PINS: &str = include_str!("../peers.txt");
/// What judges Kubernetes manifests, with versions; apart, since it needs other versions of what the servers need.
const SCANNERS: &str = include_str!("../scanners.txt");

/// Reverse proxies that the front is measured beside, with versions.
const PROXIES: &str = include_str!("../proxies.txt");

/// Where the tests find the servers.
pub(crate) struct Peers {
    /// `APPFORGE_PEER_VALKEY`.
    pub valkey: PathBuf,
    /// `APPFORGE_PEER_MONGO`.
    pub mongo: PathBuf,
    /// `APPFORGE_PEER_PYTHON`.
    pub python: PathBuf,
    /// Goes in front of `PATH`: the folder of Node.
    pub node: PathBuf,
    /// Goes in front of `PATH`: the folder of Docker Compose itself. The package's own script always exits 0.
    pub compose: PathBuf,
    /// `APPFORGE_PEER_SCANNERS`: the folder of kubernetes-validate and checkov.
    pub scanners: PathBuf,
}

/// Installs what is missing.
pub(crate) fn peers(root: &Path) -> Result<Peers> {
    let folder = environment(root, "peers", PINS)?;
    let valkey = find(&folder.join("lib"), "valkey-server")?.context("the peers hold no valkey-server")?;
    let (mongo, python) = (folder.join("bin/nx-27017"), folder.join("bin/python"));
    if !mongo.is_file() {
        bail!("the peers hold no nx-27017");
    }
    let node = find(&folder.join("lib"), "node")?.context("the peers hold no node")?;
    let node = node.parent().context("a program lies in a folder")?.to_owned();
    let compose = find(&folder.join("lib"), "docker-compose")?.context("the peers hold no docker-compose")?;
    let compose = compose.parent().context("a program lies in a folder")?.to_owned();
    let scanners = environment(root, "scanners", SCANNERS)?.join("bin");
    for program in ["kubernetes-validate", "checkov"] {
        if !scanners.join(program).is_file() {
            bail!("the scanners hold no {program}");
        }
    }
    Ok(Peers { valkey, mongo, python, node, compose, scanners })
}

/// Where the bench finds the proxies.
pub(crate) struct Proxies {
    /// The program of Caddy.
    pub caddy: PathBuf,
    /// The one of Traefik.
    pub traefik: PathBuf,
    /// The one of Envoy.
    pub envoy: PathBuf,
}

/// Installs the proxies that are missing into `target/proxies`.
pub(crate) fn proxies(root: &Path) -> Result<Proxies> {
    let folder = environment(root, "proxies", PROXIES)?;
    let program = |below: &str, name| {
        find(&folder.join(below), name)?.with_context(|| format!("the proxies hold no {name}"))
    };
    // `bin/envoy` is a script that starts the program.
    Ok(Proxies {
        caddy: program("bin", "caddy")?,
        traefik: program("bin", "traefik")?,
        envoy: program("lib", "envoy")?,
    })
}

/// A virtual environment below `target` that has these packages. One that was made before with the same is taken as it is.
fn environment(root: &Path, name: &str, pins: &str) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = target.join(name);
    let stamp = folder.join("pins.txt");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(pins) {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("while clearing the old {name}"))?;
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
        run(Command::new(folder.join("bin/python")).args(pip).args(pins.lines()))?;
        // Written last: a folder without it is half made.
        fs::write(&stamp, pins)?;
    }
    Ok(folder)
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
