//! Progress of a command: on a terminal one line that vanishes, elsewhere a line for each message.

use std::cell::RefCell;

use indicatif::ProgressBar;

use crate::output::{Output, plain};

/// Receives what is being done.
pub(crate) type Say<'a> = &'a dyn Fn(&str);

/// The progress of one command. Nothing is drawn before the first message.
pub(crate) struct Progress {
    out: Output,
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// Progress on the stderr of `out`.
    pub(crate) fn new(out: Output) -> Self {
        Self { out, bar: RefCell::new(None) }
    }

    /// Shows a message.
    pub(crate) fn show(&self, message: &str) {
        if !self.draw(message) {
            self.out.say(message);
        }
    }

    /// Shows a message on a terminal only: the result repeats it.
    pub(crate) fn step(&self, message: &str) {
        self.draw(message);
    }

    /// Draws a message; whether there is a terminal to draw on.
    fn draw(&self, message: &str) -> bool {
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| self.out.spinner(""));
        bar.set_message(plain(message).into_owned());
        !bar.is_hidden()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}
