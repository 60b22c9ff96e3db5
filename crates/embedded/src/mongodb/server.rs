//! Connections, commands and the group commit. All commands run under one lock, which is never held while waiting.
//!
//! A write is answered once it is on the disk: writes that wait share one transaction.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bson::{Document, doc};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Refusal};
use super::chatter::{self, Counts};
use super::data::Data;
use super::disk::{self, FILE};
use super::read::Cursors;
use super::wire::{self, Request};
use super::{Options, aggregate, read, write};
use crate::accept::accept;
use crate::file::DataFile;

/// Room to read into at a time.
const READ_ROOM: usize = 16 * 1024;
/// How long a client may take to accept a reply before it is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait after a failed write to the disk before the next.
const RETRY: Duration = Duration::from_secs(1);

struct Shared {
    store: Mutex<Store>,
    /// There is something to write.
    wake: Notify,
    /// The last batch of changes that was tried, and whether it is on the disk.
    written: watch::Sender<(u64, bool)>,
}

struct Store {
    data: Data,
    cursors: Cursors,
    counts: Counts,
    /// The batch that the next change belongs to.
    batch: u64,
}

impl Shared {
    /// A command that panicked has left the data as it was or with one command half done, which is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The commands that change something.
const CHANGING: [&str; 10] = [
    "insert",
    "update",
    "delete",
    "findAndModify",
    "findandmodify",
    "create",
    "createIndexes",
    "dropIndexes",
    "drop",
    "dropDatabase",
];

/// Serves the protocol on `listener` until `shutdown` ends, then writes what is left and returns.
///
/// # Errors
/// When the data cannot be read at the start, or what changed last cannot be written at the end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let read = |database: &redb::Database| Data::load(disk::read(database)?);
    let (disk, data) = DataFile::open(options.data, FILE, "MongoDB", read).await?;
    let started = Instant::now();
    let counts =
        Counts { started, open: 0, created: 0, inserts: 0, queries: 0, updates: 0, deletes: 0, commands: 0 };
    let shared = Arc::new(Shared {
        store: Mutex::new(Store { data, cursors: Cursors::default(), counts, batch: 1 }),
        wake: Notify::new(),
        written: watch::Sender::new((0, true)),
    });
    let disk = Arc::new(disk);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    // Whatever ends this function, even the caller dropping it, ends the connections too.
    let stop_on_drop = stop.clone().drop_guard();
    tasks.spawn(keep(shared.clone(), disk.clone(), stop.clone()));
    let serve = |stream, peer| visit(stream, peer, shared.clone(), stop.clone());
    accept(&listener, &tasks, shutdown, serve).await;
    drop(listener);
    drop(stop_on_drop);
    tasks.close();
    tasks.wait().await;
    flush(&shared, &disk).await.context("the last changes of the embedded MongoDB were not written")
}

/// Sees one connection from its first to its last byte.
async fn visit(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, stop: CancellationToken) {
    let id = {
        let counts = &mut shared.lock().counts;
        counts.open += 1;
        counts.created += 1;
        counts.created
    };
    if let Some(Err(error)) = stop.run_until_cancelled(connection(stream, id, &shared)).await
        && error.kind() == std::io::ErrorKind::InvalidData
    {
        tracing::warn!(%peer, %error, "a client of the embedded MongoDB speaks something else");
    }
    shared.lock().counts.open -= 1;
}

/// Serves one client until it leaves.
async fn connection(mut stream: TcpStream, id: i32, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        while let Some(request) = wire::next(&mut input)? {
            let document = execute(shared, id, &request).await;
            if !request.silent {
                wire::reply(&request, &document, &mut output)?;
                timeout(WRITE_LIMIT, stream.write_all(&output)).await??;
                output.clear();
            }
        }
        input.reserve(READ_ROOM);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Runs a command, and waits until what it wrote is on the disk.
async fn execute(shared: &Shared, connection: i32, request: &Request) -> Document {
    let (answer, batch) = {
        let mut store = shared.lock();
        let before = store.data.pending();
        // What could not be written waits for its next attempt; nothing new is taken on top of it.
        let answer = match shared.written.borrow().1 || !changes_data(request) {
            true => dispatch(&mut store, connection, request),
            false => Err(disk_full()),
        };
        let wrote = store.data.pending() > before;
        if wrote && before == 0 {
            shared.wake.notify_one();
        }
        (answer, wrote.then_some(store.batch))
    };
    let document = answer.unwrap_or_else(Refusal::document);
    let Some(batch) = batch else { return document };
    let mut written = shared.written.subscribe();
    match written.wait_for(|(tried, _)| *tried >= batch).await.map(|written| written.1) {
        Ok(true) => document,
        _ => disk_full().document(),
    }
}

fn disk_full() -> Refusal {
    Refusal::new(14031, "OutOfDiskSpace", "the data file cannot be written")
}

/// Whether a command is one of those that change something.
fn changes_data(request: &Request) -> bool {
    let name = request.command.keys().next().map_or("", String::as_str);
    CHANGING.contains(&name)
}

fn dispatch(store: &mut Store, connection: i32, request: &Request) -> Answer {
    let command = &request.command;
    let Some((name, _)) = command.iter().next() else {
        return Err(Refusal::new(59, "CommandNotFound", "no such command: ''"));
    };
    if command.contains_key("startTransaction") || command.contains_key("txnNumber") {
        let message = "Transaction numbers are only allowed on a replica set member or mongos";
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    let database = command.get_str("$db").unwrap_or("admin");
    let Store { data, cursors, counts, .. } = store;
    counts.commands += 1;
    match name.as_str() {
        "hello" | "isMaster" | "ismaster" => Ok(chatter::hello(connection)),
        "ping" | "endSessions" | "refreshSessions" | "logout" | "killAllSessions" => Ok(doc! {"ok": 1.0}),
        "buildInfo" | "buildinfo" => Ok(chatter::build_info()),
        "serverStatus" => Ok(chatter::server_status(counts)),
        "connectionStatus" => {
            Ok(doc! {"authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": []}, "ok": 1.0})
        }
        "whatsmyuri" => Ok(doc! {"you": "127.0.0.1:0", "ok": 1.0}),
        "getParameter" => Ok(doc! {"featureCompatibilityVersion": {"version": "7.0"}, "ok": 1.0}),
        "hostInfo" => Ok(doc! {"system": {"hostname": "localhost"}, "ok": 1.0}),
        "listDatabases" => chatter::list_databases(data, command),
        "listCollections" => chatter::list_collections(data, cursors, database, command),
        "create" => chatter::create(data, database, command),
        "drop" => chatter::drop_collection(data, database, command),
        "dropDatabase" => chatter::drop_database(data, database),
        "createIndexes" => chatter::create_indexes(data, database, command),
        "listIndexes" => chatter::list_indexes(data, cursors, database, command),
        "dropIndexes" => chatter::drop_indexes(data, database, command),
        "insert" => {
            counts.inserts += 1;
            write::insert(data, database, command)
        }
        "update" => {
            counts.updates += 1;
            write::update(data, database, command)
        }
        "delete" => {
            counts.deletes += 1;
            write::delete(data, database, command)
        }
        "findAndModify" | "findandmodify" => {
            counts.updates += 1;
            write::find_and_modify(data, database, command)
        }
        "find" => {
            counts.queries += 1;
            read::find(data, cursors, database, command)
        }
        "getMore" => cursors.more(database, command),
        "killCursors" => cursors.kill(command),
        "count" => read::count(data, database, command),
        "distinct" => read::distinct(data, database, command),
        "aggregate" => aggregate::aggregate(data, cursors, database, command),
        _ => Err(Refusal::new(59, "CommandNotFound", format!("no such command: '{name}'"))),
    }
}

/// Writes what changed as soon as there is something, until told to stop.
async fn keep(shared: Arc<Shared>, disk: Arc<DataFile>, stop: CancellationToken) {
    while stop.run_until_cancelled(shared.wake.notified()).await.is_some() {
        if let Err(error) = flush(&shared, &disk).await {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "the data file of the embedded MongoDB cannot be written; writes are refused"
            );
            let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            // What is left is tried again, also when nobody writes.
            shared.wake.notify_one();
        }
    }
}

/// Writes what changed on a thread that may block, and tells those who wait. What could not be written is kept.
async fn flush(shared: &Arc<Shared>, disk: &Arc<DataFile>) -> anyhow::Result<()> {
    let (changes, batch) = {
        let mut store = shared.lock();
        let batch = store.batch;
        store.batch += 1;
        (store.data.take_changes(), batch)
    };
    let changes = Arc::new(changes);
    let result = if changes.is_empty() { Ok(()) } else { disk.write(changes.clone(), disk::write).await };
    if result.is_err() {
        shared.lock().data.put_back(Arc::unwrap_or_clone(changes));
    }
    shared.written.send_replace((batch, result.is_ok()));
    result
}
