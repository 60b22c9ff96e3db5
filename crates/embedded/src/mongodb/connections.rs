//! The open connections: what `serverStatus` counts and `$currentOp` lists.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bson::{Bson, Document, doc};

use super::answer::{Refusal, flag_of};

/// Longest description of a client, in bytes, as MongoDB has it.
const MOST_METADATA: usize = 512;

/// The open connections, by number.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<i32, Connection>,
    created: i32,
}

#[derive(Debug)]
struct Connection {
    client: SocketAddr,
    /// What the driver sent with `hello`.
    metadata: Option<Document>,
}

impl Connections {
    /// Adds one; its number.
    pub(super) fn open(&mut self, client: SocketAddr) -> i32 {
        self.created += 1;
        self.open.insert(self.created, Connection { client, metadata: None });
        self.created
    }

    pub(super) fn close(&mut self, number: i32) {
        self.open.remove(&number);
    }

    /// Notes how the driver of a connection describes itself in `hello`.
    pub(super) fn note_hello(&mut self, number: i32, command: &Document) {
        let Ok(metadata) = command.get_document("client") else { return };
        if metadata.to_vec().is_ok_and(|bytes| bytes.len() <= MOST_METADATA)
            && let Some(connection) = self.open.get_mut(&number)
        {
            connection.metadata = Some(metadata.clone());
        }
    }

    /// `serverStatus.connections`.
    pub(super) fn status(&self) -> Document {
        let current = i32::try_from(self.open.len()).unwrap_or(i32::MAX);
        doc! {"current": current, "available": 51_200 - current, "totalCreated": self.created, "active": 1}
    }

    /// `$currentOp` with its argument: a document for each connection. Only the one that asks is active, since commands run one
    /// after the other.
    pub(super) fn current_op(&self, asks: i32, argument: &Bson) -> Result<Vec<Document>, Refusal> {
        let argument = argument
            .as_document()
            .ok_or_else(|| Refusal::failed_to_parse("$currentOp options must be specified in an object"))?;
        let idle = flag_of(argument, "idleConnections", false);
        let shown = self.open.iter().filter(|(number, _)| idle || **number == asks);
        Ok(shown.map(|(number, connection)| connection.document(*number, *number == asks)).collect())
    }
}

impl Connection {
    fn document(&self, number: i32, active: bool) -> Document {
        let mut document = doc! {
            "type": "op", "host": "localhost", "desc": format!("conn{number}"), "connectionId": number,
            "client": self.client.to_string(), "active": active,
        };
        if let Some(metadata) = &self.metadata {
            if let Ok(name) = metadata.get_document("application").and_then(|it| it.get_str("name")) {
                document.insert("appName", name);
            }
            document.insert("clientMetadata", metadata.clone());
        }
        document
    }
}

/// Whether `command` is one over no collection, and the argument of its `$currentOp` then.
///
/// # Errors
/// For another first stage, or another database than `admin`.
pub(super) fn asked<'a>(
    command: &Document,
    database: &str,
    pipeline: &'a [Document],
) -> Result<Option<&'a Bson>, Refusal> {
    if matches!(command.get("aggregate"), Some(Bson::String(_))) {
        return Ok(None);
    }
    let Some(argument) = pipeline.first().and_then(|stage| stage.get("$currentOp")) else {
        let message = "the embedded store aggregates over a whole database for $currentOp only";
        return Err(Refusal::new(238, "NotImplemented", message));
    };
    if database != "admin" {
        let message = "$currentOp must be run against the 'admin' database with {aggregate: 1}";
        return Err(Refusal::new(73, "InvalidNamespace", message));
    }
    Ok(Some(argument))
}
