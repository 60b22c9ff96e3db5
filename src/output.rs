//! stdout and stderr: the only module that writes to either.
//!
//! stdout is data in the format the user asked for; stderr is talk. Progress is drawn only on a terminal, colours
//! follow `NO_COLOR`, `--no-color` and the terminal, each stream for itself.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::{ExitStatus, Failure};

/// The output format of stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// JUnit XML, for CI (`verify`).
    Junit,
    /// Comma-separated values, for spreadsheets (`cost`).
    Csv,
}

/// How much stderr says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Errors only.
    Quiet,
    /// What was done.
    Normal,
    /// Also how.
    Verbose,
}

/// The two streams, with the user's wishes about them.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The format of stdout.
    pub format: Format,
    /// How much is said on stderr.
    pub talk: Talk,
}

impl Output {
    /// Sets the colour choice of the process and keeps the rest.
    pub fn new(format: Format, talk: Talk, no_color: bool) -> Self {
        if no_color {
            anstream::ColorChoice::Never.write_global();
        }
        Self { format, talk }
    }

    /// Refuses a format that a command does not have.
    pub fn supports(&self, formats: &[Format]) -> Result<()> {
        if formats.contains(&self.format) {
            return Ok(());
        }
        let names: Vec<String> = formats.iter().map(|format| format!("{format:?}").to_lowercase()).collect();
        let this = format!("{:?}", self.format).to_lowercase();
        Err(Failure::new(ExitStatus::Usage, format!("this command has no output format `{this}`"))
            .hint(format!("use `-o {}`", names.join("|")))
            .into())
    }

    /// Writes `value` as JSON or YAML, or `text` in the other formats.
    pub fn data<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<()> {
        match self.format {
            Format::Json => self.text(&(serde_json::to_string_pretty(value)? + "\n")),
            Format::Yaml => self.text(&serde_yaml::to_string(value)?),
            Format::Table | Format::Junit | Format::Csv => self.text(&text()),
        }
    }

    /// Writes `text` to stdout as it is. A reader that went away (`| head`) is no error.
    pub fn text(&self, text: &str) -> Result<()> {
        let mut stdout = anstream::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write to stdout"),
        }
    }

    /// Like [`Output::text`], but tells whether the reader is still there, for output without an end.
    pub fn stream(&self, text: &str) -> Result<bool> {
        let mut stdout = anstream::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("cannot write to stdout"),
        }
    }

    /// One line on stderr, unless `-q`.
    pub fn say(&self, line: impl AsRef<str>) {
        self.line(Talk::Normal, line.as_ref());
    }

    /// One line on stderr with `-v`.
    pub fn detail(&self, line: impl AsRef<str>) {
        self.line(Talk::Verbose, line.as_ref());
    }

    /// A yellow `warning:` on stderr, unless `-q`.
    pub fn warn(&self, line: impl AsRef<str>) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        self.line(Talk::Normal, &format!("{yellow}warning:{yellow:#} {}", line.as_ref()));
    }

    /// Prints an error; also with `-q`.
    pub fn error(&self, error: &anyhow::Error) {
        self.line(Talk::Quiet, crate::error::render(error).trim_end());
    }

    /// A spinner on a terminal; elsewhere, and with `-q`, nothing. It vanishes when dropped or finished.
    pub fn spinner(&self, message: impl Into<String>) -> ProgressBar {
        if self.talk == Talk::Quiet || !io::stderr().is_terminal() {
            return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(message.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// A bar of so many steps on a terminal, with its prefix beside it and its message below; else as [`Output::spinner`].
    pub fn bar(&self, steps: u64) -> ProgressBar {
        let bar = self.spinner("");
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:20.green/dim} {prefix}\n  {msg}") {
            bar.set_style(style.progress_chars("━━╌"));
        }
        bar.set_length(steps);
        bar
    }

    fn line(&self, level: Talk, line: &str) {
        if self.talk >= level {
            // Nothing is left to tell the user when stderr itself is closed.
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        }
    }
}

/// Whether a question can be asked: both ends of the conversation are a terminal.
pub fn interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A table for people: a head line and rows, two blanks between columns, no frame.
pub fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(head.iter().map(|cell| cell.to_uppercase()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    text.join("\n") + "\n"
}
