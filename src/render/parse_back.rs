//! Reads a document as its consumer will, before it is written. Pure.

use anyhow::Result;

use crate::document;
use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::KUSTOMIZATION;

/// Fails when the document cannot be read, with the place.
pub fn check(path: &str, text: &str) -> Result<()> {
    let problem = match path.rsplit('.').next() {
        Some("yml" | "yaml" | KUSTOMIZATION) => document::parse(text).err().map(|error| {
            format!("line {}, column {}: {}", error.place.line, error.place.column, error.message)
        }),
        Some("json") => serde_json::from_str::<serde_json::Value>(text).err().map(|error| error.to_string()),
        Some("example") => text.lines().enumerate().find_map(|(index, line)| {
            let name = line.split_once('=').map(|(name, _)| name);
            let known = line.is_empty() || line.starts_with('#') || name.is_some_and(is_variable);
            (!known).then(|| format!("line {}: neither a comment nor NAME=value", index + 1))
        }),
        _ => None,
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(Failure::new(
            ExitStatus::Config,
            format!("the document `{path}` cannot be read back: {problem}"),
        )
        .hint("the template that lays it out is wrong; look in `templates/`")
        .into()),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
