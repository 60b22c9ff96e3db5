//! The listening sockets: handed over by a supervisor (systemd's `LISTEN_FDS` protocol), or opened here.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, bail, ensure};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
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

/// The addresses of the sockets that a supervisor hands over.
#[derive(Clone, Copy, Debug)]
pub struct HandOver {
    /// Of the public listener.
    pub public: SocketAddr,
    /// Of the admin listener.
    pub admin: SocketAddr,
}

impl Listeners {
    /// Takes the sockets of a supervisor, named `public` and `admin`, in this order. Never opens others in their place.
    ///
    /// # Errors
    /// As [`handed_over`].
    pub fn handed_over(expected: HandOver) -> Result<Self> {
        let [public, admin] = handed_over([("public", expected.public), ("admin", expected.admin)])?;
        Ok(Self { public, admin })
    }

    /// Takes the sockets that the service manager of the machine handed over, named `public` and `admin`, or opens them.
    ///
    /// # Errors
    /// When a port is taken or may not be used, or only one socket was handed over.
    pub fn handed_over_or_open(public: SocketAddr, admin: SocketAddr) -> Result<Self> {
        let mut handed = ListenFd::from_env();
        if handed.len() == 0 {
            return Ok(Self { public: open(public)?, admin: open(admin)? });
        }
        ensure!(handed.len() == 2, "{} sockets were handed over; the service takes 2", handed.len());
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        // By name, else in this order.
        let swapped = names == "admin:public";
        Ok(Self {
            public: take(&mut handed, usize::from(swapped))?,
            admin: take(&mut handed, usize::from(!swapped))?,
        })
    }
}

/// Takes the listening sockets with these names and addresses, in this order, that were handed over to this very process.
///
/// # Errors
/// When one is missing, was meant for another process, does not listen, or has another address.
pub fn handed_over<const N: usize>(
    expected: [(&str, SocketAddr); N],
) -> Result<[tokio::net::TcpListener; N]> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (process, names) = (variable("LISTEN_PID"), variable("LISTEN_FDNAMES"));
    ensure!(
        process == std::process::id().to_string(),
        "the supervisor handed no socket to this process: LISTEN_PID is `{process}`"
    );
    let expected_names = expected.map(|(name, _)| name).join(":");
    ensure!(
        names == expected_names,
        "expected the sockets `{expected_names}` from the supervisor, got `{names}`"
    );
    let mut handed = ListenFd::from_env();
    ensure!(handed.len() == N, "expected {N} sockets from the supervisor, got {}", handed.len());
    let mut taken = Vec::with_capacity(N);
    for (index, (name, address)) in expected.into_iter().enumerate() {
        let listener = take(&mut handed, index).with_context(|| format!("invalid socket `{name}`"))?;
        let actual = listener.local_addr()?;
        ensure!(actual == address, "expected the socket `{name}` on {address}, got {actual}");
        taken.push(listener);
    }
    match taken.try_into() {
        Ok(listeners) => Ok(listeners),
        Err(_) => bail!("expected {N} sockets from the supervisor"),
    }
}

fn take(handed: &mut ListenFd, index: usize) -> Result<tokio::net::TcpListener> {
    let listener: TcpListener = handed.take_tcp_listener(index)?.context("the socket was taken before")?;
    ensure!(socket_acceptconn(&listener)?, "the socket does not listen");
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
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
