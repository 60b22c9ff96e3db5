//! Programs from Debian's packages, unpacked below `target`. Nothing is installed but a browser, on CI.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Downloads and unpacks `packages` below `work`, unless that was done before; the folder of the unpacked files. With a `family`
/// those of their dependencies come along whose names begin with it.
pub(crate) fn unpack(work: &Path, packages: &[&str], family: Option<&str>) -> Result<PathBuf> {
    let (cache, unpacked) = (work.join("packages"), work.join("debian"));
    let stamp = unpacked.join("packages.txt");
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&packages.join("\n")) {
        return Ok(unpacked);
    }
    fs::create_dir_all(&cache)?;
    let download = || {
        let names = match family {
            Some(family) => closure(packages, family)?,
            None => packages.iter().copied().map(str::to_owned).collect(),
        };
        run_quietly(Command::new("apt-get").args(["download", "--quiet"]).args(names).current_dir(&cache))
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

/// Installs `packages`; needs root.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages);
        run_quietly(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if install().is_err() {
        // A new machine has no list of packages yet, or an old one.
        run_quietly(Command::new("apt-get").args(["update", "--quiet"]))
            .context("while updating the list of Debian's packages")?;
        install().context("while installing Debian's packages")?;
    }
    Ok(())
}

/// `packages` with all that they depend on, as far as its name begins with `family`.
fn closure(packages: &[&str], family: &str) -> Result<BTreeSet<String>> {
    let only = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
        .map(|kind| format!("--no-{kind}"));
    let mut command = Command::new("apt-cache");
    command.args(["depends", "--recurse"]).args(only).args(packages);
    Ok(named(&output(&mut command)?, family))
}

/// The packages of a list whose names begin with `family`. A package is at the start of its line, what it depends on is indented.
fn named(list: &str, family: &str) -> BTreeSet<String> {
    list.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
}

/// Runs a command, demands that it succeeds, and returns its stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("while starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command and demands that it succeeds; its stderr is part of the error.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let output =
        command.stderr(Stdio::piped()).output().with_context(|| format!("while starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closure_has_the_packages_of_one_family_once() {
        let list = "node-redis\n  Depends: node-yallist\n  Depends: nodejs\nnode-yallist\nnodejs\n  Depends: libc6\n\
                    node-yallist\n<node-virtual>\n    node-provider\nlibc6\n";
        assert_eq!(named(list, "node-").into_iter().collect::<Vec<_>>(), ["node-redis", "node-yallist"]);
        assert!(named("", "node-").is_empty());
    }
}
