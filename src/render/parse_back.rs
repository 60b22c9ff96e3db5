//! Reads a document as its consumer will, once, before it is written. Pure.

use anyhow::Result;
use serde_json::Value;

use crate::document::{self, Fault};
use crate::error::{ExitStatus, Failure};
use crate::render::templates::KUSTOMIZATION;

/// What a YAML or JSON document holds.
///
/// # Errors
/// When the document cannot be read, with the place.
pub(super) fn read(path: &str, text: &str) -> Result<Option<Value>> {
    let read = match path.rsplit('.').next() {
        Some("yml" | "yaml" | KUSTOMIZATION) => {
            let place =
                |Fault { place, message }| format!("line {}, column {}: {message}", place.line, place.column);
            document::parse(text).map(|node| Some(node.to_json())).map_err(place)
        }
        Some("json") => serde_json::from_str(text).map(Some).map_err(|error| error.to_string()),
        Some("example") => variables(text).map(|()| None),
        _ => Ok(None),
    };
    read.map_err(|problem| {
        let message = format!("the template of `{path}` renders an invalid document: {problem}");
        Failure::new(ExitStatus::Config, message)
            .hint("fix the template in `templates/`, or remove it to use the embedded one")
            .into()
    })
}

fn variables(text: &str) -> Result<(), String> {
    let known = |line: &str| {
        let name = line.split_once('=').map(|(name, _)| name);
        line.is_empty() || line.starts_with('#') || name.is_some_and(is_variable)
    };
    match text.lines().position(|line| !known(line)) {
        Some(index) => Err(format!("line {}: expected a comment or NAME=value", index + 1)),
        None => Ok(()),
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
