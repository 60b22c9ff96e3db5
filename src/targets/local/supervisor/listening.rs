//! On which ports the processes of a program listen, from what the kernel shows of sockets and open files (proc(5)). Asks
//! no program.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use crate::targets::local::leftovers::children;

/// The pause between looks: it grows from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
/// How often the other ports of a program are looked for while it does not listen where it should.
const OTHERS: Duration = Duration::from_millis(500);
/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

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

/// The listening sockets of this machine by the number of their inode.
fn listening() -> BTreeMap<u64, SocketAddr> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    // A machine without IPv6 has one of them.
    let texts = tables.iter().map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let mut sockets = BTreeMap::new();
    for text in texts {
        sockets.extend(text.lines().filter_map(socket));
    }
    sockets
}

fn socket(line: &str) -> Option<(u64, SocketAddr)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    if *state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    // Each group of four bytes has the order of the machine.
    let group = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address: IpAddr = if address.len() == 8 {
        Ipv4Addr::from(group(0)?).into()
    } else {
        let mut octets = [0; 16];
        for (place, octets) in octets.chunks_exact_mut(4).enumerate() {
            octets.copy_from_slice(&group(place * 8)?);
        }
        Ipv6Addr::from(octets).to_canonical()
    };
    Some((inode.parse().ok()?, SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?)))
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
    fn sockets_of_both_families_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0";
        assert_eq!(socket(line), Some((4242, "127.0.0.1:8080".parse().unwrap())));
        let six = "   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1 0";
        assert_eq!(socket(six), Some((7, "[::1]:8080".parse().unwrap())));
        assert_eq!(socket(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(socket("  sl  local_address rem_address   st"), None);
    }

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
