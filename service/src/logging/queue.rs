//! Log lines on their way to stderr. A thread of its own writes them: a full disk, a pipe that nobody reads or one that is
//! closed costs lines, never a request.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::redact::redacted;

/// Lines that may wait.
const MOST_WAITING: usize = 4096;

enum Entry {
    Line(Vec<u8>),
    /// All lines before this one are written once it is answered.
    Flush(SyncSender<()>),
}

/// Takes lines without waiting.
pub(super) struct Queue {
    entries: SyncSender<Entry>,
    lost: AtomicU64,
}

impl Queue {
    /// Begins to write to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (entries, waiting) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("log".into()).spawn(move || write(&waiting, output))?;
        Ok(Self { entries, lost: AtomicU64::new(0) })
    }

    /// Waits until the lines so far are written, at most this long.
    pub(super) fn flush(&self, limit: Duration) {
        let (answer, answered) = sync_channel(1);
        if self.entries.try_send(Entry::Flush(answer)).is_ok() {
            let _ = answered.recv_timeout(limit);
        }
    }

    /// Lines that found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.entries.try_send(Entry::Line(redacted(line))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(waiting: &Receiver<Entry>, mut output: impl Write) {
    while let Ok(entry) = waiting.recv() {
        match entry {
            // Nothing is left to tell when the stream itself is closed.
            Entry::Line(line) => drop(output.write_all(&line)),
            Entry::Flush(answer) => drop(answer.try_send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_nobody_reads_costs_lines_and_no_time() {
        let (reader, writer) = io::pipe().unwrap();
        let queue = Queue::start(writer).unwrap();
        let line = [b'x'; 100];
        // Far more than the pipe (64 KiB) and the queue hold together: this would hang if it waited.
        for _ in 0..3 * MOST_WAITING {
            assert_eq!((&queue).write(&line).unwrap(), line.len());
        }
        assert!(queue.lost() > 0);
        drop(reader);
        queue.flush(Duration::from_secs(10));
        assert_eq!((&queue).write(&line).unwrap(), line.len(), "a closed stream is no reason to stop");
    }

    #[test]
    fn lines_are_there_after_a_flush() {
        let (mut reader, writer) = io::pipe().unwrap();
        let queue = Queue::start(writer).unwrap();
        (&queue).write_all(b"cannot reach redis://u:hunter2@h\n").unwrap();
        queue.flush(Duration::from_secs(10));
        let mut line = [0; 64];
        let read = io::Read::read(&mut reader, &mut line).unwrap();
        assert_eq!(&line[..read], b"cannot reach redis://***@h\n");
    }
}
