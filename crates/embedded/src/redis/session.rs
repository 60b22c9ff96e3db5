//! What one connection has said of itself, and the transaction it is in.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::redis::commands::Command;
use crate::redis::keyspace::Keyspace;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) name: Bytes,
    pub(super) resp3: bool,
    /// Set by `QUIT`: close once the reply is out.
    pub(super) closing: bool,
    /// Queued commands, within `MULTI`.
    pub(super) queue: Option<Vec<(&'static Command, Vec<Bytes>)>>,
    /// A command could not be queued, so `EXEC` must fail.
    pub(super) spoiled: bool,
    /// Watched keys with the versions they had.
    pub(super) watched: Vec<(Bytes, u64)>,
}

impl Session {
    pub(super) fn new(id: u64, address: String) -> Self {
        Self {
            id,
            address,
            name: Bytes::new(),
            resp3: false,
            closing: false,
            queue: None,
            spoiled: false,
            watched: Vec::new(),
        }
    }

    /// Leaves the transaction, if any, and forgets the watched keys.
    pub(super) fn leave(&mut self) {
        self.queue = None;
        self.spoiled = false;
        self.watched.clear();
    }

    /// A line of `CLIENT LIST`.
    pub(super) fn line(&self) -> String {
        format!(
            "id={} addr={} name={} db=0 resp={}",
            self.id,
            self.address,
            self.name.escape_ascii(),
            if self.resp3 { 3 } else { 2 }
        )
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) keys: Keyspace,
    /// The lines of `CLIENT LIST` by connection.
    pub(super) clients: BTreeMap<u64, String>,
    pub(super) port: u16,
    pub(super) started: std::time::Instant,
}
