//! A line that is printed once: which cluster is meant, or that a server is slow.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints the first line that it gets. Clones print one line together.
#[derive(Clone)]
pub(crate) struct Once {
    print: Arc<dyn Fn(&str) + Send + Sync>,
    done: Arc<AtomicBool>,
}

impl Once {
    /// One that prints with `print`.
    pub(crate) fn new(print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { print: Arc::new(print), done: Arc::new(AtomicBool::new(false)) }
    }

    /// One for another line, which prints the same way.
    pub(crate) fn another(&self) -> Self {
        Self { print: self.print.clone(), done: Arc::new(AtomicBool::new(false)) }
    }

    /// Prints the line, unless one was printed before.
    pub(crate) fn print(&self, line: &str) {
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.print)(line);
        }
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}
