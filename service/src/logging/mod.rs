//! Log lines on stderr, as text or JSON. A stream that nobody reads any more costs lines, never the service.

mod queue;
mod redact;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

use self::queue::Queue;
use crate::contract::LogFormat;

/// How long the last lines may take at the end.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The lines of this process: tracing has one subscriber, which lives as long as the process.
static LINES: OnceLock<Arc<Queue>> = OnceLock::new();

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a line looks.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
}

/// Begins to log; a second call changes nothing.
///
/// # Errors
/// When the thread that writes the lines cannot be started.
pub fn start(settings: &Settings) -> io::Result<()> {
    if LINES.get().is_some() {
        return Ok(());
    }
    let queue = Arc::new(Queue::start(io::stderr())?);
    let level = settings.level.to_string().to_lowercase();
    // The libraries' own lines are for their writers; their warnings are not.
    let filter = EnvFilter::new(format!("warn,appforge_service={level},appforge={level}"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue.clone()).with_ansi(false);
    let lines = lines.with_target(false).with_timer(SystemTime);
    let started = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Bare => lines.without_time().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // Another part of the program may log already; its lines are not ours to wait for.
    if started.is_ok() {
        let _ = LINES.set(queue);
    }
    Ok(())
}

/// Waits a moment until the lines so far are written.
pub fn flush() {
    if let Some(queue) = LINES.get() {
        queue.flush(FLUSH_LIMIT);
    }
}

/// Lines that were lost since stderr did not take them in time.
pub fn lost() -> u64 {
    LINES.get().map_or(0, |queue| queue.lost())
}
