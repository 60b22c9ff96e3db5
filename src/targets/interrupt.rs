//! Ctrl-C and SIGTERM: the one owner of both signals.

use std::future::Future;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{ExitStatus, Failure};

/// Listens for Ctrl-C and SIGTERM, which no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// Runs `work` until a signal arrives, which leads to exit 130 and `hint`.
///
/// # Errors
/// Those of `work`, and the interruption.
pub(crate) async fn interruptible<T>(work: impl Future<Output = Result<T>>, hint: &str) -> Result<T> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        outcome = work => outcome,
        () = interrupts.next() => Err(Failure::new(ExitStatus::Interrupted, "interrupted").hint(hint).into()),
    }
}
