//! Where programs of this machine, or of this pod, listen, as the kernel shows it (proc(5)). Asks no program.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The listening sockets of this process's network by the number of their inode.
pub fn listening() -> BTreeMap<u64, SocketAddr> {
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

/// An address beyond the loopback interface at which something listens on `port`.
pub fn beyond_loopback(port: u16) -> Option<SocketAddr> {
    listening().into_values().find(|address| address.port() == port && !address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listener_beyond_loopback_is_found_by_its_port() {
        let inside = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(beyond_loopback(inside.local_addr().unwrap().port()), None);
        let outside = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = outside.local_addr().unwrap();
        assert_eq!(beyond_loopback(address.port()), Some(address));
    }

    #[test]
    fn sockets_of_both_families_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0";
        assert_eq!(socket(line), Some((4242, "127.0.0.1:8080".parse().unwrap())));
        let six = "   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1 0";
        assert_eq!(socket(six), Some((7, "[::1]:8080".parse().unwrap())));
        assert_eq!(socket(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(socket("  sl  local_address rem_address   st"), None);
    }
}
