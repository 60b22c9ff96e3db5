//! The listening sockets: handed over by a supervisor (systemd's `LISTEN_FDS` protocol), or opened here.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use listenfd::ListenFd;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// The public and the admin listener.
pub struct Listeners {
    /// For everyone.
    pub public: tokio::net::TcpListener,
    /// For probes and scrapes.
    pub admin: tokio::net::TcpListener,
}

/// Takes the sockets that were handed over, named `public` and `admin`, or opens them.
///
/// # Errors
/// When a port is taken or may not be used, or only one socket was handed over.
pub fn listeners(public: SocketAddr, admin: SocketAddr) -> Result<Listeners> {
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return Ok(Listeners { public: open(public)?, admin: open(admin)? });
    }
    ensure!(handed.len() == 2, "{} sockets were handed over; the service takes 2", handed.len());
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    // By name, else in this order.
    let swapped = names == "admin:public";
    let mut take = |index: usize| -> Result<tokio::net::TcpListener> {
        let listener: TcpListener =
            handed.take_tcp_listener(index)?.context("the socket was taken before")?;
        listener.set_nonblocking(true)?;
        Ok(tokio::net::TcpListener::from_std(listener)?)
    };
    Ok(Listeners { public: take(usize::from(swapped))?, admin: take(usize::from(!swapped))? })
}

fn open(address: SocketAddr) -> Result<tokio::net::TcpListener> {
    let attempt = || -> std::io::Result<tokio::net::TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    attempt().with_context(|| format!("cannot listen on {address}"))
}
