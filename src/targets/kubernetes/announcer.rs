//! Says one thing once: which cluster is meant, before anything is done, or that a server is being waited for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints one line, once.
#[derive(Clone)]
pub struct Announcer {
    print: Arc<dyn Fn(&str) + Send + Sync>,
    done: Arc<AtomicBool>,
}

impl Announcer {
    /// One that prints with `print`.
    pub fn new(print: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { print: Arc::new(print), done: Arc::new(AtomicBool::new(false)) }
    }

    /// One for something else, which prints the same way.
    pub fn again(&self) -> Self {
        Self { print: self.print.clone(), done: Arc::new(AtomicBool::new(false)) }
    }

    /// Prints it, unless it was printed before.
    pub fn announce(&self, line: &str) {
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.print)(line);
        }
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Announcer")
    }
}
