//! The sockets of a stack: the published ones, and all others on the loopback address. Opened here, so that a taken port is found before anything starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

use crate::error::{ExitStatus, Failure};
use crate::render::context::compose::reachable_host;
use crate::stack::StoreKind;
use crate::targets::local::supervisor::managed::SharedRecord;
use crate::targets::port::taken;

/// Where stores and admin listeners are.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Connections that may wait while every replica is busy or being replaced.
const BACKLOG: u32 = 4096;

/// The published sockets: on `address`, or else on both addresses of the loopback interface.
///
/// # Errors
/// When the port is taken or may not be used, or this machine has no such address.
pub(crate) fn public(address: Option<IpAddr>, port: u16) -> Result<Vec<Arc<TcpListener>>> {
    let first = address.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut sockets = vec![open(first, port).map_err(|error| refused(first, port, error))?];
    if address.is_none() {
        let second = Ipv6Addr::LOCALHOST.into();
        match open(second, port) {
            Ok(socket) => sockets.push(socket),
            Err(error) if is_without_ipv6(&error) => {}
            Err(error) => {
                // The failure names the stack that has the port, which this one must not be.
                drop(sockets);
                return Err(refused(second, port, error));
            }
        }
    }
    Ok(sockets.into_iter().map(Arc::new).collect())
}

/// Where this machine reaches what is published on `address`.
pub(crate) fn url(address: Option<IpAddr>, port: u16) -> String {
    format!("http://{}:{port}", reachable_host(address.unwrap_or(Ipv4Addr::LOCALHOST.into())))
}

/// The address as a plan shows it.
pub(crate) fn described(address: Option<IpAddr>) -> String {
    address
        .map_or_else(|| format!("{} and {}", Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST), |ip| ip.to_string())
}

fn is_without_ipv6(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn refused(address: IpAddr, port: u16, error: std::io::Error) -> anyhow::Error {
    let (message, setting) = match error.kind() {
        std::io::ErrorKind::AddrInUse => return taken(port, "service.port").into(),
        std::io::ErrorKind::PermissionDenied => {
            (format!("this user may not listen on port {port}"), "service.port")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            (format!("the address {address} is not on this machine"), "service.address")
        }
        _ => (format!("cannot listen on port {port} of {address}"), "service.port"),
    };
    Failure::new(ExitStatus::Failed, message).hint(format!("change `{setting}`")).caused_by(error).into()
}

/// A socket on any free port.
///
/// # Errors
/// When there is none.
pub(crate) fn any() -> Result<TcpListener> {
    open(LOOPBACK, 0).context("no free port")
}

/// The socket of a store: on `port`, else where it was last, else on the usual port, else on any that is free.
///
/// # Errors
/// When `port` is taken by now, or no port is free.
pub(crate) fn store(record: &SharedRecord, kind: StoreKind, port: Option<u16>) -> Result<TcpListener> {
    let name = kind.as_str();
    if let Some(port) = port {
        return open(LOOPBACK, port)
            .with_context(|| format!("the port {port} of {name} was taken meanwhile"));
    }
    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
    let last = record.ports.get(name).copied();
    let candidates = [last, Some(kind.port()), Some(0)];
    let listener = candidates.into_iter().flatten().find_map(|port| open(LOOPBACK, port).ok());
    let listener = listener.with_context(|| format!("no free port for {name}"))?;
    record.ports.insert(name.into(), listener.local_addr()?.port());
    Ok(listener)
}

fn open(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((address, port)))?;
    socket.listen(BACKLOG)?.into_std()
}
