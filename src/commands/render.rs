//! `render`: the documents of a target, written, printed or compared. The reading and writing around the pure `render`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::render::RenderArgs;
use crate::commands::Context;
use crate::commands::documents::{judge, own_templates};
use crate::commands::target::recorded;
use crate::document::nearest;
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::load::k6;
use crate::relative::{clean, relative};
use crate::render::lint::{self, Finding};
use crate::render::{self, Document, Draft, Overrides, compare};
use crate::stack::{Stack, TargetKind};
use crate::targets::scaled::Scaled;

/// Runs `render`.
pub(super) async fn run(context: &Context, args: &RenderArgs) -> Result<ExitStatus> {
    if let Some(name) = &args.eject {
        return eject(context, name, args.force);
    }
    let stack = context.stack(&[])?.stack;
    let folders: Vec<Folder> = if context.every_target {
        render::TARGETS
            .iter()
            .map(|target| Folder::new(context, &stack, *target, args.out.join(target.as_str())))
            .collect::<Result<_>>()?
    } else {
        vec![Folder::new(context, &stack, stack.target, args.out.clone())?]
    };
    for folder in &folders {
        judge(context, &folder.findings)?;
    }
    if args.stdout {
        return print(context, &folders);
    }
    if args.check {
        return check(context, &folders);
    }
    // All is looked at before anything is changed.
    for folder in &folders {
        folder.refuse_foreign(args.force)?;
    }
    let mut written = Vec::new();
    for folder in &folders {
        written.extend(folder.write()?);
    }
    context.out.data(&json!({"documents": written}), || {
        written.iter().fold(String::new(), |text, path| text + path + "\n")
    })?;
    note_scale(context, &stack).await;
    Ok(ExitStatus::Done)
}

/// The documents follow from the file alone. Who runs Compose on them by hand would undo a `scale`.
async fn note_scale(context: &Context, stack: &Stack) {
    if stack.target != TargetKind::Compose {
        return;
    }
    // Without an engine nothing runs here, and a number that cannot be is refused by the verbs that would use it.
    let scaled = recorded(&context.quietly(), stack).await.ok().flatten();
    if let Some(Scaled { replicas, .. }) = scaled.filter(|scaled| scaled.replicas != stack.service.replicas) {
        context.out.say(format!(
            "the documents set {} replicas, `appforge scale` set {replicas}; to keep them with `docker compose`, \
             export APPFORGE_SERVICE_REPLICAS={replicas}",
            stack.service.replicas
        ));
    }
}

/// The documents of one target and the folder they belong to.
struct Folder {
    /// As the user named it, for messages.
    name: PathBuf,
    path: PathBuf,
    documents: Vec<Document>,
    findings: Vec<Finding>,
}

impl Folder {
    fn new(context: &Context, stack: &Stack, target: TargetKind, name: PathBuf) -> Result<Self> {
        let here = std::env::current_dir().context("cannot find the current folder")?;
        let path = clean(&here.join(&name));
        let secrets =
            relative(&path, &clean(&context.project.state_folder()?.join(target.as_str()).join("secrets")));
        let overrides = Overrides {
            templates: own_templates(&context.project.folder)?,
            secrets,
            project: relative(&path, &clean(&context.project.folder)),
            ..Overrides::default()
        };
        let mut documents = render::render(stack, target, &overrides)?;
        let findings = lint::lint(stack, target, &documents);
        let script = Draft { path: "load-test.js".to_owned(), text: k6::script(stack) };
        documents.extend(render::finish(vec![script])?);
        Ok(Self { name, path, documents, findings })
    }

    fn shown(&self, document: &str) -> String {
        self.name.join(document).display().to_string()
    }

    /// A file that we did not write is the user's, and stays.
    fn refuse_foreign(&self, force: bool) -> Result<()> {
        for document in &self.documents {
            let old = files::read_if_there(&self.path.join(&document.path))?;
            let foreign = old.is_some_and(|old| {
                old != document.text && !document.path.ends_with(".json") && !render::is_rendered(&old)
            });
            if foreign && !force {
                return Err(Failure::new(
                    ExitStatus::Failed,
                    format!(
                        "`{}` was not rendered by appforge; nothing was written",
                        self.shown(&document.path)
                    ),
                )
                .hint("choose another folder with `--out`, or replace it with `--force`")
                .into());
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<Vec<String>> {
        let mut written = Vec::new();
        for document in &self.documents {
            let path = self.path.join(&document.path);
            files::make_folder(path.parent().unwrap_or(&self.path))?;
            files::write_document(&path, document.text.as_bytes(), document.mode)?;
            written.push(self.shown(&document.path));
        }
        for stale in self.stale()? {
            files::remove(&self.path.join(&stale))?;
        }
        Ok(written)
    }

    /// Documents of an earlier rendering that no longer exist, which `kubectl apply -f DIR` would still apply.
    fn stale(&self) -> Result<Vec<String>> {
        let mut stale = Vec::new();
        let folders: std::collections::BTreeSet<&Path> =
            self.documents.iter().filter_map(|document| Path::new(&document.path).parent()).collect();
        for folder in folders {
            let Ok(entries) = std::fs::read_dir(self.path.join(folder)) else { continue };
            for entry in entries {
                let entry = entry.context("cannot list the rendered files")?;
                let name = folder.join(entry.file_name()).display().to_string();
                let known = self.documents.iter().any(|document| document.path == name);
                if !known
                    && entry.path().is_file()
                    // What is no text is not ours.
                    && files::read_if_there(&entry.path()).ok().flatten().is_some_and(|text| render::is_rendered(&text))
                {
                    stale.push(name);
                }
            }
        }
        stale.sort_unstable();
        Ok(stale)
    }
}

fn print(context: &Context, folders: &[Folder]) -> Result<ExitStatus> {
    let documents: Vec<&Document> = folders.iter().flat_map(|folder| &folder.documents).collect();
    let list: Vec<Value> =
        documents.iter().map(|document| json!({"path": document.path, "text": document.text})).collect();
    context.out.data(&json!({"documents": list}), || {
        documents.iter().fold(String::new(), |text, document| {
            text + "---\n# Source: " + &document.path + "\n" + &document.text
        })
    })?;
    Ok(ExitStatus::Done)
}

fn check(context: &Context, folders: &[Folder]) -> Result<ExitStatus> {
    let mut differences = Vec::new();
    for folder in folders {
        for document in &folder.documents {
            let old = files::read_if_there(&folder.path.join(&document.path))?;
            let path = folder.shown(&document.path);
            let diff = compare::unified(&path, old.as_deref(), Some(&document.text));
            if !diff.is_empty() {
                differences.push((path, if old.is_some() { "changed" } else { "missing" }, diff));
            }
        }
        for stale in folder.stale()? {
            let old = files::read_if_there(&folder.path.join(&stale))?;
            let path = folder.shown(&stale);
            differences.push((path.clone(), "stale", compare::unified(&path, old.as_deref(), None)));
        }
    }
    let list: Vec<Value> = differences
        .iter()
        .map(|(path, state, diff)| json!({"path": path, "state": state, "diff": diff}))
        .collect();
    context.out.data(&json!({"differs": !list.is_empty(), "documents": list}), || {
        differences.iter().map(|(_, _, diff)| diff.as_str()).collect()
    })?;
    Ok(if differences.is_empty() { ExitStatus::Done } else { ExitStatus::Differs })
}

fn eject(context: &Context, name: &str, force: bool) -> Result<ExitStatus> {
    let Some(text) = render::template(name) else {
        let near = nearest(name, render::template_names());
        let names: Vec<&str> = render::template_names().collect();
        return Err(Failure::new(ExitStatus::Usage, format!("unknown template `{name}`"))
            .hint(near.map_or_else(|| names.join(", "), |near| format!("did you mean `{near}`?")))
            .into());
    };
    let shown = format!("templates/{name}.tera");
    let path = context.project.folder.join(&shown);
    if files::read_if_there(&path)?.is_some_and(|old| old != text) && !force {
        return Err(Failure::new(ExitStatus::Failed, format!("`{shown}` already exists and was changed"))
            .hint("`--force` overwrites it with the embedded template")
            .into());
    }
    files::make_folder(path.parent().unwrap_or(&context.project.folder))?;
    files::write(&path, text.as_bytes())?;
    context.out.data(&json!({"template": name, "path": path}), || shown + "\n")?;
    Ok(ExitStatus::Done)
}
