//! The listening sockets: handed over by a supervisor (systemd's `LISTEN_FDS` protocol), or opened here.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// The public listeners and the admin listener.
pub struct Listeners {
    /// For everyone: one for each published address.
    pub public: Vec<tokio::net::TcpListener>,
    /// For probes and scrapes.
    pub admin: tokio::net::TcpListener,
    /// Whether other replicas accept on the public listeners, too: what this one leaves in the queue is another's.
    pub shared: bool,
}

/// The addresses of the sockets that a supervisor hands over.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// Of the public listeners.
    pub public: Vec<SocketAddr>,
    /// Of the admin listener.
    pub admin: SocketAddr,
}

impl Listeners {
    /// Takes the sockets of a supervisor, those named `public` and then `admin`, in this order. Never opens others in their
    /// place.
    ///
    /// # Errors
    /// As [`handed_over`].
    pub fn handed_over(expected: &HandOver) -> Result<Self> {
        let mut sockets: Vec<(&str, SocketAddr)> =
            expected.public.iter().map(|address| ("public", *address)).collect();
        sockets.push(("admin", expected.admin));
        let mut public = handed_over(&sockets)?;
        let admin = public.pop().context("no socket is expected from the supervisor")?;
        Ok(Self { public, admin, shared: true })
    }

    /// Takes the sockets that the service manager of the machine handed over, named `public` and `admin`, or opens them.
    ///
    /// # Errors
    /// When a port is taken or may not be used, or only one socket was handed over.
    pub fn handed_over_or_open(public: SocketAddr, admin: SocketAddr) -> Result<Self> {
        let mut handed = ListenFd::from_env();
        if handed.len() == 0 {
            return Ok(Self { public: vec![open(public)?], admin: open(admin)?, shared: false });
        }
        ensure!(handed.len() == 2, "{} sockets were handed over; the service takes 2", handed.len());
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        // By name, else in this order.
        let swapped = names == "admin:public";
        Ok(Self {
            public: vec![take(&mut handed, usize::from(swapped))?],
            admin: take(&mut handed, usize::from(!swapped))?,
            shared: false,
        })
    }
}

/// Takes the listening sockets with these names and addresses, in this order, that were handed over to this very process.
///
/// # Errors
/// When one is missing, was meant for another process, does not listen, or has another address.
pub fn handed_over(expected: &[(&str, SocketAddr)]) -> Result<Vec<tokio::net::TcpListener>> {
    let count = expected.len();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (process, names) = (variable("LISTEN_PID"), variable("LISTEN_FDNAMES"));
    ensure!(
        process == std::process::id().to_string(),
        "the supervisor handed no socket to this process: LISTEN_PID is `{process}`"
    );
    let expected_names = expected.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(":");
    ensure!(
        names == expected_names,
        "expected the sockets `{expected_names}` from the supervisor, got `{names}`"
    );
    let mut handed = ListenFd::from_env();
    ensure!(handed.len() == count, "expected {count} sockets from the supervisor, got {}", handed.len());
    let mut taken = Vec::with_capacity(count);
    for (index, (name, address)) in expected.iter().enumerate() {
        let listener = take(&mut handed, index).with_context(|| format!("invalid socket `{name}`"))?;
        let actual = listener.local_addr()?;
        ensure!(actual == *address, "expected the socket `{name}` on {address}, got {actual}");
        taken.push(listener);
    }
    Ok(taken)
}

fn take(handed: &mut ListenFd, index: usize) -> Result<tokio::net::TcpListener> {
    let listener: TcpListener = handed.take_tcp_listener(index)?.context("the socket was taken before")?;
    ensure!(socket_acceptconn(&listener)?, "the socket does not listen");
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

/// Opens a listener.
///
/// # Errors
/// When the port is taken or may not be used.
pub fn open(address: SocketAddr) -> Result<tokio::net::TcpListener> {
    let attempt = || -> std::io::Result<tokio::net::TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    attempt().with_context(|| format!("cannot listen on {address}"))
}
