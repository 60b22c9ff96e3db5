//! The memory of the front: with many bodies under way, with one very long body, with idle WebSockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Subject;
use super::paced::receive;
use crate::bench::Bench;
use crate::bench::process::{allow_open_files, memory_of};
use crate::bench::wrk::{Load, Wrk};

/// Connections that carry bodies at once.
pub(super) const CONNECTIONS: u32 = 350;
/// Bytes of the one long body.
pub(super) const LONG: u64 = 1 << 30;
/// Open WebSockets.
pub(super) const WEBSOCKETS: usize = 2000;
/// Longest wait for bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// In MB.
pub(super) struct Sizes {
    /// The most it ever held, with [`CONNECTIONS`] of bodies of 1 MB, down and then up.
    pub bodies: f64,
    /// How much more it held after [`LONG`] bytes down and up than before.
    pub long: f64,
    /// What it held with [`WEBSOCKETS`] idle.
    pub websockets: f64,
}

/// Each case has a front that has done nothing before.
pub(super) fn measure(bench: &Bench, wrk: &Wrk, fresh: impl Fn() -> Result<Subject>) -> Result<Sizes> {
    let front = fresh()?;
    for load in [Load::get(front.url("/1000000")), Load::post(front.url("/"))] {
        wrk.run(&load.connections(CONNECTIONS), bench.lengths.outage)?;
    }
    let bodies = memory_of(front.id())?.1;

    let front = fresh()?;
    let pass = |bytes| long(front.port, bytes);
    // What every long body needs, so that only growth is left.
    pass(LONG / 64)?;
    let before = memory_of(front.id())?.1;
    pass(LONG)?;
    let long = memory_of(front.id())?.1 - before;

    let front = fresh()?;
    allow_open_files(u64::try_from(WEBSOCKETS)? * 2 + 200)?;
    let tunnels = (0..WEBSOCKETS).map(|_| websocket(front.port)).collect::<Result<Vec<_>>>()?;
    let websockets = memory_of(front.id())?.0;
    drop(tunnels);
    Ok(Sizes { bodies, long, websockets })
}

/// One body of so many bytes in each direction.
fn long(port: u16, bytes: u64) -> Result<()> {
    let mut stream = BufReader::new(connect(port)?);
    write!(stream.get_mut(), "GET /{bytes} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    ensure!(receive(&mut stream)? == bytes, "not all bytes arrived");
    write!(stream.get_mut(), "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {bytes}\r\n\r\n")?;
    std::io::copy(&mut std::io::repeat(b'x').take(bytes), stream.get_mut())?;
    receive(&mut stream)?;
    Ok(())
}

fn websocket(port: u16) -> Result<TcpStream> {
    let mut stream = BufReader::new(connect(port)?);
    stream.get_mut().write_all(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 101 "), "the answer is `{}`", line.trim_end());
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the connection ended within a head");
    }
    Ok(stream.into_inner())
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
