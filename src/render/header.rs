//! The first lines of each document: who made it, from what. Pure.

use sha2::{Digest, Sha256};

use crate::render::Overrides;
use crate::stack::{Stack, TargetKind};

const MARK: &str = "Rendered by appforge";

/// The header of every document of one rendering.
pub(super) struct Header {
    input: String,
}

impl Header {
    /// Hashes the whole input. Secrets are not in it: a stack serializes them as `[redacted]`.
    pub(super) fn new(stack: &Stack, target: TargetKind, overrides: &Overrides) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            // The length in front keeps two inputs apart that differ only in where a part ends.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(env!("CARGO_PKG_VERSION"));
        add(target.as_str());
        // Whose stack it is changes no document.
        let anonymous = Stack { id: None, ..stack.clone() };
        add(&serde_json::to_string(&anonymous).unwrap_or_default());
        add(&overrides.secrets);
        if let Some(part) = &overrides.image {
            add(part);
        }
        for (name, text) in &overrides.templates {
            add(name);
            add(text);
        }
        Self { input: hex::encode(hash.finalize()) }
    }

    /// The document with its header, as a comment in the document's own language. JSON has none.
    pub(super) fn put_over(&self, path: &str, text: &str) -> String {
        let comment = match path.rsplit('.').next() {
            Some("json") => return text.to_owned(),
            Some("js") => "//",
            _ => "#",
        };
        format!(
            "{comment} {MARK} {} from appforge.yaml. Do not edit: change the stack file, its `patches`, or a template\n\
             {comment} (`appforge render --eject NAME`). Input: sha256:{}\n{text}",
            env!("CARGO_PKG_VERSION"),
            self.input
        )
    }
}

/// Whether a text is a document of ours.
pub fn is_rendered(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.trim_start_matches(['#', '/', ' ']).starts_with(MARK))
}
