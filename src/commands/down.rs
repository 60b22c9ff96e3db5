//! `down`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::commands::Context;
use crate::commands::target::{Progress, interruptible, target};
use crate::error::ExitStatus;
use crate::files;
use crate::output::Format;
use crate::prompt;
use crate::stack::values::ByteSize;
use crate::targets::Target;
use crate::targets::compose::Compose;
use crate::targets::kubernetes::Kubernetes;

/// How long containers may take to end; a store writes its data then.
const PATIENCE: Duration = Duration::from_secs(180);

/// Stops the stack; with `volumes` removes its data, once the user has seen what that is.
pub async fn run(context: &Context, volumes: bool) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json, Format::Yaml])?;
    let stack = context.running_stack()?.stack;
    let target = match target(context, &stack)? {
        Target::Local(local) => local,
        Target::Compose(compose) => return containers(context, &compose, volumes).await,
        Target::Kubernetes(kubernetes) => return objects(context, &kubernetes, volumes).await,
    };
    let data = target.layout().data();
    let found = if volumes { volumes_in(&data)? } else { Vec::new() };
    if !found.is_empty() {
        for (path, size) in &found {
            context.out.say(format!(
                "data: {} ({:.1} MiB)",
                path.display(),
                size.0 as f64 / f64::from(1 << 20)
            ));
        }
        if !context.yes && !prompt::confirm("Remove this data for good?", false)? {
            context.out.say("nothing was changed");
            return Ok(ExitStatus::Done);
        }
    }
    let progress = Progress::new(context);
    let _lock = target.lock("down", |message| progress.show(message)).await?;
    let work = async {
        match target.find().await? {
            Some(client) => {
                target.stop(&client, |message| progress.show(message)).await.map(|plan| plan.steps.len())
            }
            None => {
                let lost = target.end_lost(|message| progress.show(message)).await?;
                Ok(lost + target.reap().await?.len())
            }
        }
    };
    let stopped =
        interruptible(work, "the stack goes on stopping; `appforge status` shows what is left").await?;
    drop(progress);
    for (path, _) in &found {
        files::remove_private(path)?;
    }
    if volumes {
        target.forget_addresses(|_| false)?;
    }
    let removed: Vec<String> = found.iter().map(|(path, _)| path.display().to_string()).collect();
    // The state folder may have been removed while the stack ran.
    let kept = !volumes && !volumes_in(&data)?.is_empty();
    finish(context, stopped, kept, &removed)
}

/// The same for containers; the engine has their volumes.
async fn containers(context: &Context, compose: &Compose, volumes: bool) -> Result<ExitStatus> {
    let found = if volumes { compose.volumes().await? } else { Vec::new() };
    if !found.is_empty() {
        for volume in &found {
            context.out.say(format!("data: the volume {volume}"));
        }
        if !context.yes && !prompt::confirm("Remove this data for good?", false)? {
            context.out.say("nothing was changed");
            return Ok(ExitStatus::Done);
        }
    }
    let progress = Progress::new(context);
    let say = |message: &str| progress.show(message);
    let stopped =
        interruptible(compose.down(volumes, PATIENCE, &say), "`appforge down` goes on from there").await?;
    drop(progress);
    finish(context, stopped, !volumes, &found)
}

/// The same for objects of a cluster. What it would take there may be production's: the stack's name has to be typed.
async fn objects(context: &Context, kubernetes: &Kubernetes, volumes: bool) -> Result<ExitStatus> {
    let remains = kubernetes.remains(PATIENCE).await?;
    let found = if volumes { remains.data() } else { Vec::new() };
    if !found.is_empty() {
        for object in &found {
            context.out.say(format!("data: {object}"));
        }
        let name = kubernetes.name();
        let question = format!("Type `{name}` to remove this for good:");
        if !context.yes && !prompt::typed(&question, name, "appforge down --volumes --yes")? {
            context.out.say("nothing was changed");
            return Ok(ExitStatus::Done);
        }
    }
    let progress = Progress::new(context);
    let say = |message: &str| progress.show(message);
    let work = kubernetes.down(&remains, volumes, &say);
    let stopped = interruptible(work, "`appforge down` goes on from there").await?;
    drop(progress);
    finish(context, stopped, !volumes, &found)
}

/// Says what was done.
fn finish(context: &Context, stopped: usize, kept: bool, removed: &[String]) -> Result<ExitStatus> {
    context.out.say(match (stopped, removed.len()) {
        (0, 0) => "nothing to stop: the stack is down",
        (_, 0) if kept => "the stack is down; its data is kept",
        (_, 0) => "the stack is down; there was no data",
        _ => "the stack is down; its data is removed",
    });
    context.out.data(&json!({"stopped": stopped, "removed": removed}), String::new)?;
    Ok(ExitStatus::Done)
}

/// The data of each store, with its size.
fn volumes_in(folder: &Path) -> Result<Vec<(PathBuf, ByteSize)>> {
    let mut found = Vec::new();
    for name in files::list_private(folder)? {
        let path = folder.join(name);
        let size = size_of(&path)?;
        found.push((path, ByteSize(size)));
    }
    Ok(found)
}

fn size_of(path: &Path) -> Result<u64> {
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |sum, entry| Ok(sum + size_of(&entry?.path())?))
}
