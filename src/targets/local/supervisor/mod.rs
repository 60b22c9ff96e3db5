//! The supervisor: a process of its own that keeps the stores and the replicas running and answers the control socket.
//!
//! It ends when the stack is down, or when its folder was removed or moved out of the project. Whatever ends it ends its children too.

mod app;
mod components;
mod control;
mod data;
mod direct;
mod events;
mod listening;
mod managed;
mod output;
mod pairs;
mod place;
mod plan;
mod probe;
mod readiness;
mod recipes;
mod release;
mod replica;
mod replica_set;
mod replicas;
pub(super) mod sockets;
mod stack;
mod start;
mod stores;

use std::future::IntoFuture;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::open_files;
use rustix::fs::Mode;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) use output::{component_of, file_name, numbered};

use crate::error::{ExitStatus, Failure, Report};
use crate::files;
use crate::targets::local::layout::Layout;
use crate::targets::local::leftovers::Record;
use crate::targets::local::protocol::Handshake;
use crate::targets::local::supervisor::components::Components;
use crate::targets::local::supervisor::control::Control;
use crate::targets::local::supervisor::events::Events;
use crate::targets::local::supervisor::place::Place;
use crate::targets::local::supervisor::stack::Running;
use crate::targets::lock::Lock;
use crate::targets::recorder::Recorder;

/// A supervisor without a stack ends after this.
const UNUSED: Duration = Duration::from_secs(30);
/// How often the supervisor looks whether its folder is still there.
const LOOK: Duration = Duration::from_secs(1);
/// How long the last answers may take to be read.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs the supervisor of the state folder until its stack is down; `recorder` keeps the history. Prints on stdout whether it came up.
///
/// # Errors
/// When it cannot come up; stdout has the reason too.
pub(crate) async fn run(state_folder: &Path, recorder: Arc<dyn Recorder>) -> Result<ExitStatus> {
    open_files::raise_limit();
    match start(state_folder).await {
        Ok((layout, lock, listener, record)) => {
            print(&Handshake::Ready)?;
            let outcome = serve(layout, &lock, listener, record, recorder).await;
            drop(lock);
            outcome.map(|()| ExitStatus::Done)
        }
        Err(error) => {
            print(&Handshake::Failed { report: Report::from(&error) })?;
            Err(error)
        }
    }
}

fn print(handshake: &Handshake) -> Result<()> {
    let line = serde_json::to_string(handshake)? + "\n";
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush())
        .context("no process waits for the supervisor")
}

async fn start(state_folder: &Path) -> Result<(Layout, Lock, UnixListener, Record)> {
    // A session of its own: the terminal that started it may go.
    rustix::process::setsid().context("cannot detach from the terminal")?;
    // All paths start from this very folder: also when the project is renamed, or another one gets its name.
    std::env::set_current_dir(state_folder)
        .with_context(|| format!("cannot enter `{}`", state_folder.display()))?;
    let layout = Layout::new(".");
    // What the stores make, and the control socket, are this user's alone, whatever the terminal's mask was.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    layout.make()?;
    let owner = format!("supervisor (pid {})", std::process::id());
    // The one before may still say its farewell.
    let lock =
        Lock::take(layout.supervisor_lock(), &owner, LAST_ANSWERS * 2, |_| ()).await.map_err(|error| {
            Failure::new(ExitStatus::Failed, "the supervisor of this stack does not answer")
                .hint("end that process, then: appforge up")
                .caused_by(error)
        })?;
    let mut record = Record::load(&layout.processes())?;
    for name in record.reap().await? {
        tracing::warn!("ended `{name}`, left over from a crash");
    }
    let listener = bind(&layout)?;
    Ok((layout, lock, listener, record))
}

/// The address of a socket may have 107 bytes only; a path from the state folder is short, however deep that lies.
fn bind(layout: &Layout) -> Result<UnixListener> {
    let path = layout.run().join(layout.socket_name());
    files::remove_private(&path)?;
    // The folder lets only its owner in; the mode of the socket, 600, is the second bolt.
    let mask = rustix::process::umask(Mode::XUSR | Mode::RWXG | Mode::RWXO);
    let listener = UnixListener::bind(&path);
    rustix::process::umask(mask);
    let listener = listener.with_context(|| format!("cannot listen on `{}`", path.display()))?;
    Ok(listener)
}

async fn serve(
    layout: Layout,
    lock: &Lock,
    listener: UnixListener,
    record: Record,
    recorder: Arc<dyn Recorder>,
) -> Result<()> {
    let components = Components::default();
    let running = Running::new(layout.clone(), Arc::new(Mutex::new(record)), components.clone());
    let running = Arc::new(tokio::sync::Mutex::new(running));
    let finished = CancellationToken::new();
    let owner = tokio::sync::watch::Sender::new(None);
    let (seen, stop) = (components.clone(), CancellationToken::new());
    let recording =
        tokio::spawn(recorder.record(layout.history(), Box::new(move || seen.status()), stop.clone()));
    let control =
        Control { running: running.clone(), components, owner, recorder, finished: finished.clone() };
    let server = axum::serve(listener, control::router(control));
    let server =
        tokio::spawn(server.with_graceful_shutdown(finished.clone().cancelled_owned()).into_future());
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut unused = true;
    // The kernel reports the removal of a folder only once no process is in it.
    let idle = tokio::time::sleep(UNUSED);
    tokio::pin!(idle);
    let place = Place::now().context("cannot inspect the state folder")?;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = finished.cancelled() => break,
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hangup.recv() => break,
            _ = look.tick() => {
                if !lock.is_at(&layout.supervisor_lock()) {
                    tracing::warn!("the state folder was removed; the stack ends");
                    break;
                }
                if Place::now().is_ok_and(|now| now != place) {
                    tracing::warn!("the state folder was moved out of its project; the stack ends");
                    break;
                }
            }
            () = &mut idle, if unused => {
                unused = false;
                let running = running.lock().await;
                if running.is_down() {
                    finished.cancel();
                }
            }
        }
    }
    {
        let mut running = running.lock().await;
        running.tear_down(&Events::unheard()).await;
        finished.cancel();
    }
    // What was recorded since the last write; a slow disk must not keep the supervisor.
    stop.cancel();
    let _ = tokio::time::timeout(LAST_ANSWERS, recording).await;
    // A client that does not read its last line must not keep the supervisor.
    let _ = tokio::time::timeout(LAST_ANSWERS, server).await;
    if !lock.is_at(&layout.supervisor_lock()) {
        // What is there now is not ours.
        return Ok(());
    }
    files::remove_private(&layout.run().join(layout.socket_name()))
}
