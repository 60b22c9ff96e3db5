//! An app that takes bodies, sends bodies and holds WebSockets: threads of this process on the core of the load.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::bench::process::{Core, stay_on};

/// Bytes of a piece of a body.
const PIECE: usize = 256 * 1024;
/// Longest head, in bytes.
const MOST_HEAD: u64 = 16 * 1024;

/// Its port. `POST` takes a body of a stated length, `GET /N` sends N bytes, an upgrade is accepted and held.
pub(super) fn start() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    std::thread::spawn(move || {
        // Threads inherit the core. A failure shows in what is measured beside it.
        if stay_on(Core::Client).is_err() {
            return;
        }
        for stream in listener.incoming().map_while(Result::ok) {
            let held = held.clone();
            std::thread::spawn(move || {
                // A connection that fails is closed, which its client counts.
                if let Ok(Some(tunnel)) = answer(stream) {
                    held.lock().unwrap_or_else(PoisonError::into_inner).push(tunnel);
                }
            });
        }
    });
    Ok(port)
}

/// Answers until the connection ends or becomes a tunnel.
fn answer(stream: TcpStream) -> Result<Option<TcpStream>> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(PIECE, stream);
    while let Some(request) = head(&mut stream)? {
        if request.upgrade {
            let answer =
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.get_mut().write_all(answer)?;
            return Ok(Some(stream.into_inner()));
        }
        std::io::copy(&mut stream.by_ref().take(request.length), &mut std::io::sink())?;
        let length = request.wanted;
        write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        std::io::copy(&mut std::io::repeat(b'x').take(length), stream.get_mut())?;
    }
    Ok(None)
}

/// What a head says.
struct Head {
    /// Length of the body of the request.
    length: u64,
    /// Length of the body to send.
    wanted: u64,
    upgrade: bool,
}

/// The next one; `None` at the end of the connection.
fn head(stream: &mut BufReader<TcpStream>) -> Result<Option<Head>> {
    let mut head = Head { length: 0, wanted: 2, upgrade: false };
    let mut limited = stream.take(MOST_HEAD);
    let mut line = String::new();
    if limited.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).context("a request has a path")?;
    if let Ok(length) = path.trim_start_matches('/').parse() {
        head.wanted = length;
    }
    loop {
        line.clear();
        limited.read_line(&mut line)?;
        if line == "\r\n" {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').context("a field has a value")?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.trim().parse()?,
            "transfer-encoding" => bail!("a body without its length"),
            "upgrade" => head.upgrade = true,
            _ => {}
        }
    }
}
