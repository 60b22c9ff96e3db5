//! Ports for programs that bind by themselves. A test that serves by itself binds port 0 and keeps the listener.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as Name, UnixListener};
use std::sync::{Mutex, PoisonError};

/// Below 32768, from where on the kernel takes the ports of outgoing connections.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// The reserved ports, and those on which other programs listen. The names end with the process.
static TAKEN: Mutex<(u16, Vec<UnixListener>)> = Mutex::new((0, Vec::new()));

/// A port that is free and that no test of any process is given until this process ends.
///
/// A reservation is a socket of an abstract name: it belongs to the same network namespace as the port, and leaves no file.
#[track_caller]
pub fn reserve() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (next, names) = &mut *taken;
    // Processes start at different places, so that they rarely meet.
    let start = u16::try_from(std::process::id() % 100).unwrap() * 100;
    while *next < COUNT {
        let port = FIRST + (start + *next) % COUNT;
        *next += 1;
        let name = Name::from_abstract_name(format!("appforge-test-port-{port}")).unwrap();
        let Ok(name) = UnixListener::bind_addr(&name) else { continue };
        // A program that is no test may have it.
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            names.push(name);
            return port;
        }
    }
    panic!("no port is free from {FIRST} to {}", FIRST + COUNT - 1);
}

/// An address that refuses connections until this process ends.
#[track_caller]
pub fn closed() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, reserve()).into()
}
