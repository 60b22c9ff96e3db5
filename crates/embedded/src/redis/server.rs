//! Connections, the sweep and the log. All commands run under one lock, which is never held while waiting.
//!
//! What the requests of one read wrote is handed to the kernel as one record before their replies are sent, so that it
//! survives the process; each second it is synced, so that it survives the machine.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::accept;
use crate::file::DataFile;
use crate::redis::commands;
use crate::redis::disk;
use crate::redis::keyspace::Keyspace;
use crate::redis::log::{self, Log};
use crate::redis::protocol::{Parser, Reply};
use crate::redis::session::{Access, Session, Store};
use crate::redis::{Options, open};

/// How often keys that ended are looked for, as Redis's `hz 10`.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How often the log is synced, as Redis's `appendfsync everysec`.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Bytes of changes gathered in one record of the log.
const MOST_CHANGES: usize = 4 * 1024 * 1024;
/// Replies gathered before they are sent, so that a client that asks for much costs little memory.
const MOST_OUTPUT: usize = 1024 * 1024;
/// Room to read into at a time.
const READ_ROOM: usize = 16 * 1024;
/// How long a client may take to accept replies before it is given up.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

type Shared = Arc<Mutex<Store>>;

/// A command that panicked has left the keys as they were or with one command half done, which is no reason to stop.
fn lock(shared: &Shared) -> MutexGuard<'_, Store> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the protocol on `listener` until `shutdown` ends, then syncs what changed and returns.
///
/// What was answered survives the end of the process; a crash of the machine loses about one second at most.
///
/// # Errors
/// When the data cannot be read at the start, or what changed last cannot be written at the end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener of the embedded Redis has no address")?;
    let (disk, kept, last) = open(&options.data, false).await?;
    let log = Log::start(&options.data, last)?;
    let mut keys = Keyspace::new(options.max_memory, options.eviction);
    keys.load(kept);
    let (port, started) = (address.port(), Instant::now());
    let shared = Arc::new(Mutex::new(Store {
        keys,
        log,
        access: Access::None,
        clients: BTreeMap::new(),
        port,
        started,
    }));
    let disk = Arc::new(disk);

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    // Whatever ends this function, even the caller dropping it, ends the connections too.
    let stop_on_drop = stop.clone().drop_guard();
    tasks.spawn(keep(shared.clone(), disk.clone(), stop.clone()));
    tasks.spawn(fold(shared.clone(), disk.clone(), options.data, last, stop.clone()));
    let (mut next, clients) = (0, shared.clone());
    let serve = |stream, peer| {
        next += 1;
        let (shared, stop, id) = (clients.clone(), stop.clone(), next);
        async move {
            let _ = stop.run_until_cancelled(connection(stream, peer, id, &shared)).await;
            lock(&shared).clients.remove(&id);
        }
    };
    accept(&listener, &tasks, shutdown, serve).await;
    drop(listener);
    drop(stop_on_drop);
    tasks.close();
    tasks.wait().await;
    sync(&shared, &disk).await.context("the last changes of the embedded Redis were not synced")
}

/// Serves one client until it leaves. An error of its socket is its own business.
async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    id: u64,
    shared: &Shared,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut session = Session::new(id, peer.to_string());
    {
        let mut store = lock(shared);
        store.keys.stats.connections += 1;
        store.clients.insert(id, session.line());
    }
    let (mut parser, mut input, mut output) = (Parser::default(), BytesMut::new(), BytesMut::new());
    loop {
        let more = answer(&mut parser, &mut input, &mut output, &mut session, shared);
        if !output.is_empty() {
            timeout(WRITE_LIMIT, stream.write_all(&output)).await??;
            output.clear();
            if output.capacity() > MOST_OUTPUT {
                // One large reply must not cost memory as long as the connection lasts.
                output = BytesMut::new();
            }
        }
        if session.closing {
            return stream.shutdown().await;
        }
        if !more {
            input.reserve(READ_ROOM);
            if stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Answers the requests that are there; true when it stopped early because the replies or the changes are many.
fn answer(
    parser: &mut Parser,
    input: &mut BytesMut,
    output: &mut BytesMut,
    session: &mut Session,
    shared: &Shared,
) -> bool {
    let mut store = lock(shared);
    // The replies since the first write: where each begins, and what its request did.
    let mut replies: Vec<(usize, Access)> = Vec::new();
    let mut more = false;
    while !session.closing {
        if output.len() >= MOST_OUTPUT || store.keys.changed_bytes() >= MOST_CHANGES {
            more = true;
            break;
        }
        let (reply, access) = match parser.next(input) {
            Ok(None) => break,
            Ok(Some(request)) => (commands::execute(&mut store, session, request), store.access),
            Err(broken) => {
                session.closing = true;
                (Reply::Error(broken.0), Access::None)
            }
        };
        if access == Access::Write || !replies.is_empty() {
            replies.push((output.len(), access));
        }
        encode(reply, session, output);
    }
    let worked = store.log.works;
    if let Err(error) = store.commit() {
        // Once, not for each of thousands of requests on a disk that is full already.
        if worked {
            tracing::error!(%error, "the log of the embedded Redis cannot be written; writes are refused");
        }
        refuse(&replies, session, output);
    }
    more
}

fn encode(reply: Reply, session: &mut Session, output: &mut BytesMut) {
    if let Err(error) = reply.encode(session.resp3, output) {
        tracing::warn!(%error, "a reply of the embedded Redis could not be encoded");
        session.closing = true;
    }
}

/// Replaces the replies of requests that wrote, and of those that may have read what they wrote.
fn refuse(replies: &[(usize, Access)], session: &mut Session, output: &mut BytesMut) {
    let Some((first, _)) = replies.first() else { return };
    let sent = output.split_off(*first);
    let ends = replies.iter().skip(1).map(|(at, _)| at - first).chain([sent.len()]);
    for ((at, access), end) in replies.iter().zip(ends) {
        match access {
            Access::None => output.extend_from_slice(sent.get(at - first..end).unwrap_or_default()),
            Access::Read | Access::Write => encode(Reply::Error(commands::DISK.into()), session, output),
        }
    }
}

/// Drops keys that ended and syncs the log, until told to stop.
async fn keep(shared: Shared, disk: Arc<DataFile>, stop: CancellationToken) {
    let (mut sweep, mut write) = (interval(SWEEP_EVERY), interval(SYNC_EVERY));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    write.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweep.tick() => {
                let mut store = lock(&shared);
                store.keys.sweep();
                // What cannot be written comes back, and is met by the next sweep.
                let _ = store.commit();
            }
            _ = write.tick() => {
                if let Err(error) = sync(&shared, &disk).await {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the log of the embedded Redis cannot be synced; writes are refused");
                }
            }
        }
    }
}

/// Makes what was written last on a thread that may block: the log first, then the number of its last record.
async fn sync(shared: &Shared, disk: &Arc<DataFile>) -> anyhow::Result<()> {
    let Some(unsynced) = lock(shared).log.unsynced() else { return Ok(()) };
    let unsynced = Arc::new(unsynced);
    let syncing = unsynced.clone();
    let result = disk
        .blocking(move |disk| {
            syncing.sync()?;
            disk.acknowledge(syncing.last)
        })
        .await;
    let mut store = lock(shared);
    store.keys.disk_works = result.is_ok();
    if result.is_ok() {
        store.log.synced(&unsynced);
    }
    result
}

/// Folds a log that is long into the data file, until told to stop. `last` is the record that the file holds.
async fn fold(shared: Shared, disk: Arc<DataFile>, folder: PathBuf, mut last: u64, stop: CancellationToken) {
    let mut look = interval(SYNC_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let rotated = {
            let mut store = lock(&shared);
            store.log.is_long().then(|| store.log.rotate())
        };
        let done = match rotated {
            None => continue,
            Some(Err(error)) => Err(error.into()),
            Some(Ok(until)) => {
                let (folder, after) = (folder.clone(), last);
                let fold = move |disk: &DataFile| {
                    let folded = log::fold(&folder, after, until)?;
                    anyhow::ensure!(folded.last == until, "the log is damaged after record {}", folded.last);
                    disk.commit(until, |transaction, _| disk::write(transaction, &folded))?;
                    log::remove(&folder, until)
                };
                disk.blocking(fold).await.map(|()| last = until)
            }
        };
        if let Err(error) = done {
            // The log holds it all; it only grows.
            let error = format!("{error:#}");
            tracing::error!(error, "the log of the embedded Redis cannot be folded into its data file");
        }
    }
}
