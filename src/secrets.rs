//! Secrets of a project: made once, kept in files that only their owner can read. Never shows one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::files;
use crate::stack::values::Secret;

/// The folder of the secrets, within `.appforge`.
#[derive(Clone, Debug)]
pub struct Secrets {
    folder: PathBuf,
}

/// Bytes of randomness in a secret that we make.
const BYTES: usize = 32;

impl Secrets {
    /// The secrets of the project whose state folder this is.
    pub fn of(state_folder: &Path) -> Self {
        Self { folder: state_folder.join("secrets") }
    }

    /// The file of a secret; it may not be there yet.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The secret, when it was made before.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Secret>> {
        Ok(files::read_private(&self.path(name))?.map(|text| Secret::new(text.trim_end())))
    }

    /// The secret; the first call makes it, see [`random`].
    ///
    /// # Errors
    /// When the file cannot be read or written, or the system has no randomness.
    pub fn get_or_make(&self, name: &str) -> Result<Secret> {
        if let Some(secret) = self.get(name)?
            && !secret.reveal().is_empty()
        {
            return Ok(secret);
        }
        let secret = random()?;
        self.keep(name, &secret)?;
        Ok(secret)
    }

    /// Removes a secret that is there.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        files::remove_private(&self.path(name))
    }

    /// Removes all secrets whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the folder cannot be read or a file cannot be removed.
    pub fn remove_all(&self, prefix: &str) -> Result<()> {
        let names = files::list_private(&self.folder)?;
        let mut meant = names.iter().filter_map(|name| name.to_str()).filter(|name| name.starts_with(prefix));
        meant.try_for_each(|name| self.remove(name))
    }

    /// Keeps a secret that came from elsewhere, and returns its file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, name: &str, secret: &Secret) -> Result<PathBuf> {
        let path = self.path(name);
        if self.get(name)?.as_ref() != Some(secret) {
            files::make_private_folder(&self.folder)?;
            files::write_private(&path, secret.reveal().as_bytes(), 0o600)?;
        }
        Ok(path)
    }
}

/// A new secret: 64 hexadecimal digits from the system's source of randomness.
///
/// # Errors
/// When the system has no randomness.
pub fn random() -> Result<Secret> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).context("the system gave no randomness")?;
    Ok(Secret::new(hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::of(folder.path());
        let first = secrets.get_or_make("probe").unwrap();
        assert_eq!(first.reveal().len(), 64);
        assert_eq!(secrets.get_or_make("probe").unwrap(), first);
        let mode = std::fs::metadata(secrets.path("probe")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
