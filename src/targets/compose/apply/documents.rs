//! The files that Compose reads. While a release command runs for new ones, those that the running replicas were made from are
//! kept in one file beside them: a release that fails, or a command that is cut off, leaves them in force.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::render::Document;
use crate::stack::values::Secret;
use crate::targets::compose::apply::variables::Unrendered;
use crate::targets::compose::session::Compose;

/// The file of what was there before. It is replaced and removed in one step, so it is whole or missing.
const PREVIOUS: &str = "previous.json";

/// What was there before: names and texts.
#[derive(Serialize, Deserialize)]
struct Previous {
    /// With their modes.
    documents: Vec<(String, String, u32)>,
    /// Files of variables.
    variables: Vec<(String, String)>,
    /// Other files for containers.
    files: Vec<(String, String)>,
}

impl Compose {
    /// Writes what Compose reads.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) fn write_documents(&self, documents: &[Document], unrendered: &Unrendered) -> Result<()> {
        files::make_private_folder(&self.folder)?;
        for document in documents {
            let path = self.folder.join(&document.path);
            if let Some(folder) = path.parent().filter(|folder| **folder != self.folder) {
                files::make_private_folder(folder)?;
            }
            if files::read_private(&path)?.as_deref() != Some(&document.text) {
                files::write_private(&path, document.text.as_bytes(), document.mode)?;
            }
        }
        self.write_unrendered(unrendered)
    }

    /// Keeps the files that [`Compose::write_documents`] would replace, until [`Compose::restore_previous`] or
    /// [`Compose::forget_previous`].
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub(crate) fn keep_previous(&self, documents: &[Document], unrendered: &Unrendered) -> Result<()> {
        let mut previous = Previous { documents: Vec::new(), variables: Vec::new(), files: Vec::new() };
        for document in documents {
            if let Some(text) = files::read_private(&self.folder.join(&document.path))? {
                previous.documents.push((document.path.clone(), text, document.mode));
            }
        }
        for (name, _) in &unrendered.variables {
            let text = files::read_private(&self.secrets().path(name))?;
            previous.variables.extend(text.map(|text| ((*name).to_owned(), text)));
        }
        for (name, _) in &unrendered.files {
            let text = files::read_private(&self.secrets().path(name))?;
            previous.files.extend(text.map(|text| ((*name).to_owned(), text)));
        }
        let text = serde_json::to_string(&previous)?;
        files::write_private(&self.previous(), text.as_bytes(), 0o600)
    }

    /// Puts the files back that a release was to replace, if it has not succeeded.
    ///
    /// # Errors
    /// When the disk cannot be read or written; the next call does it again.
    pub(crate) fn restore_previous(&self) -> Result<()> {
        let Some(text) = files::read_private(&self.previous())? else { return Ok(()) };
        let path = self.previous();
        let previous: Previous =
            serde_json::from_str(&text).with_context(|| format!("cannot read `{}`", path.display()))?;
        for (name, text, mode) in &previous.documents {
            files::write_private(&self.folder.join(name), text.as_bytes(), *mode)?;
        }
        for (name, text) in &previous.variables {
            files::write_private(&self.secrets().path(name), text.as_bytes(), 0o600)?;
        }
        for (name, text) in previous.files {
            self.keep(&name, &Secret::new(text))?;
        }
        self.forget_previous()
    }

    /// What was written last is in force now.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) fn forget_previous(&self) -> Result<()> {
        files::remove_private(&self.previous())
    }

    fn previous(&self) -> PathBuf {
        self.folder.join(PREVIOUS)
    }
}
