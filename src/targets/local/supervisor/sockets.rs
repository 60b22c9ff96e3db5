//! The sockets of a stack, all on the loopback address. Opened here, so that a taken port is found before anything starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::PoisonError;

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

use crate::error::{ExitStatus, Failure};
use crate::stack::StoreKind;
use crate::targets::local::supervisor::managed::SharedRecord;
use crate::targets::port::taken;

/// Connections that may wait while every replica is busy or being replaced.
const BACKLOG: u32 = 4096;

/// The published socket.
///
/// # Errors
/// When the port is taken or may not be used.
pub(crate) fn public(port: u16) -> Result<TcpListener> {
    open(port).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::AddrInUse => return taken(port, "service.port").into(),
            std::io::ErrorKind::PermissionDenied => format!("port {port} may not be used by this user"),
            _ => format!("port {port} cannot be listened on"),
        };
        Failure::new(ExitStatus::Failed, message).hint("change `service.port`").caused_by(error).into()
    })
}

/// A socket on any free port.
///
/// # Errors
/// When there is none.
pub(crate) fn any() -> Result<TcpListener> {
    open(0).context("no free port")
}

/// The socket of a store: on `port`, else where it was last, else on the usual port, else on any that is free.
///
/// # Errors
/// When `port` is taken by now, or no port is free.
pub(crate) fn store(record: &SharedRecord, kind: StoreKind, port: Option<u16>) -> Result<TcpListener> {
    let name = kind.as_str();
    if let Some(port) = port {
        return open(port).with_context(|| format!("the port {port} of {name} was taken meanwhile"));
    }
    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
    let last = record.ports.get(name).copied();
    let candidates = [last, Some(kind.port()), Some(0)];
    let listener = candidates.into_iter().flatten().find_map(|port| open(port).ok());
    let listener = listener.with_context(|| format!("no free port for {name}"))?;
    record.ports.insert(name.into(), listener.local_addr()?.port());
    Ok(listener)
}

fn open(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)?.into_std()
}
