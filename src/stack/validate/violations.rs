//! What the rules found, each with the path that it judges. Pure.

use std::fmt::Display;

use crate::document::{out_of, refused};
use crate::stack::values::ByteSize;

/// Collected as `(path, message)`.
#[derive(Default)]
pub(super) struct Violations(pub(super) Vec<(String, String)>);

impl Violations {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push((path.into(), message.into()));
    }

    pub(super) fn within<T: PartialOrd + Display>(&mut self, path: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            self.add(path, out_of(low, high, value));
        }
    }

    /// A size below `least`, which `who` requires.
    pub(super) fn at_least(&mut self, path: &str, size: ByteSize, least: &str, who: &str) {
        if least.parse().is_ok_and(|least: ByteSize| size < least) {
            self.add(path, format!("must be at least {least} for {who}, got {size}"));
        }
    }

    /// A string of another form.
    pub(super) fn expect(&mut self, path: &str, text: &str, fits: bool, what: &str) {
        if !fits {
            self.add(path, refused(&format!("expected {what}"), text));
        }
    }
}
