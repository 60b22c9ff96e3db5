//! Who holds a lock, by what the kernel says about the open files of each process.
//!
//! A child inherits a lock with the descriptor. `/proc/locks` names only the process that took it, `fdinfo` all that hold it.
//! A process that opened the file by itself does not hold the lock. Ends no process.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::targets::local::leftovers::Process;

/// The other processes of this user that hold the lock on `file`.
pub(crate) fn holders(file: &File) -> Result<Vec<Process>> {
    let identity = |meta: &Metadata| (meta.dev(), meta.ino());
    let file = identity(&file.metadata()?);
    holders_of(|descriptor| std::fs::metadata(descriptor).is_ok_and(|meta| identity(&meta) == file))
}

/// The other processes of this user that hold a lock on a file that was removed from `path`.
pub(crate) fn holders_of_removed(path: &Path) -> Result<Vec<Process>> {
    // How the kernel shows a name that is gone.
    let mut gone = path.as_os_str().to_owned();
    gone.push(" (deleted)");
    let gone = PathBuf::from(gone);
    holders_of(|descriptor| {
        std::fs::read_link(descriptor).is_ok_and(|path| path == gone)
            && std::fs::metadata(descriptor).is_ok_and(|meta| meta.nlink() == 0)
    })
}

fn holders_of(is_meant: impl Fn(&Path) -> bool) -> Result<Vec<Process>> {
    let (own, user) = (std::process::id(), rustix::process::geteuid().as_raw());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("cannot read `/proc`")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that ended meanwhile holds nothing, and one that may not be read is not ours.
        if pid == own || !entry.metadata().is_ok_and(|meta| meta.uid() == user) {
            continue;
        }
        let process = Process::of(pid);
        let Ok(descriptors) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .any(|descriptor| is_meant(&descriptor.path()) && is_locked(&descriptor.path()));
        found.extend(process.filter(|_| holds));
    }
    Ok(found)
}

/// Whether the open file behind `/proc/PID/fd/N` carries a lock of `flock`.
fn is_locked(descriptor: &Path) -> bool {
    let (Some(folder), Some(number)) = (descriptor.parent().and_then(Path::parent), descriptor.file_name())
    else {
        return false;
    };
    let info = std::fs::read_to_string(folder.join("fdinfo").join(number)).unwrap_or_default();
    info.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    use command_fds::{CommandFdExt, FdMapping};

    #[tokio::test]
    async fn lock_is_held_by_its_inheritor_and_not_by_a_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        let sleep = || {
            let mut command = Command::new("sleep");
            command.arg("60").stdin(Stdio::null());
            command
        };
        let parent_fd = file.try_clone().unwrap().into();
        let mut heir =
            sleep().fd_mappings(vec![FdMapping { parent_fd, child_fd: 9 }]).unwrap().spawn().unwrap();
        let parent_fd = File::open(&path).unwrap().into();
        let mut reader =
            sleep().fd_mappings(vec![FdMapping { parent_fd, child_fd: 9 }]).unwrap().spawn().unwrap();
        let pids = |found: Vec<Process>| found.into_iter().map(|process| process.pid).collect::<Vec<_>>();
        assert_eq!(pids(holders(&file).unwrap()), [heir.id()]);
        assert_eq!(pids(holders_of_removed(&path).unwrap()), [0; 0]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(pids(holders_of_removed(&path).unwrap()), [heir.id()]);
        for child in [&mut heir, &mut reader] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(pids(holders(&file).unwrap()), [0; 0]);
    }
}
