//! Who keeps the history of a stack that the supervisor runs. The supervisor reports; the commands decide who listens.

use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use crate::targets::status::Status;

/// What runs at the moment, as the processes were seen last.
pub(crate) type Look = Box<dyn Fn() -> Status + Send + Sync>;
/// Ends once all is written.
pub(crate) type Recording = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps a history.
pub(crate) trait Recorder: Debug + Send + Sync + 'static {
    /// Records until `stop`, with files in `folder`.
    fn record(&self, folder: PathBuf, look: Look, stop: CancellationToken) -> Recording;

    /// The JSON that answers a query of the control socket about the stack in this status; `None` when it is not one.
    fn answer(&self, query: &str, status: &Status) -> Option<Vec<u8>>;
}
