//! What `render` and the verbs of a running stack have in common: the project's own templates, and whether its stack can work.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::commands::Context;
use crate::document::report;
use crate::error::{ExitStatus, Failure};
use crate::render;
use crate::render::lint::{Finding, Level};
use crate::trust;

/// Says what does not fit.
///
/// # Errors
/// With all that cannot work, when anything cannot.
pub(super) fn judge(context: &Context, findings: &[Finding]) -> Result<()> {
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.level == Level::Error);
    for warning in warnings {
        context.out.warn(warning.to_string());
    }
    if errors.is_empty() {
        return Ok(());
    }
    let message = report("the stack cannot work as it is:", &errors);
    Err(Failure::new(ExitStatus::Config, message).hint("change the values; nothing was done").into())
}

/// The templates of the project, by name. A file that replaces none of ours is an error, since it would be ignored.
pub(super) fn own_templates(project: &Path) -> Result<BTreeMap<String, String>> {
    let root = project.join("templates");
    let mut found = BTreeMap::new();
    for target in ["compose", "kubernetes"] {
        let Ok(entries) = std::fs::read_dir(root.join(target)) else { continue };
        for entry in entries {
            let path = entry.context("while listing `templates/`")?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(document) = file.strip_suffix(".tera") else { continue };
            let name = format!("{target}/{document}");
            if render::template(&name).is_none() {
                let names: Vec<&str> = render::template_names().collect();
                return Err(Failure::new(
                    ExitStatus::Config,
                    format!("`templates/{name}.tera` replaces no template"),
                )
                .hint(format!("templates: {}", names.join(", ")))
                .into());
            }
            if let Some(text) = trust::read(&path)? {
                found.insert(name, text);
            }
        }
    }
    Ok(found)
}
