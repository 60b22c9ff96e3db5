//! What a command works on: its connection with the transaction it is in, what all connections share, and its arguments.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::redis::keyspace::Keyspace;
use crate::redis::log::Log;
use crate::redis::protocol::{self, Reply};

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

/// A reply, or the text of an error as Redis words it.
pub(super) type Answer = Result<Reply, String>;

/// One command as it is run.
pub(super) struct Call<'a> {
    pub(super) store: &'a mut Store,
    pub(super) session: &'a mut Session,
    /// The name in lower case.
    pub(super) name: &'static str,
    /// What follows the name; the table has checked how many there are.
    pub(super) args: &'a [Bytes],
}

impl Call<'_> {
    pub(super) fn keys(&mut self) -> &mut Keyspace {
        &mut self.store.keys
    }

    /// An argument, empty where there is none.
    pub(super) fn arg(&self, index: usize) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.args.get(index).unwrap_or(&NONE)
    }

    /// An argument as an integer.
    pub(super) fn integer(&self, index: usize) -> Result<i64, String> {
        protocol::integer(self.arg(index)).ok_or_else(|| NOT_AN_INTEGER.into())
    }

    /// An argument in upper case, to compare with a keyword.
    pub(super) fn word(&self, index: usize) -> String {
        String::from_utf8_lossy(self.arg(index)).to_ascii_uppercase()
    }

    /// The error of a wrong number of arguments.
    pub(super) fn wrong_arity(&self) -> String {
        wrong_arity(self.name)
    }
}

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const SYNTAX: &str = "ERR syntax error";

/// What a command does to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Read,
    /// Writes, but takes no memory.
    Write,
    /// Writes and may need room.
    Grow,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// As in `COMMAND INFO`: with the name; negative is "at least".
    pub(super) arity: i64,
    pub(super) kind: Kind,
    /// First key, last key, step, as in `COMMAND INFO`.
    pub(super) keys: (i64, i64, i64),
    pub(super) run: fn(&mut Call<'_>) -> Answer,
}

pub(super) fn wrong_arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}
