//! Reads the log files: merged over components by time, filtered, and followed as they grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::stack::ComponentKind;
use crate::targets::local::Local;
use crate::targets::local::supervisor::numbered;
use crate::targets::logs::{Line, LogsRequest, Sink};

impl Local {
    /// Hands the lines of the log files to `sink`. Logs outlive the stack; without any, the stack must be up.
    pub(super) async fn read_logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        let folder = self.layout.logs();
        let known = components(&folder)?;
        let mut reader = Reader::new(&folder, wanted(&request.components, &known)?);
        // The watch begins before the first reading, so that nothing falls between.
        let watch = if request.follow {
            self.layout.make()?;
            Some(Watch::new(&folder)?)
        } else {
            None
        };
        let fitting = |lines: Vec<Line>| lines.into_iter().filter(|line| request.fits(line)).collect();
        let mut lines: Vec<Line> = fitting(reader.fresh_lines()?);
        if let Some(tail) = request.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        if known.is_empty() && !request.follow {
            self.running().await?;
        }
        let mut open = sink(lines)?;
        let Some(mut watch) = watch else { return Ok(()) };
        while open {
            watch.changed().await?;
            open = sink(fitting(reader.fresh_lines()?))?;
        }
        Ok(())
    }
}

/// The logs that are meant; `service` is every replica.
fn wanted(asked: &[String], known: &[String]) -> Result<Vec<String>> {
    let service = ComponentKind::Service.as_str();
    let mut wanted = Vec::new();
    for name in asked {
        let meant = |known: &&String| *known == name || (name == service && known.starts_with("service-"));
        let found: Vec<String> = known.iter().filter(meant).cloned().collect();
        if found.is_empty() {
            let failure = Failure::new(ExitStatus::Usage, format!("no logs of `{name}`"));
            return Err(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => failure.hint("appforge up"),
                None => failure.hint(format!("there are: {}", known.join(", "))),
            }
            .into());
        }
        wanted.extend(found);
    }
    Ok(wanted)
}

/// The components that have a log in `folder`.
///
/// # Errors
/// When the folder cannot be read; one that is not there has none.
fn components(folder: &Path) -> Result<Vec<String>> {
    let names = files::list_private(folder)?;
    let logs = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".log"));
    Ok(logs.map(str::to_owned).collect())
}

/// Follows the logs of some components from their beginning on.
#[derive(Debug)]
struct Reader {
    folder: PathBuf,
    wanted: Vec<String>,
    open: BTreeMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    rest: Vec<u8>,
    last: Timestamp,
}

impl Reader {
    /// A reader of the logs of `wanted`; all, also those that come later, when it is empty.
    fn new(folder: &Path, wanted: Vec<String>) -> Self {
        Self { folder: folder.to_owned(), wanted, open: BTreeMap::new() }
    }

    /// The lines that were written since the last call, in the order of time.
    fn fresh_lines(&mut self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for name in components(&self.folder)? {
            if self.wanted.is_empty() || self.wanted.contains(&name) {
                self.read(&name, &mut lines)?;
            }
        }
        // Lines of one component have one order; equal times keep it.
        lines.sort_by_key(|line: &Line| line.time);
        Ok(lines)
    }

    fn read(&mut self, name: &str, lines: &mut Vec<Line>) -> Result<()> {
        let path = self.folder.join(format!("{name}.log"));
        let reading = |error: std::io::Error| files::told(&path, error, "while reading");
        if let Some(open) = self.open.get_mut(name) {
            open.drain(name, lines).map_err(reading)?;
            if is_current(&open.file, &path) {
                return Ok(());
            }
            // It was put aside for a new one.
            self.open.remove(name);
        } else {
            for number in (1..=9).rev() {
                if let Ok(file) = files::open_private(&numbered(&path, number)) {
                    Open::new(file).drain(name, lines).map_err(reading)?;
                }
            }
        }
        let file = match files::open_private(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(reading)?,
        };
        let mut open = Open::new(file);
        open.drain(name, lines).map_err(reading)?;
        self.open.insert(name.to_owned(), open);
        Ok(())
    }
}

impl Open {
    fn new(file: File) -> Self {
        Self { file, rest: Vec::new(), last: Timestamp::UNIX_EPOCH }
    }

    fn drain(&mut self, name: &str, lines: &mut Vec<Line>) -> std::io::Result<()> {
        self.file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        for line in String::from_utf8_lossy(&text).lines() {
            // The supervisor's own log, or a line that a crash cut: it belongs to the time of the one before.
            let (time, text) = match line.split_once(' ').map(|(time, text)| (time.parse(), text)) {
                Some((Ok(time), text)) => (time, text),
                _ => (self.last, line),
            };
            self.last = time;
            lines.push(Line { time, component: name.to_owned(), text: text.to_owned() });
        }
        Ok(())
    }
}

fn is_current(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Tells when something in a folder of logs has changed.
#[derive(Debug)]
struct Watch {
    events: AsyncFd<rustix::fd::OwnedFd>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the folder is not there, or the machine has no watch left.
    fn new(folder: &Path) -> Result<Self> {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        let wanted =
            inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&events, folder, wanted)
            .with_context(|| format!("while watching `{}`", folder.display()))?;
        #[expect(deprecated, reason = "its successor is unsafe; the descriptor is owned, so this is sound")]
        let events = AsyncFd::new(events)?;
        Ok(Self { events })
    }

    /// Waits for the next change, and takes in all that came with it.
    async fn changed(&mut self) -> Result<()> {
        let mut ready = self.events.readable().await?;
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => break,
                Err(error) => return Err(error).context("while watching the logs"),
            }
        }
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn lines_are_merged_by_time_and_followed_over_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let mut file = File::options().append(true).create(true).open(folder.path().join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("b.log", "2026-01-01T00:00:02.000Z two\n");
        write(
            "a.log",
            "2026-01-01T00:00:01.000Z one\n2026-01-01T00:00:03.000Z three\n2026-01-01T00:00:04.000Z ha",
        );
        let mut reader = Reader::new(folder.path(), Vec::new());
        let texts = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>();
        assert_eq!(texts(reader.fresh_lines().unwrap()), ["one", "two", "three"]);
        let mut watch = Watch::new(folder.path()).unwrap();
        write("a.log", "lf\n");
        tokio::time::timeout(std::time::Duration::from_secs(10), watch.changed()).await.unwrap().unwrap();
        std::fs::rename(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
        write("a.log", "2026-01-01T00:00:05.000Z new\n");
        assert_eq!(texts(reader.fresh_lines().unwrap()), ["half", "new"]);
        assert_eq!(reader.fresh_lines().unwrap(), []);
    }
}
