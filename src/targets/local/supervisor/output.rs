//! What children print: a line at a time into a log file with rotation. A full disk loses lines, never a child.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::files;

/// Where a file is put aside for the next one.
const MOST_BYTES: u64 = 10 * 1024 * 1024;
/// Older files that are kept, as `NAME.log.1` and so on.
const KEPT: usize = 2;
/// A longer line is cut.
const LONGEST_LINE: u64 = 64 * 1024;
/// Lines of a process that are kept for the error that says why it ended, and the most bytes of one.
const LAST_LINES: usize = 6;
const LAST_LINE: usize = 400;

/// The log file of one component.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    lost: u64,
    last: VecDeque<String>,
}

/// The file of the log of a component: `service-1.app.log` of `service-1/app`. No component has a dot in its name.
pub(crate) fn file_name(component: &str) -> String {
    format!("{}.log", component.replace('/', "."))
}

/// The component whose log a file is.
pub(crate) fn component_of(file: &str) -> Option<String> {
    file.strip_suffix(".log").map(|name| name.replace('.', "/"))
}

impl Log {
    /// The log of a component in `folder`. Opens it with the first line.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(file_name(name));
        let last = VecDeque::new();
        Self { inner: Arc::new(Mutex::new(Inner { path, file: None, size: 0, lost: 0, last })) }
    }

    /// Writes one line with the time before it.
    pub(crate) fn line(&self, line: &[u8]) {
        self.lock().line(line);
    }

    /// The last lines that were captured, for the error that says why the process ended; forgets them.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().last).into()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in the midst of a line leaves at most a half line.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that `reader` gives until it ends.
    pub(crate) async fn capture(self, reader: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let mut inner = self.lock();
                    inner.line(line.trim_ascii_end());
                    inner.keep(line.trim_ascii_end());
                }
            }
        }
    }
}

impl Inner {
    fn line(&mut self, line: &[u8]) {
        let now = jiff::Timestamp::now();
        let mut bytes = Vec::with_capacity(line.len() + 64);
        if self.lost > 0 {
            let lost = self.lost;
            bytes
                .extend(format!("{now:.3} ({lost} lines were lost: the log could not be written)\n").bytes());
        }
        bytes.extend(format!("{now:.3} ").bytes());
        bytes.extend(line);
        bytes.push(b'\n');
        // The bytes go to the page cache, which takes microseconds; a thread for it would cost more.
        match self.write(&bytes) {
            Ok(()) => self.lost = 0,
            Err(_) => {
                self.lost += 1;
                self.file = None;
            }
        }
    }

    fn keep(&mut self, line: &[u8]) {
        if !line.is_empty() {
            while self.last.len() >= LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(String::from_utf8_lossy(line.get(..LAST_LINE).unwrap_or(line)).into_owned());
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.file.is_some() && self.size > MOST_BYTES {
            self.file = None;
            for number in (0..KEPT).rev() {
                let from = if number == 0 { self.path.clone() } else { numbered(&self.path, number) };
                // A missing older file is as it should be.
                let _ = files::rename_private(&from, &numbered(&self.path, number + 1));
            }
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = files::append_private(&self.path)?;
                self.size = file.metadata()?.len();
                self.file.insert(file)
            }
        };
        file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// The name of an older log file; 1 is the youngest.
pub(crate) fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn log_rotates_and_survives_an_unwritable_folder() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("later");
        let log = Log::new(&gone, "service-1");
        log.line(b"lost");
        std::fs::create_dir(&gone).unwrap();
        log.clone().capture(&b"one\ntwo"[..]).await;
        let text = std::fs::read_to_string(gone.join("service-1.log")).unwrap();
        let lines: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(' ')).map(|(_, line)| line).collect();
        assert_eq!(lines, ["(1 lines were lost: the log could not be written)", "one", "two"]);
        let long = vec![b'x'; 1024 * 1024];
        for _ in 0..25 {
            log.line(&long);
        }
        assert_eq!(log.last_lines(), ["one", "two"]);
        for number in 0..=LAST_LINES {
            log.clone().capture(format!("{number}\n\n").as_bytes()).await;
        }
        assert_eq!((log.last_lines().len(), log.last_lines().len()), (LAST_LINES, 0));
        assert!(gone.join("service-1.log.1").exists() && gone.join("service-1.log").exists());
    }
}
