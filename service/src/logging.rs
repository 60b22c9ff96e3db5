//! Log lines on stderr, as text or JSON. A stream that nobody reads any more costs lines, never the service.

use std::io::{self, Write};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// Text without the time, for a collector that adds it.
    Bare,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "bare" => Ok(Self::Bare),
            "json" => Ok(Self::Json),
            _ => Err("it is `text`, `bare` or `json`".into()),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How a line looks.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
}

/// Begins to log; a second call changes nothing.
pub fn start(settings: &Settings) {
    let level = settings.level.to_string().to_lowercase();
    // The libraries' own lines are for their writers; their warnings are not.
    let filter = EnvFilter::new(format!("warn,appforge_service={level},appforge={level}"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lossy).with_ansi(false);
    let lines = lines.with_target(false).with_timer(SystemTime);
    // Set once a process.
    let _ = match settings.format {
        Format::Text => lines.try_init(),
        Format::Bare => lines.without_time().try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// stderr, whose errors are nobody's business.
struct Lossy;

impl Write for Lossy {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
