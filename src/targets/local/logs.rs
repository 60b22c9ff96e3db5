//! Reads the log files: merged over components by time, filtered, and followed as they grow.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::stack::ComponentKind;
use crate::targets::local::Local;
use crate::targets::local::inotify::{Inotify, WatchFlags};
use crate::targets::local::supervisor::{component_of, file_name, numbered};
use crate::targets::logs::{Line, LogsRequest, Sink};

/// The most times that a name of a log is looked for which was put aside.
const OLDEST: usize = 9;

impl Local {
    /// Hands the lines of the log files to `sink`. Logs outlive the stack; without any, the stack must be up.
    pub(super) async fn read_logs(&self, request: &LogsRequest, sink: Sink<'_>) -> Result<()> {
        let folder = self.layout.logs();
        let known = components(&folder)?;
        let mut reader = Reader::new(&folder, wanted(&request.components, &known)?);
        // Nothing follows the lines of a stack that is down.
        let follow = request.follow && self.find().await?.is_some();
        // The watch begins before the first reading, so that nothing falls between.
        let watch = if follow {
            self.layout.make()?;
            Some(watch(&folder)?)
        } else {
            None
        };
        let fitting = |lines: Vec<Line>| lines.into_iter().filter(|line| request.fits(line)).collect();
        let mut lines: Vec<Line> = fitting(reader.fresh_lines()?);
        if let Some(tail) = request.tail {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        if known.is_empty() && !follow {
            self.running().await?;
        }
        let mut open = sink(lines)?;
        let Some(watch) = watch else { return Ok(()) };
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
        let meant = |known: &&String| {
            let below = known.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            below || (name == service && known.starts_with("service-"))
        };
        let found: Vec<String> = known.iter().filter(meant).cloned().collect();
        if found.is_empty() {
            let failure = Failure::new(ExitStatus::Usage, format!("unknown component `{name}`"));
            return Err(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None if known.is_empty() => failure.hint("appforge up"),
                None => failure.hint(format!("components: {}", known.join(", "))),
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
    let logs = names.iter().filter_map(|name| component_of(name.to_str()?));
    Ok(logs.collect())
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
    id: FileId,
    file: File,
    rest: Vec<u8>,
    last: Option<Timestamp>,
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
        let path = self.folder.join(file_name(name));
        let reading = |error: std::io::Error| files::failure(&path, error, "cannot read");
        let mut before = self.open.remove(name);
        if let Some(open) = &mut before {
            open.drain(name, lines).map_err(reading)?;
            if open.is_at(&path) {
                self.open.extend(before.map(|open| (name.to_owned(), open)));
                return Ok(());
            }
            // It was put aside for a new one, perhaps with a line that came after the first look.
            open.drain(name, lines).map_err(reading)?;
        }
        let Later { files, gap } = later(&path, before.as_ref().map(|open| open.id)).map_err(reading)?;
        if files.is_empty() {
            // The next one is not made yet.
            self.open.extend(before.map(|open| (name.to_owned(), open)));
            return Ok(());
        }
        let mut last = before.and_then(|open| open.end(name, lines));
        if gap {
            let time = last.unwrap_or_else(Timestamp::now);
            let text = "(lines are missing: the log was rotated faster than it was read)".to_owned();
            lines.push(Line { time, component: name.to_owned(), text });
        }
        let mut reached: Option<Open> = None;
        for (id, file) in files {
            last = reached.take().and_then(|open| open.end(name, lines)).or(last);
            let mut open = Open::new(id, file, last);
            open.drain(name, lines).map_err(reading)?;
            reached = Some(open);
        }
        self.open.extend(reached.map(|open| (name.to_owned(), open)));
        Ok(())
    }
}

/// The device and the number of a file, which a rotation keeps.
type FileId = (u64, u64);

/// What was written after a file.
struct Later {
    /// The oldest first.
    files: Vec<(FileId, File)>,
    /// The file is not there any more, so others after it may be gone too.
    gap: bool,
}

/// The files of a log that are younger than `known`; all without one. A rotation makes names older, so that looking from
/// the youngest name on misses none; one that moved meanwhile is met twice.
fn later(path: &Path, known: Option<FileId>) -> std::io::Result<Later> {
    let mut files: Vec<(FileId, File)> = Vec::new();
    let names = std::iter::once(path.to_owned()).chain((1..=OLDEST).map(|number| numbered(path, number)));
    for name in names {
        let file = match files::open_private(&name) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        let id = file_id(&file.metadata()?);
        if known == Some(id) {
            files.reverse();
            return Ok(Later { files, gap: false });
        }
        if files.iter().all(|(other, _)| *other != id) {
            files.push((id, file));
        }
    }
    files.reverse();
    Ok(Later { files, gap: known.is_some() })
}

impl Open {
    /// A file to be read from its beginning. A line without a time is of the time `last`, or of the last change of the file.
    fn new(id: FileId, file: File, last: Option<Timestamp>) -> Self {
        let changed = || Timestamp::try_from(file.metadata().ok()?.modified().ok()?).ok();
        let last = last.or_else(changed);
        Self { id, file, rest: Vec::new(), last }
    }

    fn drain(&mut self, name: &str, lines: &mut Vec<Line>) -> std::io::Result<()> {
        self.file.read_to_end(&mut self.rest)?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        self.take(&text, name, lines);
        Ok(())
    }

    /// Takes a last line that a crash cut, and gives the time of the last one.
    fn end(mut self, name: &str, lines: &mut Vec<Line>) -> Option<Timestamp> {
        let rest = std::mem::take(&mut self.rest);
        self.take(&rest, name, lines);
        self.last
    }

    fn take(&mut self, text: &[u8], name: &str, lines: &mut Vec<Line>) {
        for line in String::from_utf8_lossy(text).lines() {
            // A panic, or a line that a crash cut: it belongs to the time of the one before.
            let (time, text) = match line.split_once(' ').map(|(time, text)| (time.parse(), text)) {
                Some((Ok(time), text)) => (time, text),
                _ => (self.last.unwrap_or_else(Timestamp::now), line),
            };
            self.last = Some(time);
            lines.push(Line { time, component: name.to_owned(), text: text.to_owned() });
        }
    }

    /// Whether the file still has this name.
    fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|named| file_id(&named) == self.id)
    }
}

fn file_id(of: &std::fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (of.dev(), of.ino())
}

/// News of a folder of logs.
///
/// # Errors
/// When the folder is not there, or the machine has no watch left.
fn watch(folder: &Path) -> Result<Inotify> {
    let watch = Inotify::new()?;
    let interest = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    watch.add(folder, interest).with_context(|| format!("cannot watch `{}`", folder.display()))?;
    Ok(watch)
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
        let watch = watch(folder.path()).unwrap();
        write("a.log", "lf\n");
        tokio::time::timeout(std::time::Duration::from_secs(10), watch.changed()).await.unwrap().unwrap();
        std::fs::rename(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
        write("a.log", "2026-01-01T00:00:05.000Z new\n");
        assert_eq!(texts(reader.fresh_lines().unwrap()), ["half", "new"]);
        assert_eq!(reader.fresh_lines().unwrap(), []);
    }
    fn append(folder: &Path, name: &str, text: &str) {
        let mut file = File::options().append(true).create(true).open(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// As the supervisor rotates, with two older files.
    fn rotate(folder: &Path, name: &str) {
        let path = folder.join(name);
        let _ = std::fs::rename(numbered(&path, 1), numbered(&path, 2));
        std::fs::rename(&path, numbered(&path, 1)).unwrap();
    }

    #[test]
    fn no_line_is_lost_over_two_rotations_and_a_gap_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let write = |second: u32| {
            append(folder, "a.log", &format!("2026-01-01T00:00:{second:02}.000Z {second}\n"));
        };
        let mut reader = Reader::new(folder, Vec::new());
        let mut texts =
            || reader.fresh_lines().unwrap().into_iter().map(|line| line.text).collect::<Vec<_>>();
        write(1);
        assert_eq!(texts(), ["1"]);
        write(2);
        rotate(folder, "a.log");
        write(3);
        rotate(folder, "a.log");
        write(4);
        assert_eq!(texts(), ["2", "3", "4"]);
        // Put aside, and the next one is not there yet.
        write(5);
        rotate(folder, "a.log");
        assert_eq!(texts(), [""; 0]);
        write(6);
        assert_eq!(texts(), ["5", "6"]);
        for second in 7..10 {
            write(second);
            rotate(folder, "a.log");
        }
        write(10);
        let gap = "(lines are missing: the log was rotated faster than it was read)";
        assert_eq!(texts(), ["7", gap, "8", "9", "10"]);
        assert_eq!(texts(), [""; 0]);
    }

    #[test]
    fn line_without_a_time_has_that_of_its_file_or_of_the_line_before() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Timestamp::now() - jiff::Span::new().minutes(1);
        append(folder.path(), "supervisor.log", " INFO one\nthread panicked\n");
        let mut reader = Reader::new(folder.path(), Vec::new());
        let lines = reader.fresh_lines().unwrap();
        assert!(lines.len() == 2 && lines.iter().all(|line| line.time > begin), "{lines:?}");
        append(folder.path(), "supervisor.log", "2026-01-01T00:00:02.000Z two\n");
        reader.fresh_lines().unwrap();
        rotate(folder.path(), "supervisor.log");
        append(folder.path(), "supervisor.log", "three\n");
        let lines = reader.fresh_lines().unwrap();
        assert_eq!(lines[0].time.to_string(), "2026-01-01T00:00:02Z", "{lines:?}");
    }
}
