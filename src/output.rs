//! stdout and stderr: the only module that writes to either.
//!
//! stdout is data in the format the user asked for; stderr is talk. Progress is drawn only on a terminal, colours
//! follow `NO_COLOR`, `--no-color` and the terminal, each stream for itself. Names, errors and answers may come from
//! others: what is printed is cleaned of control characters here, and styles are added after that.

mod plain;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

pub(crate) use plain::plain;

use crate::error::{ExitStatus, Failure, Part};

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

    /// Writes `text` to stdout. A reader that went away (`| head`) is not an error.
    pub fn text(&self, text: &str) -> Result<()> {
        self.stream(text).map(|_| ())
    }

    /// Like [`Output::text`], but returns whether the reader is still there, for output without an end.
    pub fn stream(&self, text: &str) -> Result<bool> {
        let clean: Cow<'_, str> = match self.format {
            Format::Json => plain::json(text),
            _ => plain(text),
        };
        self.raw(&clean)
    }

    /// Like [`Output::stream`], with all that is in `text`: for what a file or another program is to have as it is.
    pub fn raw(&self, text: &str) -> Result<bool> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("cannot write to stdout"),
        }
    }

    /// One line on stderr, unless `-q`.
    pub fn say(&self, line: impl AsRef<str>) {
        self.line(Talk::Normal, &plain(line.as_ref()));
    }

    /// One line on stderr with `-v`.
    pub fn detail(&self, line: impl AsRef<str>) {
        self.line(Talk::Verbose, &plain(line.as_ref()));
    }

    /// A yellow `warning:` on stderr, unless `-q`.
    pub fn warn(&self, line: impl AsRef<str>) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        self.line(Talk::Normal, &format!("{yellow}warning:{yellow:#} {}", plain(line.as_ref())));
    }

    /// Prints an error; also with `-q`.
    pub fn error(&self, error: &anyhow::Error) {
        self.line(Talk::Quiet, painted(error).trim_end());
    }

    /// A spinner on a terminal; elsewhere, and with `-q`, nothing. It vanishes when dropped or finished.
    pub fn spinner(&self, message: impl Into<String>) -> ProgressBar {
        if self.talk == Talk::Quiet || !io::stderr().is_terminal() {
            return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(plain(&message.into()).into_owned());
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

/// The text of an error: `error:`, the causes once each, then the hints.
fn painted(error: &anyhow::Error) -> String {
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
    let mut text = String::new();
    let mut hinted = false;
    for (part, line) in crate::error::parts(error) {
        let style = if part == Part::Hint { cyan } else { red };
        if part == Part::Hint && !std::mem::replace(&mut hinted, true) {
            text.push('\n');
        }
        text.push_str(&format!("{style}{}:{style:#} {}\n", part.as_str(), plain(&line)));
    }
    text
}

/// The other screen of the terminal, which comes back as it was when this is dropped.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Switches to it and hides the cursor.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn open() -> Result<Self> {
        send("\x1b[?1049h\x1b[?25l").context("cannot write to stdout")?;
        Ok(Self(()))
    }

    /// Shows `text` from the top left corner, as much as fits, and nothing else; whether the terminal is still there.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn draw(&self, text: &str) -> Result<bool> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        // A terminal without a size reports 0.
        let (width, height) = size.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or((80, 24));
        let mut drawn = String::from("\x1b[H");
        for line in plain(text).lines().take(height.saturating_sub(1)) {
            drawn.extend(line.chars().take(width));
            drawn.push_str("\x1b[K\n");
        }
        drawn.push_str("\x1b[J");
        match send(&drawn) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("cannot write to stdout"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = send("\x1b[?25h\x1b[?1049l");
    }
}

fn send(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

/// Whether stdout is a terminal, which obeys what is written to it.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
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
    // Cleaned before the width is counted.
    let clean = |row: Vec<String>| row.into_iter().map(|cell| plain(&cell).into_owned()).collect::<Vec<_>>();
    table.add_rows(rows.into_iter().map(clean));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    text.join("\n") + "\n"
}
