//! What `render` and the verbs of a running stack have in common: the project's own templates, and whether its stack can work.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::commands::Context;
use crate::document::{misspelt, nearest, report};
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
    let message = report("this stack cannot run:", &errors);
    Err(Failure::new(ExitStatus::Config, message).hint("correct these values; nothing was changed").into())
}

/// The templates of the project, by name. What would be passed over is an error: a file that replaces none of ours, or one that
/// is named like one of ours and is not read. Other files, and a folder `templates` of another purpose, are the user's.
pub(super) fn own_templates(project: &Path) -> Result<BTreeMap<String, String>> {
    let root = project.join("templates");
    let mut found = BTreeMap::new();
    let folders = ["compose", "kubernetes"];
    for file in list(&root)? {
        let document = file.strip_suffix(".tera").unwrap_or(&file);
        let template = render::template_names().find(|name| name.split('/').next_back() == Some(document));
        let folder = misspelt(&file, folders.into_iter()).filter(|folder| *folder != file);
        let meant = template.map(|name| format!("{name}.tera")).or(folder.map(|folder| format!("{folder}/")));
        if let Some(meant) = meant {
            return Err(passed_over(&file).hint(format!("did you mean `templates/{meant}`?")).into());
        }
    }
    for target in folders {
        for file in list(&root.join(target))? {
            let written = format!("{target}/{file}");
            let name = file.strip_suffix(".tera").map(|document| format!("{target}/{document}"));
            let template =
                name.as_deref().and_then(|name| render::template_names().find(|known| *known == name));
            let Some(template) = template else {
                let near = nearest(name.as_deref().unwrap_or(&written), render::template_names());
                // Editors keep copies beside a file.
                let other =
                    name.is_none() && (near.is_none() || file.ends_with('~') || file.ends_with(".swp"));
                if other {
                    continue;
                }
                let names: Vec<&str> = render::template_names().collect();
                return Err(passed_over(&written)
                    .hint(match near {
                        Some(near) => format!("did you mean `templates/{near}.tera`?"),
                        None => format!("templates: {}", names.join(", ")),
                    })
                    .into());
            };
            let text = trust::read(&root.join(&written))?;
            let text = text.ok_or_else(|| {
                Failure::new(ExitStatus::Config, format!("the symbolic link `templates/{written}` is broken"))
            })?;
            found.insert(template.to_owned(), text);
        }
    }
    Ok(found)
}

fn passed_over(file: &str) -> Failure {
    Failure::new(ExitStatus::Config, format!("`templates/{file}` does not match any template"))
}

/// The names in a folder, in order; none if the folder does not exist.
fn list(folder: &Path) -> Result<Vec<String>> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot list `{}`", folder.display());
        Failure::new(ExitStatus::Config, message).caused_by(error)
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && folder.symlink_metadata().is_err() => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<std::io::Result<_>>().map_err(failed)?;
    names.sort_unstable();
    Ok(names)
}
