//! The running program on the disk: its executable, its dynamic loader and the shared libraries that it has loaded.
//!
//! The kernel knows them (`/proc/self/maps`), so no linker has to be imitated.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::archive::Entry;

/// Where the libraries lie in the image; its `LD_LIBRARY_PATH`.
pub(crate) const LIBRARIES: &str = "/lib/appforge";

/// Libraries that the C library loads on demand, to look names up; releases before 2.34 have them apart.
const ON_DEMAND: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// Distinguishes builds of the executable without reading them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    path: PathBuf,
    size: u64,
    modified: (i64, i64),
    inode: u64,
}

/// The fingerprint of the running executable.
pub(crate) fn fingerprint() -> Result<Fingerprint> {
    let path = executable()?;
    let file = std::fs::metadata("/proc/self/exe").context("cannot inspect the executable")?;
    Ok(Fingerprint {
        path,
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        inode: file.ino(),
    })
}

/// The executable as `/appforge`, its loader where the executable asks for it, its libraries below [`LIBRARIES`].
pub(crate) fn entries() -> Result<Vec<Entry>> {
    let path = executable()?;
    // Through the kernel's link, so that a file replaced since the start does not slip in.
    let program = std::fs::read("/proc/self/exe").context("cannot read the executable")?;
    let maps = std::fs::read_to_string("/proc/self/maps").context("cannot list the loaded libraries")?;
    let mut entries = Vec::new();
    let loader = interpreter(&program)?;
    let loader_file = loader.as_deref().and_then(|loader| std::fs::canonicalize(loader).ok());
    if let (Some(loader), Some(file)) = (&loader, &loader_file) {
        entries.push(Entry::file(loader, 0o755, read(file)?));
    }
    let mut libraries = loaded(&maps);
    libraries.retain(|library| Some(library) != loader_file.as_ref() && *library != path);
    let folders: BTreeSet<PathBuf> =
        libraries.iter().filter_map(|library| library.parent().map(Path::to_owned)).collect();
    for folder in &folders {
        libraries.extend(ON_DEMAND.iter().filter_map(|name| std::fs::canonicalize(folder.join(name)).ok()));
    }
    for library in &libraries {
        let name = name_of(library);
        entries.push(Entry::file(&format!("{LIBRARIES}/{name}"), 0o644, read(library)?));
        for alias in aliases(library)? {
            entries.push(Entry::link(&format!("{LIBRARIES}/{alias}"), &name));
        }
    }
    entries.push(Entry::file("/appforge", 0o755, program));
    Ok(entries)
}

fn executable() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find the executable")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The shared objects in a memory map.
fn loaded(maps: &str) -> BTreeSet<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').and_then(|start| line.get(start..)))
        .filter(|path| path.contains(".so") && !path.ends_with(" (deleted)"))
        .map(PathBuf::from)
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")))
        .collect()
}

/// Other names of a library beside it: programs ask for `libc.so.6`, which may be a link to `libc-2.31.so`.
fn aliases(library: &Path) -> Result<Vec<String>> {
    let (Some(folder), name) = (library.parent(), name_of(library)) else { return Ok(Vec::new()) };
    let stem = name.split(['.', '-']).next().unwrap_or_default().to_owned();
    let mut aliases = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))? {
        let other = entry?.file_name().to_string_lossy().into_owned();
        let candidate = other != name && other.starts_with(&stem) && other.contains(".so.");
        if candidate && std::fs::canonicalize(folder.join(&other)).is_ok_and(|file| file == library) {
            aliases.push(other);
        }
    }
    aliases.sort_unstable();
    Ok(aliases)
}

/// The dynamic loader that a 64-bit little-endian ELF file asks for (its PT_INTERP); none when it is linked statically.
fn interpreter(program: &[u8]) -> Result<Option<String>> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, length: usize| -> Result<usize> {
        let bytes = program.get(at..at + length).context("the executable is truncated")?;
        let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        Ok(usize::try_from(value)?)
    };
    ensure!(program.starts_with(b"\x7fELF\x02\x01"), "the executable is not a 64-bit little-endian ELF file");
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let at = table + index * size;
        if number(at, 4)? as u64 == PT_INTERP {
            let (start, length) = (number(at + 8, 8)?, number(at + 32, 8)?);
            let text = program.get(start..start + length).context("the executable is truncated")?;
            return Ok(Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_the_memory_map() {
        let maps = "7f00-7f01 r--p 00000000 00:00 12 /usr/lib/libc.so.6\n\
                    7f01-7f02 r-xp 00001000 00:00 12 /usr/lib/libc.so.6\n\
                    7f02-7f03 rw-p 00000000 00:00 0 [heap]\n\
                    7f03-7f04 r--p 00000000 00:00 13 /opt/app.so.d/data\n\
                    7f04-7f05 r--p 00000000 00:00 14 /usr/bin/appforge\n";
        assert_eq!(loaded(maps), BTreeSet::from([PathBuf::from("/usr/lib/libc.so.6")]));
    }

    #[test]
    fn this_very_test_names_its_loader() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let loader = interpreter(&program).unwrap();
        assert!(loader.is_none_or(|loader| Path::new(&loader).exists()));
        interpreter(b"\x7fELF\x02\x01").unwrap_err();
        interpreter(b"#!/bin/sh").unwrap_err();
    }
}
