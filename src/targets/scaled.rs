//! The number of replicas that `appforge scale` set. It lives with the stack, so that every clone of a project sees it: each
//! target keeps one record of it. Where a target can keep none, and on `local`, it is in `.appforge/state.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::error::{ExitStatus, Failure, quoted, status_of};
use crate::files;
use crate::stack::{Stack, TargetKind};
use crate::targets::ownership;

/// The file in the state folder.
const FILE: &str = "state.json";

/// What `scale` asked for, and what the file said then: a later change of the file wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scaled {
    /// What `--replicas` asked for.
    pub(crate) replicas: u32,
    /// What the file said.
    configured: u32,
    /// What `--max` asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<u32>,
    /// Who asked, as `user@host`; empty where an earlier build recorded it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) by: String,
    /// When, in milliseconds since 1970: of two records the later one holds.
    #[serde(default)]
    at: u64,
}

impl Scaled {
    /// What this user asks for now, where the file says `configured`. `None` when that is what the file says.
    pub(crate) fn new(replicas: u32, max: Option<u32>, configured: u32) -> Option<Self> {
        let at = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        let differs = replicas != configured || max.is_some();
        differs.then(|| Self { replicas, configured, max, by: ownership::user_at_host(), at })
    }

    /// Reads a record; `place` is where it is kept, for the message.
    ///
    /// # Errors
    /// Exit 3 when it holds what `scale` never writes.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            let message =
                format!("{place}: expected whole numbers of replicas, as `appforge scale` writes them");
            Failure::new(ExitStatus::Config, message)
                .hint("`appforge scale --replicas N` replaces it")
                .caused_by(error)
                .into()
        })
    }

    /// The record as text.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// When it was made, in milliseconds since 1970.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether the file still says what it said then.
    pub(crate) fn holds_for(&self, stack: &Stack) -> bool {
        self.configured == stack.replicas_on(stack.target)
    }
}

/// What the state folder holds, by target. Earlier builds kept the records of all targets here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(default)]
    scaled: BTreeMap<String, Scaled>,
}

impl State {
    /// Reads the file. One that was cut off is put aside with `notice`, for all it holds can be asked again.
    ///
    /// # Errors
    /// When the disk cannot be read; exit 3 when the file holds what no command writes.
    pub(crate) fn load(state_folder: &Path, notice: impl FnOnce(String)) -> Result<Self> {
        let path = file(state_folder);
        let Some(text) = files::read_private(&path)? else { return Ok(Self::default()) };
        match serde_json::from_str(&text) {
            Ok(state) => Ok(state),
            // The file is complete but holds what `scale` never writes, so a person edited it: judged as the flags are.
            Err(error) if error.is_data() => {
                let (path, line) = (path.display(), error.line());
                let message = format!(
                    "`{path}` line {line}: expected whole numbers of replicas, as `appforge scale` writes them"
                );
                let hint = format!(
                    "correct it, or `rm {}` to return to the stack file",
                    quoted(&file(state_folder))
                );
                Err(Failure::new(ExitStatus::Config, message).hint(hint).into())
            }
            Err(_) => {
                let aside = path.with_extension("json.broken");
                files::rename_private(&path, &aside)
                    .with_context(|| format!("cannot rename `{}`", path.display()))?;
                notice(format!("`{}` was broken and is now `{}`", path.display(), aside.display()));
                Ok(Self::default())
            }
        }
    }

    /// What `scale` asked for on `target`.
    pub(crate) fn get(&self, target: TargetKind) -> Option<&Scaled> {
        self.scaled.get(target.as_str())
    }

    /// Keeps `scaled` for `target`, or forgets what was kept. A file that no command wrote is replaced: whoever asks for a number
    /// now, or removes the stack, does not need what it holds.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub(crate) fn record(
        target: TargetKind,
        scaled: Option<Scaled>,
        state_folder: &Path,
        notice: impl FnOnce(String),
    ) -> Result<()> {
        let before = match Self::load(state_folder, notice) {
            Err(error) if status_of(&error) == ExitStatus::Config => None,
            before => Some(before?),
        };
        let mut state = before.clone().unwrap_or_default();
        match scaled {
            Some(scaled) => drop(state.scaled.insert(target.as_str().to_owned(), scaled)),
            None => drop(state.scaled.remove(target.as_str())),
        }
        if Some(&state) == before.as_ref() {
            return Ok(());
        }
        files::make_private_folder(state_folder)?;
        let text = serde_json::to_string_pretty(&state)? + "\n";
        files::write_private(&file(state_folder), text.as_bytes(), 0o600)
    }
}

fn file(state_folder: &Path) -> PathBuf {
    state_folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_remembered_until_the_file_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let load = || State::load(folder.path(), |notice| panic!("{notice}")).unwrap();
        let mut stack = Stack::default();
        let record = |replicas| {
            let scaled = Scaled::new(replicas, None, 1);
            State::record(TargetKind::Local, scaled, folder.path(), |notice| panic!("{notice}")).unwrap();
        };
        record(3);
        let state = load();
        let scaled = state.get(TargetKind::Local).unwrap();
        assert_eq!((scaled.replicas, scaled.by.contains('@')), (3, true));
        assert_eq!(state.get(TargetKind::Compose), None);
        assert!(scaled.holds_for(&stack));
        stack.service.replicas = 2;
        assert!(!scaled.holds_for(&stack));
        record(1);
        assert_eq!(load().get(TargetKind::Local), None);
    }

    #[test]
    fn record_of_a_target_that_no_scale_writes_is_an_error_that_names_its_place() {
        for text in ["", "3", "{}", r#"{"replicas": -1, "configured": 1}"#, r#"{"replicas": "3"}"#] {
            let error = Scaled::parse(text, "the volume x").unwrap_err();
            assert_eq!(crate::error::status_of(&error), ExitStatus::Config, "{text}: {error:#}");
            assert!(error.to_string().starts_with("the volume x: expected"), "{error:#}");
        }
        let scaled = Scaled::new(7, Some(20), 3).unwrap();
        assert_eq!(Scaled::parse(&scaled.text().unwrap(), "").unwrap(), scaled);
        let earlier = Scaled::parse(r#"{"replicas": 3, "configured": 1}"#, "").unwrap();
        assert_eq!((earlier.by.as_str(), earlier.at()), ("", 0));
    }

    #[test]
    fn values_that_no_scale_can_have_are_errors_until_a_number_takes_their_place() {
        for value in ["-1", "\"3\"", "1.5", "null", "4294967296", "[]"] {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(r#"{{"scaled": {{"local": {{"replicas": {value}, "configured": 1}}}}}}"#);
            std::fs::write(file(folder.path()), &text).unwrap();
            let error = State::load(folder.path(), |notice| panic!("{notice}")).unwrap_err();
            assert_eq!(crate::error::status_of(&error), ExitStatus::Config, "{value}: {error:#}");
            assert_eq!(std::fs::read_to_string(file(folder.path())).unwrap(), text);
            // A number that is asked for now takes its place, and so does the file's own.
            for scaled in [Scaled::new(3, None, 1), None] {
                std::fs::write(file(folder.path()), &text).unwrap();
                State::record(TargetKind::Local, scaled.clone(), folder.path(), |_| ()).unwrap();
                let state = State::load(folder.path(), |notice| panic!("{notice}")).unwrap();
                assert_eq!(state.get(TargetKind::Local), scaled.as_ref());
            }
        }
    }

    #[test]
    fn a_half_written_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file(folder.path()), "{\"scaled\": {\"lo").unwrap();
        let mut notices = Vec::new();
        let state = State::load(folder.path(), |notice| notices.push(notice)).unwrap();
        assert_eq!((state, notices.len()), (State::default(), 1));
        assert!(folder.path().join("state.json.broken").exists());
    }
}
