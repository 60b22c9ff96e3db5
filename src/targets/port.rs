//! The one failure of a port that is taken. It names the stack that has it, when that is one of this user's. Ends no process.

use std::path::{Path, PathBuf};

use crate::error::{ExitStatus, Failure, quoted};
use crate::files::STATE_FOLDER;

/// The failure; `setting` is where another port is chosen.
pub(crate) fn taken(port: u16, setting: &str) -> Failure {
    match stack_at(port) {
        Some(folder) => {
            let message = format!("port {port} is taken by the stack in `{}`", folder.display());
            let hint =
                format!("stop it with `cd {} && appforge down`, or change `{setting}`", quoted(&folder));
            Failure::new(ExitStatus::Failed, message).hint(hint)
        }
        None => Failure::new(ExitStatus::Failed, format!("port {port} is taken by another program"))
            .hint(format!("free it (`ss -ltnp 'sport = :{port}'` names its owner), or change `{setting}`")),
    }
}

/// The failure of a port that another stack has, and that the command `stop` frees.
pub(crate) fn taken_by(port: u16, stack: &str, stop: &str, setting: &str) -> Failure {
    Failure::new(ExitStatus::Failed, format!("port {port} is taken by the stack {stack}"))
        .hint(format!("stop it with `{stop}`, or change `{setting}`"))
}

/// The project folder of the supervisor that listens on the port. Processes of other users cannot be looked into.
fn stack_at(port: u16) -> Option<PathBuf> {
    let sockets: Vec<PathBuf> = listening(port).map(|inode| format!("socket:[{inode}]").into()).collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    processes.filter(|process| is_supervisor(process)).find_map(|process| {
        let open = std::fs::read_dir(process.join("fd")).ok()?.flatten();
        let mut links = open.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
        let listens = links.any(|link| sockets.contains(&link));
        // It works in its state folder. One that lies elsewhere, on a file system without modes, does not name the project.
        let folder = std::fs::read_link(process.join("cwd")).ok().filter(|_| listens)?;
        folder.parent().filter(|_| folder.ends_with(STATE_FOLDER)).map(Path::to_owned)
    })
}

/// The inodes of the sockets that listen on the port (proc_pid_net(5): column 1 is the address, 3 the state, 9 the inode).
fn listening(port: u16) -> impl Iterator<Item = String> {
    const LISTEN: &str = "0A";
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, state) = (*columns.get(1)?, *columns.get(3)?);
        (address.ends_with(&suffix) && state == LISTEN).then(|| columns.get(9).map(ToString::to_string))?
    };
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines.filter_map(inode).collect::<Vec<_>>().into_iter()
}

fn is_supervisor(process: &Path) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.next() == Some(b"appforge") && words.next() == Some(b"supervise")
}
