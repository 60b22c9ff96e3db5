//! Connections, commands and the group commit. All commands run under one lock, which is never held while waiting.
//!
//! A write is answered once it is on the disk: writes that wait share one transaction. What could not be written is undone.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
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
use super::connections::Connections;
use super::cursors::Cursors;
use super::data::{Data, Undo};
use super::disk::{self, Change};
use super::wire::{self, Request};
use super::{Options, aggregate, place, read, write};
use crate::accept::accept;
use crate::beyond;
use crate::file::DataFile;

/// Room to read into at a time.
const READ_ROOM: usize = 16 * 1024;
/// How long a client may take to accept a reply before it is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait before a data file that may hold what was refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often cursors that are not used are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Room for a message that a connection keeps.
const KEPT_ROOM: usize = 1024 * 1024;

struct Shared {
    store: Mutex<Store>,
    /// There is something to write.
    wake: Notify,
}

struct Store {
    data: Data,
    cursors: Cursors,
    counts: Counts,
    /// Tells those whose changes are not written yet whether they are on the disk.
    written: watch::Sender<Option<bool>>,
    /// The number of the last commit that was tried.
    number: u64,
    repair: Option<Repair>,
}

/// What undoes a failed commit in a file that holds it all the same.
#[derive(Clone)]
struct Repair {
    /// The first commit that failed.
    number: u64,
    changes: Vec<Change>,
}

impl Shared {
    /// A command that panicked has left the data as it was or with one command half done, which is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the protocol on `listener` until `shutdown` ends, then writes what is left and returns.
///
/// # Errors
/// When the data cannot be read at the start, or what changed last cannot be written at the end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let read = |database: &redb::Database, number| Ok((Data::load(disk::read(database)?)?, number));
    let (disk, data, number) = DataFile::open(place(&options.data, false), read).await?;
    let started = Instant::now();
    let counts = Counts {
        started,
        connections: Connections::default(),
        inserts: 0,
        queries: 0,
        updates: 0,
        deletes: 0,
        commands: 0,
    };
    let shared = Arc::new(Shared {
        store: Mutex::new(Store {
            data,
            cursors: Cursors::default(),
            counts,
            written: watch::Sender::new(None),
            number,
            repair: None,
        }),
        wake: Notify::new(),
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
    let id = shared.lock().counts.connections.open(peer);
    if let Some(Err(error)) = stop.run_until_cancelled(connection(stream, id, &shared)).await
        && error.kind() == std::io::ErrorKind::InvalidData
    {
        tracing::warn!(%peer, %error, "a client of the embedded MongoDB speaks something else");
    }
    let mut store = shared.lock();
    store.counts.connections.close(id);
    store.cursors.end_of_connection(id);
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
        // One large message must not cost memory as long as the connection lasts.
        if output.capacity() > KEPT_ROOM {
            output = BytesMut::new();
        }
        if input.is_empty() && input.capacity() > KEPT_ROOM {
            input = BytesMut::new();
        }
        input.reserve(READ_ROOM);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Runs a command, and waits until what it wrote is on the disk.
async fn execute(shared: &Shared, connection: i32, request: &Request) -> Document {
    let (answer, written) = {
        let mut store = shared.lock();
        let before = store.data.pending();
        let answer = match &request.command {
            Ok(command) => dispatch(&mut store, connection, command),
            Err(refusal) => Err(refusal.clone()),
        };
        let wrote = store.data.pending() > before;
        if wrote {
            shared.wake.notify_one();
        }
        (answer, wrote.then(|| store.written.subscribe()))
    };
    let document = answer.unwrap_or_else(Refusal::document);
    let Some(mut written) = written else { return document };
    match written.wait_for(Option::is_some).await.map(|written| *written) {
        Ok(Some(true)) => document,
        _ => disk_full().document(),
    }
}

fn disk_full() -> Refusal {
    Refusal::new(14031, "OutOfDiskSpace", "the data file cannot be written; nothing was changed")
}

static SAID: Once = Once::new();

fn dispatch(store: &mut Store, connection: i32, command: &Document) -> Answer {
    let Some((name, _)) = command.iter().next() else {
        return Err(Refusal::new(59, "CommandNotFound", "no such command: ''"));
    };
    if command.contains_key("startTransaction") || command.contains_key("txnNumber") {
        beyond::once(&SAID, "a transaction", "MongoDB", "mongodb.mode");
        let message = "Transaction numbers are only allowed on a replica set member or mongos";
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    let database = command.get_str("$db").unwrap_or("admin");
    let Store { data, cursors, counts, .. } = store;
    counts.commands += 1;
    cursors.connection = connection;
    match name.as_str() {
        "hello" | "isMaster" | "ismaster" => {
            counts.connections.note_hello(connection, command);
            Ok(chatter::hello(connection))
        }
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
        "getMore" => cursors.more(data, database, command),
        "killCursors" => cursors.kill(command),
        "count" => read::count(data, database, command),
        "distinct" => read::distinct(data, database, command),
        "aggregate" => aggregate::aggregate(data, cursors, &counts.connections, database, command),
        _ => {
            beyond::once(&SAID, name, "MongoDB", "mongodb.mode");
            Err(Refusal::new(59, "CommandNotFound", format!("no such command: '{name}'")))
        }
    }
}

/// Writes what changed as soon as there is something, until told to stop.
async fn keep(shared: Arc<Shared>, disk: Arc<DataFile>, stop: CancellationToken) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        // What was refused may be in the file, which must not stay so when nobody writes.
        let repair = shared.lock().repair.is_some();
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweep.tick() => {
                shared.lock().cursors.end_idle();
                continue;
            }
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(RETRY), if repair => {}
        }
        if let Err(error) = flush(&shared, &disk).await {
            let error = format!("{error:#}");
            tracing::error!(
                error,
                "the data file of the embedded MongoDB cannot be written; writes are refused"
            );
        }
    }
}

/// A commit on its way to the disk.
struct Commit {
    number: u64,
    changes: Vec<Undo>,
    repair: Option<Repair>,
}

impl Commit {
    /// Data first, then the number; the caller acknowledges after that.
    fn write(&self, file: &DataFile) -> anyhow::Result<()> {
        file.commit(self.number, |transaction, last| {
            if let Some(repair) = self.repair.as_ref().filter(|repair| last >= repair.number) {
                disk::write(transaction, repair.changes.iter())?;
            }
            disk::write(transaction, self.changes.iter().map(Undo::change))
        })?;
        file.acknowledge(self.number)
    }
}

/// Writes what changed on a thread that may block, and tells those who wait. What could not be written is undone, with all
/// that came since.
async fn flush(shared: &Arc<Shared>, disk: &Arc<DataFile>) -> anyhow::Result<()> {
    let (commit, waiting) = {
        let mut store = shared.lock();
        let changes = store.data.take_changes();
        let repair = store.repair.take();
        if changes.is_empty() && repair.is_none() {
            return Ok(());
        }
        store.number += 1;
        let waiting = std::mem::replace(&mut store.written, watch::Sender::new(None));
        (Arc::new(Commit { number: store.number, changes, repair }), waiting)
    };
    let writing = commit.clone();
    let result = disk.blocking(move |file| writing.write(file)).await;
    if result.is_err() {
        let mut store = shared.lock();
        let later = std::mem::replace(&mut store.written, watch::Sender::new(None));
        if let Some(Commit { number, changes, repair }) = Arc::into_inner(commit) {
            let mut repair = repair.unwrap_or(Repair { number, changes: Vec::new() });
            repair.changes.extend(store.data.undo(changes));
            store.repair = Some(repair);
        }
        later.send_replace(Some(false));
    }
    waiting.send_replace(Some(result.is_ok()));
    result
}
