//! Questions on the terminal: the only module that asks, and the only one that names dialoguer.
//!
//! Without a terminal nothing is asked and nothing is assumed: the caller gets an error that names the way without questions.

use std::fmt::Display;
use std::io;
use std::str::FromStr;

use anyhow::Result;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Confirm, Input, Select};

use crate::error::{ExitStatus, Failure};
use crate::output;

/// Asks for a value; what `FromStr` or `fits` refuses is asked again with its reason. Enter takes `default`.
pub fn value<T>(question: &str, default: &T, fits: impl Fn(&T) -> Result<(), String>) -> Result<T>
where
    T: FromStr + Display,
    T::Err: Display,
{
    terminal()?;
    let text: String = Input::with_theme(&ColorfulTheme::default())
        .with_prompt(output::plain(question))
        .default(default.to_string())
        .validate_with(|text: &String| {
            text.parse::<T>().map_err(|error| error.to_string()).and_then(|value| fits(&value))
        })
        .interact_text()
        .map_err(asked)?;
    text.parse().map_err(|error: T::Err| Failure::new(ExitStatus::Failed, error.to_string()).into())
}

/// Asks for one of `choices`, each a word and what it means; gives the position. Enter takes `default`.
pub fn choice(question: &str, choices: &[(&str, &str)], default: usize) -> Result<usize> {
    terminal()?;
    let lines: Vec<String> = choices.iter().map(|(word, meaning)| format!("{word:<12}{meaning}")).collect();
    Select::with_theme(&ColorfulTheme::default())
        .with_prompt(output::plain(question))
        .items(&lines)
        .default(default)
        .interact()
        .map_err(asked)
}

/// Asks yes or no. Enter takes `default`; `hint` is the way without a terminal.
pub fn confirm(question: &str, default: bool, hint: &str) -> Result<bool> {
    confirmable(hint)?;
    Confirm::with_theme(&ColorfulTheme::default())
        .with_prompt(output::plain(question))
        .default(default)
        .interact()
        .map_err(asked)
}

/// Asks for a word to be typed, and tells whether it was. `hint` is the way without a terminal.
pub fn typed(question: &str, word: &str, hint: &str) -> Result<bool> {
    confirmable(hint)?;
    let text: String = Input::with_theme(&ColorfulTheme::default())
        .with_prompt(output::plain(question))
        .allow_empty(true)
        .interact_text()
        .map_err(asked)?;
    Ok(text.trim() == word)
}

fn terminal() -> Result<()> {
    interactive("this requires an answer, and stdin is not a terminal", "add `--yes` to accept the defaults")
}

fn confirmable(hint: &str) -> Result<()> {
    interactive("this requires confirmation, and stdin is not a terminal", hint)
}

fn interactive(message: &str, hint: &str) -> Result<()> {
    if output::interactive() {
        return Ok(());
    }
    Err(Failure::new(ExitStatus::Usage, message).hint(hint).into())
}

fn asked(error: dialoguer::Error) -> anyhow::Error {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        io::ErrorKind::Interrupted => {
            Failure::new(ExitStatus::Interrupted, "interrupted; nothing was changed").into()
        }
        _ => Failure::new(ExitStatus::Failed, "the terminal cannot be read").caused_by(error).into(),
    }
}
