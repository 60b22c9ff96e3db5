//! On which ports the processes of a program listen, from what the kernel shows of sockets and open files (proc(5)). Asks
//! no program.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use appforge_service::listening::listening;
use tokio::time::Instant;

use crate::targets::local::leftovers::children;

/// The pause between looks: it grows from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How often the other ports of a program are looked for while it does not listen where it should.
const OTHERS: Duration = Duration::from_millis(500);

/// Waits until a process below `root` listens on `port`, and says meanwhile where all of them listen instead. The caller bounds it.
pub(super) async fn listens(root: u32, port: u16, mut elsewhere: impl FnMut(Vec<u16>)) -> Option<IpAddr> {
    let mut pause = PAUSES.0;
    let mut looked = Instant::now();
    loop {
        let sockets = listening();
        let at_port = |address: &SocketAddr| address.port() == port;
        // To look through all open files of a program is dear, so a look waits for the port.
        if sockets.values().any(at_port) {
            let own: Vec<SocketAddr> = own(root, &sockets).into_iter().filter(at_port).collect();
            if !own.is_empty() {
                return own.iter().map(SocketAddr::ip).find(|address| !address.is_loopback());
            }
        }
        if looked.elapsed() >= OTHERS {
            looked = Instant::now();
            let mut ports: Vec<u16> = own(root, &sockets).iter().map(SocketAddr::port).collect();
            ports.sort_unstable();
            ports.dedup();
            elsewhere(ports);
        }
        // The kernel gives no event for this.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Those of `sockets` that a process below `root` has open.
fn own(root: u32, sockets: &BTreeMap<u64, SocketAddr>) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for pid in descendants(root) {
        let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let links = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        let inodes = links.filter_map(|link| {
            link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
        });
        found.extend(inodes.filter_map(|inode| sockets.get(&inode).copied()));
    }
    found
}

/// The processes below `root`.
fn descendants(root: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        // A process that ended meanwhile has no children.
        let found = children(parent).unwrap_or_default();
        next.extend(&found);
        all.extend(found);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn socket_of_this_process_is_found_by_its_own_parent_only() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets = listening();
        assert!(sockets.values().any(|found| *found == address));
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get().unsigned_abs();
        assert!(own(parent, &sockets).contains(&address));
        assert!(!own(std::process::id(), &sockets).contains(&address));
    }
}
