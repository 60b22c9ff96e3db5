//! A TCP relay that makes a server on this machine a far one. Threads that end with the process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The port of a relay to `port` that holds each byte for `delay`, either way.
pub(super) fn relay(port: u16, delay: Duration) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near_port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            // A connection that cannot be relayed is closed, which its client notices.
            let _ = join(near, port, delay);
        }
    });
    Ok(near_port)
}

fn join(near: TcpStream, port: u16, delay: Duration) -> Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    hold(near.try_clone()?, far.try_clone()?, delay);
    hold(far, near, delay);
    Ok(())
}

fn hold(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, held) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, bytes)).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (until, bytes) in held {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        // The other side hung up.
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}
