//! One exchange over a connection: everything is sent, then read until the server closes.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use crate::wait::DEADLINE;

/// Sends `bytes` and returns everything that the server sends before it closes the connection.
///
/// # Errors
/// When the connection breaks or the server is silent for [`DEADLINE`].
pub fn exchange(address: impl ToSocketAddrs, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    String::from_utf8(answer).map_err(io::Error::other)
}
