//! Programs from Debian's packages, unpacked below `target`; nothing is installed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Downloads and unpacks `packages` below `work`, unless that was done before; the folder of the unpacked files.
pub(crate) fn unpack(work: &Path, packages: &[&str]) -> Result<PathBuf> {
    let (cache, unpacked) = (work.join("packages"), work.join("debian"));
    let stamp = unpacked.join("packages.txt");
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&packages.join("\n")) {
        return Ok(unpacked);
    }
    fs::create_dir_all(&cache)?;
    let download = || {
        run_quietly(Command::new("apt-get").args(["download", "--quiet"]).args(packages).current_dir(&cache))
    };
    if download().is_err() {
        // A new machine has no list of packages yet, or an old one.
        run_quietly(Command::new("apt-get").args(["update", "--quiet"]))
            .context("while updating the list of Debian's packages, which needs root")?;
        download().context("while downloading Debian's packages")?;
    }
    for entry in fs::read_dir(&cache)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            run_quietly(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&unpacked))?;
        }
    }
    // Written last: a folder without it is half made.
    fs::write(&stamp, packages.join("\n"))?;
    Ok(unpacked)
}

/// Runs a command and demands that it succeeds; its stderr is part of the error.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output =
        command.stderr(Stdio::piped()).output().with_context(|| format!("while starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
