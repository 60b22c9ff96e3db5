//! What drivers and tools ask besides documents: who is there, how it is, what there is.

use std::time::Instant;

use bson::{Bson, DateTime, Document, doc};

use super::VERSION;
use super::answer::{Answer, Refusal, document_of, documents_of, flag_of, text_of};
use super::connections::Connections;
use super::cursors::Cursors;
use super::data::Data;
use super::query::matches;

/// What the server counts.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) started: Instant,
    pub(super) connections: Connections,
    pub(super) inserts: i64,
    pub(super) queries: i64,
    pub(super) updates: i64,
    pub(super) deletes: i64,
    pub(super) commands: i64,
}

/// `hello` and its older names.
pub(super) fn hello(connection: i32) -> Document {
    doc! {
        "helloOk": true, "isWritablePrimary": true, "ismaster": true, "readOnly": false,
        "maxBsonObjectSize": 16 * 1024 * 1024, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
        "localTime": DateTime::now(), "logicalSessionTimeoutMinutes": 30, "connectionId": connection,
        "minWireVersion": 0, "maxWireVersion": 21, "ok": 1.0,
    }
}

/// `buildInfo`.
pub(super) fn build_info() -> Document {
    let parts: Vec<i32> = VERSION.split('.').filter_map(|part| part.parse().ok()).chain([0]).collect();
    doc! {"version": VERSION, "versionArray": parts, "bits": 64, "maxBsonObjectSize": 16 * 1024 * 1024, "modules": [], "ok": 1.0}
}

/// `serverStatus`.
pub(super) fn server_status(counts: &Counts) -> Document {
    let uptime = counts.started.elapsed();
    let (seconds, millis) = (uptime.as_secs_f64(), i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX));
    doc! {
        "host": "localhost", "version": VERSION, "process": "appforge", "pid": i64::from(std::process::id()),
        "uptime": seconds, "uptimeMillis": millis, "localTime": DateTime::now(),
        "connections": counts.connections.status(),
        "opcounters": {"insert": counts.inserts, "query": counts.queries, "update": counts.updates,
            "delete": counts.deletes, "getmore": 0_i64, "command": counts.commands},
        "storageEngine": {"name": "redb", "persistent": true}, "ok": 1.0,
    }
}

/// `listDatabases`.
pub(super) fn list_databases(data: &Data, command: &Document) -> Answer {
    let mut names: Vec<&str> =
        data.namespaces().filter_map(|(namespace, _)| Some(namespace.split_once('.')?.0)).collect();
    names.dedup();
    let empty = Document::new();
    let filter = document_of(command, "filter")?.unwrap_or(&empty);
    let mut databases: Vec<Bson> = Vec::new();
    for name in names {
        let entry = doc! {"name": name, "sizeOnDisk": 0_i64, "empty": false};
        if matches(&entry, filter)? {
            databases.push(entry.into());
        }
    }
    Ok(doc! {"databases": databases, "totalSize": 0_i64, "ok": 1.0})
}

/// `listCollections`.
pub(super) fn list_collections(
    data: &Data,
    cursors: &mut Cursors,
    database: &str,
    command: &Document,
) -> Answer {
    let empty = Document::new();
    let filter = document_of(command, "filter")?.unwrap_or(&empty);
    let mut found = Vec::new();
    for (namespace, _) in data.namespaces() {
        let Some(name) = namespace.strip_prefix(database).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let entry = if flag_of(command, "nameOnly", false) {
            doc! {"name": name, "type": "collection"}
        } else {
            doc! {"name": name, "type": "collection", "options": {}, "info": {"readOnly": false},
            "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}}
        };
        if matches(&entry, filter)? {
            found.push(entry);
        }
    }
    let namespace = format!("{database}.$cmd.listCollections");
    cursors.first(data, &namespace, found.into(), Some(i64::from(i32::MAX)), false)
}

/// `create`.
pub(super) fn create(data: &mut Data, database: &str, command: &Document) -> Answer {
    let name = text_of(command, "create")?;
    if flag_of(command, "capped", false)
        || command.contains_key("viewOn")
        || command.contains_key("timeseries")
    {
        return Err(Refusal::new(238, "NotImplemented", "the embedded store has plain collections only"));
    }
    if data.create(&format!("{database}.{name}")) {
        Ok(doc! {"ok": 1.0})
    } else {
        Err(Refusal::new(48, "NamespaceExists", format!("Collection {database}.{name} already exists.")))
    }
}

/// `drop`.
pub(super) fn drop_collection(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "drop")?);
    if data.drop_collection(&namespace) {
        Ok(doc! {"ns": namespace, "ok": 1.0})
    } else {
        Err(Refusal::new(26, "NamespaceNotFound", "ns not found"))
    }
}

/// `dropDatabase`.
pub(super) fn drop_database(data: &mut Data, database: &str) -> Answer {
    let within = format!("{database}.");
    let names: Vec<String> =
        data.namespaces().map(|(name, _)| name.clone()).filter(|name| name.starts_with(&within)).collect();
    for name in &names {
        data.drop_collection(name);
    }
    Ok(doc! {"dropped": database, "ok": 1.0})
}

/// `createIndexes`.
pub(super) fn create_indexes(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "createIndexes")?);
    let before = data.get(&namespace).map_or(1, |collection| collection.indexes().len());
    let was_there = data.get(&namespace).is_some();
    for mut index in documents_of(command, "indexes")? {
        if index.get_document("key").is_err() || index.get_str("name").is_err() {
            return Err(Refusal::failed_to_parse("an index needs a key and a name"));
        }
        index.insert("v", 2);
        data.create_index(&namespace, index)?;
    }
    let after = data.get(&namespace).map_or(1, |collection| collection.indexes().len());
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    Ok(doc! {"numIndexesBefore": count(before), "numIndexesAfter": count(after),
    "createdCollectionAutomatically": !was_there, "ok": 1.0})
}

/// `listIndexes`.
pub(super) fn list_indexes(data: &Data, cursors: &mut Cursors, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "listIndexes")?);
    let collection = data.get(&namespace);
    let collection = collection
        .ok_or_else(|| Refusal::new(26, "NamespaceNotFound", format!("ns does not exist: {namespace}")))?;
    cursors.first(data, &namespace, collection.indexes().into(), None, false)
}

/// `dropIndexes`.
pub(super) fn drop_indexes(data: &mut Data, database: &str, command: &Document) -> Answer {
    let namespace = format!("{database}.{}", text_of(command, "dropIndexes")?);
    let was = data.get(&namespace).map_or(0, |collection| collection.indexes().len());
    let name =
        command.get_str("index").map_err(|_| Refusal::type_mismatch("field 'index' must be a name"))?;
    if !data.drop_index(&namespace, name) {
        return Err(Refusal::new(27, "IndexNotFound", format!("index not found with name [{name}]")));
    }
    Ok(doc! {"nIndexesWas": i32::try_from(was).unwrap_or(i32::MAX), "ok": 1.0})
}
