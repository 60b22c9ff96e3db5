//! Stack -> documents. Pure: the same input gives the same bytes; no IO, clock, randomness or network.
//!
//! Decisions live in the typed contexts of `context/`; templates only lay them out. Each document is parsed back before
//! it leaves this module, so that nothing unreadable is ever written.

pub mod compare;
pub mod context;
mod engine;
mod header;
pub mod lint;
mod parse_back;
mod patch;
mod quote;
mod templates;

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

pub use engine::{Dialect, Engine};
pub use header::is_rendered;
pub use templates::{names as template_names, text as template};

use crate::error::{ExitStatus, Failure};
use crate::stack::{Stack, TargetKind};

/// One rendered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it belongs, below the folder of its target.
    pub path: String,
    /// What is written.
    pub text: String,
    /// What a YAML or JSON document holds, as its consumer reads it.
    pub value: Option<Value>,
    /// Its Unix permission.
    pub mode: u32,
}

impl Document {
    /// The document at `path`.
    pub(crate) fn find<'d>(documents: &'d [Self], path: &str) -> Option<&'d Self> {
        documents.iter().find(|document| document.path == path)
    }
}

/// What a user put in place of ours, and where the documents will lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrides {
    /// Templates by name, such as `compose/docker-compose.yml`; each replaces the embedded one.
    pub templates: BTreeMap<String, String>,
    /// The folder of the secret files, as seen from the folder of the documents.
    pub secrets: String,
    /// The project's folder, as seen from the folder of the documents.
    pub project: String,
    /// What `service.image: bundled` is called where the documents go; Kubernetes only. Without it, a name by version.
    pub image: Option<String>,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            templates: BTreeMap::new(),
            secrets: "./secrets".to_owned(),
            project: "../..".to_owned(),
            image: None,
        }
    }
}

/// The targets that have documents.
pub const TARGETS: [TargetKind; 2] = [TargetKind::Compose, TargetKind::Kubernetes];

/// Renders every document of `target`.
///
/// Fails with [`ExitStatus::Config`] on a template that is no template, a value that a document cannot hold, a patch whose
/// path is gone, and a document that cannot be read back.
pub fn render(stack: &Stack, target: TargetKind, overrides: &Overrides) -> Result<Vec<Document>> {
    let drafts = match target {
        TargetKind::Compose | TargetKind::Kubernetes => drafts(stack, target, overrides)?,
        TargetKind::Local => {
            return Err(Failure::new(
                ExitStatus::Usage,
                format!("the target `{}` has no documents to render", target.as_str()),
            )
            .hint("use `--target compose`, `--target kubernetes` or `--target all`")
            .into());
        }
    };
    patch::check_others(stack, target, overrides)?;
    finish(patch::apply(drafts, target, &stack.patches)?)
}

fn drafts(stack: &Stack, target: TargetKind, overrides: &Overrides) -> Result<Vec<Draft>> {
    match target {
        TargetKind::Compose => context::compose::drafts(stack, overrides),
        TargetKind::Kubernetes => context::kubernetes::drafts(stack, overrides),
        TargetKind::Local => Ok(Vec::new()),
    }
}

/// Puts the header over drafts and reads them back; also for documents that another module writes.
pub fn finish(drafts: Vec<Draft>) -> Result<Vec<Document>> {
    let mut documents = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let text = header::put_over(&draft.path, &draft.text);
        let value = parse_back::read(&draft.path, &text)?;
        documents.push(Document { path: draft.path, text, value, mode: 0o644 });
    }
    Ok(documents)
}

/// A document before header, patches and check.
pub struct Draft {
    /// Where it belongs.
    pub path: String,
    /// What the template gave.
    pub text: String,
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod app_tests;
#[cfg(test)]
mod compose_tests;

#[cfg(test)]
mod kubernetes_tests;
#[cfg(test)]
mod monitoring_tests;
#[cfg(test)]
mod scanner_tests;
