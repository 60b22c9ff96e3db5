//! What the local target makes of an app of the user's own: where it runs, its variables, the environment of this shell. Reads
//! the file of variables; starts nothing.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::stack::app::{self, AppVariable};
use crate::stack::service::ShellEnvironment;
use crate::stack::{Stack, StoreKind};
use crate::targets::env_file;
use crate::targets::local::protocol::{App, Setting, Surroundings, Variable};

/// Where an app listens: its front, on the same machine, is all that reaches it.
const HOST: &str = "127.0.0.1";
/// Variables of the shell of which a change replaces the replicas: they decide which programs run.
const DECISIVE: [&str; 2] = ["PATH", "VIRTUAL_ENV"];
/// What `service.environment: clean` leaves.
const CLEAN: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];
/// Variables that are this program's own, or for one process only.
const OWN: [&str; 2] = ["APPFORGE_", "LISTEN_"];

/// The app of a stack whose file is in `folder`, and what it sees of this shell; `None` for the bundled service.
///
/// # Errors
/// Exit 3 when the file of variables is missing or malformed, or the folder is missing.
pub(super) fn of(stack: &Stack, folder: &Path) -> Result<Option<(App, Surroundings)>> {
    let service = &stack.service;
    let Some(command) = service.command.clone() else { return Ok(None) };
    let (place, path) = match &service.workdir {
        Some(workdir) => (folder.join(workdir), "service.workdir"),
        None => (folder.to_owned(), "service.command"),
    };
    if !place.is_dir() {
        let message = format!("{path}: no folder `{}`", place.display());
        return Err(Failure::new(ExitStatus::Config, message).into());
    }
    let file: BTreeMap<String, String> = match &service.env_file {
        Some(name) => env_file::read(name, folder)?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let shell = shell(stack);
    let decisive = DECISIVE.iter().filter_map(|name| {
        let setting = Setting { value: shell.get(*name)?.clone(), path: format!("{name} of this shell") };
        Some(((*name).to_owned(), setting))
    });
    let variables = app::variables(stack, HOST).into_iter().map(|variable| {
        let AppVariable { name, value, path } = variable;
        Variable { name, value, path }
    });
    let app = App {
        command,
        release: service.release.clone(),
        folder: place,
        port: service.app_port,
        variables: variables.collect(),
        decisive: decisive.collect(),
        file: service.env_file.is_some().then(|| fingerprint(&file)),
        pool: stack.mongodb.pool,
        database: stack.mongodb.database.clone(),
    };
    Ok(Some((app, Surroundings { shell, file })))
}

/// The environment of this command, without what is ours and what holds a secret of the stack file.
fn shell(stack: &Stack) -> BTreeMap<String, String> {
    let secrets: Vec<&str> = StoreKind::ALL
        .into_iter()
        .filter_map(|kind| stack.external_text(kind))
        .map(crate::stack::values::Secret::reveal)
        .collect();
    let clean = stack.service.environment == ShellEnvironment::Clean;
    // A variable that is not text has no place in JSON, and no app reads one.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !clean || CLEAN.contains(&name.as_str()))
        .filter(|(name, _)| !OWN.iter().any(|own| name.starts_with(own)))
        .filter(|(_, value)| !secrets.iter().any(|secret| value.contains(secret)))
        .collect()
}

/// Distinguishes variables without showing them.
fn fingerprint(variables: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for (name, value) in variables {
        for text in [name, value] {
            digest.update(text.len().to_le_bytes());
            digest.update(text.as_bytes());
        }
    }
    hex::encode(&digest.finalize()[..8])
}
