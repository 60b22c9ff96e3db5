//! Keeps the history of a local stack in the supervisor: in memory, and once a minute in a file. Recording never fails the stack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::book::{Book, Scene, now};
use super::history::History;
use super::history::file::{HistoryFile, is_damage, set_aside};
use super::view::{Keeper, Question};
use crate::files;
use crate::stack::ComponentKind;
use crate::targets::recorder::{Look, Recorder, Recording};
use crate::targets::status::{ComponentState, Status};
use crate::targets::subject::Replica;

/// From the start to the first write to the file: also a stack that runs shortly has a history.
const FIRST: Duration = Duration::from_secs(4);
/// Between two writes.
const EVERY: Duration = Duration::from_secs(60);
/// The file, in the folder of the history.
const FILE: &str = "history.redb";

/// The history of the supervisor's stack.
#[derive(Clone, Debug)]
pub(crate) struct Chronicle {
    book: Book,
}

impl Default for Chronicle {
    fn default() -> Self {
        Self { book: Book::new(Keeper::Supervisor) }
    }
}

impl Recorder for Chronicle {
    fn record(&self, folder: PathBuf, look: Look, stop: CancellationToken) -> Recording {
        let book = self.book.clone();
        Box::pin(async move { record(&book, folder, look, stop).await })
    }

    fn answer(&self, query: &str, status: &Status) -> Option<Vec<u8>> {
        serde_json::to_vec(&self.book.view(status, Question::parse(query)?, &[])).ok()
    }
}

async fn record(book: &Book, folder: PathBuf, look: Look, stop: CancellationToken) {
    let path = folder.join(FILE);
    let mut file = match opened(folder, &path).await {
        Ok((file, history)) => {
            book.continue_from(history);
            Some(Arc::new(file))
        }
        Err(error) => {
            tracing::warn!("the history cannot be read and begins empty: {error:#}");
            None
        }
    };
    let mut failing = file.is_none();
    let observing = book.observe(|| {
        let status = look();
        status.url.is_some().then(|| scene(status))
    });
    tokio::pin!(observing);
    let mut writes = interval_at(Instant::now() + FIRST, EVERY);
    writes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let ends = tokio::select! {
            () = &mut observing => true,
            () = stop.cancelled() => true,
            _ = writes.tick() => false,
        };
        match write(book, file.take(), &path).await {
            Ok(written) => {
                file = Some(written);
                failing = false;
            }
            Err(error) => {
                book.with_history(History::forget_saved);
                // Once, not each minute.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!("the history cannot be written: {error:#}");
                }
            }
        }
        if ends {
            return;
        }
    }
}

/// Opens the file and reads it. A damaged one is set aside.
async fn opened(folder: PathBuf, path: &Path) -> Result<(HistoryFile, History)> {
    blocking(move || files::make_private_folder(&folder)).await?;
    match open(path).await {
        Err(error) if is_damage(&error) => {
            let aside = set_aside(path)?;
            tracing::warn!(
                "the history was damaged and begins empty; the old one is `{}`: {error:#}",
                aside.display()
            );
            open(path).await
        }
        opened => opened,
    }
}

async fn open(path: &Path) -> Result<(HistoryFile, History)> {
    let path = path.to_owned();
    blocking(move || HistoryFile::open(&path, now())).await
}

/// Writes what has changed. After a failed write the library gives up the file, so that it is opened again.
async fn write(book: &Book, file: Option<Arc<HistoryFile>>, path: &Path) -> Result<Arc<HistoryFile>> {
    let file = match file {
        Some(file) => file,
        None => Arc::new(open(path).await?.0),
    };
    let changes = book.with_history(History::changes);
    blocking(move || file.write(&changes).map(|()| file)).await
}

/// On a thread that may block; a panic of the library over a broken file ends there as an error.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(anyhow::Error::new(error)))
}

/// What the supervisor sees, without asking the components.
fn scene(status: Status) -> Scene {
    let is_up = |state| matches!(state, ComponentState::Ready | ComponentState::Unresponsive);
    let replicas = status
        .components
        .iter()
        .filter(|component| component.kind == ComponentKind::Service && is_up(component.state))
        .filter_map(|component| {
            Some(Replica { name: component.name.clone(), admin: component.endpoint.clone()? })
        });
    Scene { replicas: replicas.collect(), trouble: None, status }
}
