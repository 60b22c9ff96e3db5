//! What a project remembers between commands that no file of the user says: the number of replicas that was asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::error::{ExitStatus, Failure, quoted};
use crate::files;
use crate::stack::validate::validate;
use crate::stack::{Stack, TargetKind};

/// The file in the state folder.
const FILE: &str = "state.json";

/// The memory of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By target: what `scale` asked for.
    #[serde(default)]
    scaled: BTreeMap<String, Scaled>,
}

/// What `scale` asked for, and what the file said then: a later change of the file wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    /// What `--replicas` asked for.
    pub replicas: u32,
    configured: u32,
    /// What `--max` asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl State {
    /// Reads the memory. A file that was cut off is put aside with `notice`, for all it holds can be asked again.
    ///
    /// # Errors
    /// When the disk cannot be read; exit 3 when the file holds what no command writes.
    pub fn load(state_folder: &Path, notice: impl FnOnce(String)) -> Result<Self> {
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
                    .with_context(|| format!("while putting `{}` aside", path.display()))?;
                notice(format!("`{}` was broken and is now `{}`", path.display(), aside.display()));
                Ok(Self::default())
            }
        }
    }

    /// Writes the memory.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn save(&self, state_folder: &Path) -> Result<()> {
        files::make_private_folder(state_folder)?;
        let text = serde_json::to_string_pretty(self)? + "\n";
        files::write_private(&file(state_folder), text.as_bytes(), 0o600)
    }

    /// What `scale` asked for on `target`, unless the file has changed its mind since. Judged as the flags are: anything can
    /// be in a file.
    ///
    /// # Errors
    /// Exit 3 when the flags of `scale` could not have these values.
    pub fn recall(&self, target: TargetKind, stack: &Stack) -> Result<Option<Scaled>> {
        let scaled = self.scaled.get(target.as_str()).copied();
        let Some(scaled) = scaled.filter(|scaled| scaled.configured == stack.replicas_on(target)) else {
            return Ok(None);
        };
        let mut stack = stack.clone().with_replicas_on(target, scaled.replicas);
        if let (Some(autoscaling), Some(max)) = (&mut stack.kubernetes.autoscaling, scaled.max) {
            autoscaling.max = max;
        }
        match validate(&stack).into_iter().next() {
            None => Ok(Some(scaled)),
            Some((path, problem)) => {
                let message = format!("`{}/{FILE}`: {path}: {problem}", crate::state_folder::NAME);
                let hint = format!("appforge scale --replicas {}", scaled.configured);
                Err(Failure::new(ExitStatus::Config, message).hint(hint).into())
            }
        }
    }

    /// Remembers what `scale` asked for; asking for what the file says forgets it.
    pub fn remember(&mut self, target: TargetKind, stack: &Stack, replicas: u32, max: Option<u32>) {
        let configured = stack.replicas_on(target);
        if replicas == configured && max.is_none() {
            self.scaled.remove(target.as_str());
        } else {
            self.scaled.insert(target.as_str().to_owned(), Scaled { replicas, configured, max });
        }
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
        let mut stack = Stack::default();
        let mut state = State::load(folder.path(), |notice| panic!("{notice}")).unwrap();
        state.remember(TargetKind::Local, &stack, 3, None);
        state.save(folder.path()).unwrap();
        let state = State::load(folder.path(), |notice| panic!("{notice}")).unwrap();
        let replicas = |target, stack: &Stack| Some(state.recall(target, stack).unwrap()?.replicas);
        assert_eq!(replicas(TargetKind::Local, &stack), Some(3));
        assert_eq!(replicas(TargetKind::Compose, &stack), None);
        stack.service.replicas = 2;
        assert_eq!(replicas(TargetKind::Local, &stack), None);
    }

    #[test]
    fn values_that_no_scale_can_have_are_errors_and_stay_in_the_file() {
        for value in ["-1", "\"3\"", "1.5", "null", "4294967296", "[]"] {
            let folder = tempfile::tempdir().unwrap();
            let text = format!(r#"{{"scaled": {{"local": {{"replicas": {value}, "configured": 1}}}}}}"#);
            std::fs::write(file(folder.path()), &text).unwrap();
            let error = State::load(folder.path(), |notice| panic!("{notice}")).unwrap_err();
            assert_eq!(crate::error::status_of(&error), ExitStatus::Config, "{value}: {error:#}");
            assert_eq!(std::fs::read_to_string(file(folder.path())).unwrap(), text);
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
