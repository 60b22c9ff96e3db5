//! Connections, the sweep and the flush. All commands run under one lock, which is never held while waiting.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
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
use crate::redis::Options;
use crate::redis::commands;
use crate::redis::disk::{self, FILE};
use crate::redis::keyspace::Keyspace;
use crate::redis::protocol::{Parser, Reply};
use crate::redis::session::{Session, Store};

/// How often keys that ended are looked for, as Redis's `hz 10`.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// How often changes go to the disk, as Redis's `appendfsync everysec`.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
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

/// Serves the protocol on `listener` until `shutdown` ends, then writes what changed and returns.
///
/// Changes are written each second as one transaction: a crash loses about one second at most.
///
/// # Errors
/// When the data cannot be read at the start, or what changed last cannot be written at the end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener of the embedded Redis has no address")?;
    let (disk, kept) = DataFile::open(options.data, FILE, "Redis", disk::read).await?;
    let mut keys = Keyspace::new(options.max_memory, options.eviction);
    keys.load(kept);
    let (port, started) = (address.port(), Instant::now());
    let shared = Arc::new(Mutex::new(Store { keys, clients: BTreeMap::new(), port, started }));
    let disk = Arc::new(disk);

    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    // Whatever ends this function, even the caller dropping it, ends the connections too.
    let stop_on_drop = stop.clone().drop_guard();
    tasks.spawn(keep(shared.clone(), disk.clone(), stop.clone()));
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
    flush(&shared, &disk).await.context("the last changes of the embedded Redis were not written")
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

/// Answers the requests that are there; true when it stopped early because the replies are many.
fn answer(
    parser: &mut Parser,
    input: &mut BytesMut,
    output: &mut BytesMut,
    session: &mut Session,
    shared: &Shared,
) -> bool {
    let mut store = lock(shared);
    while !session.closing {
        if output.len() >= MOST_OUTPUT {
            return true;
        }
        let reply = match parser.next(input) {
            Ok(None) => return false,
            Ok(Some(request)) => commands::execute(&mut store, session, request),
            Err(broken) => {
                session.closing = true;
                Reply::Error(broken.0)
            }
        };
        if let Err(error) = reply.encode(session.resp3, output) {
            tracing::warn!(%error, "a reply of the embedded Redis could not be encoded");
            session.closing = true;
        }
    }
    false
}

/// Drops keys that ended and writes what changed, until told to stop.
async fn keep(shared: Shared, disk: Arc<DataFile>, stop: CancellationToken) {
    let (mut sweep, mut write) = (interval(SWEEP_EVERY), interval(FLUSH_EVERY));
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    write.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = sweep.tick() => lock(&shared).keys.sweep(),
            _ = write.tick() => {
                if let Err(error) = flush(&shared, &disk).await {
                    tracing::error!(%error, "the data file of the embedded Redis cannot be written; writes are refused");
                }
            }
        }
    }
}

/// Writes what changed on a thread that may block. What could not be written is kept for the next time.
async fn flush(shared: &Shared, disk: &Arc<DataFile>) -> anyhow::Result<()> {
    let changes = lock(shared).keys.take_changes();
    if !changes.cleared && changes.keys.is_empty() {
        return Ok(());
    }
    let changes = Arc::new(changes);
    let result = disk.write(changes.clone(), disk::write).await;
    lock(shared).keys.flushed(&changes, result.is_ok());
    result
}
