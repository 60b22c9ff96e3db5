//! What one connection has said of itself, and the transaction it is in.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::redis::commands::Command;
use crate::redis::keyspace::Keyspace;
use crate::redis::log::Log;

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
    pub(super) log: Log,
    /// What the request that runs now did with keys.
    pub(super) access: Access,
    /// The lines of `CLIENT LIST` by connection.
    pub(super) clients: BTreeMap<u64, String>,
    pub(super) port: u16,
    pub(super) started: std::time::Instant,
}

/// What a request did with keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    #[default]
    None,
    Read,
    Write,
}

impl Store {
    /// Hands what changed to the kernel. What cannot be written is undone.
    pub(super) fn commit(&mut self) -> std::io::Result<()> {
        if !self.keys.is_changed() {
            return Ok(());
        }
        let keys = &self.keys;
        let written = self.log.append(|record| keys.record(record));
        match &written {
            Ok(()) => self.keys.keep_changes(),
            Err(_) => self.keys.undo_changes(),
        }
        written
    }
}
