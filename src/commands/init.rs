//! `init`: a commented stack file from flags, questions and defaults.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use crate::cli::init::{InitArgs, Rate, Scaling};
use crate::commands::Context;
use crate::commands::context::STACK_FILE;
use crate::commands::proposal::{self, Proposal, Run};
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::prompt;
use crate::render::{Dialect, Engine};
use crate::stack::model::{Autoscaling, StoreMode};
use crate::stack::values::{CommandLine, Name, Span, StackId};
use crate::stack::{Layer, Stack, StoreKind, TargetKind};
use crate::state_folder;
use crate::targets::ownership;

/// The word for the service of this program.
const BUNDLED: &str = "bundled";

/// What the template of the stack file knows.
#[derive(Serialize)]
struct Answers {
    name: Name,
    app: Option<AppAnswer>,
    id: StackId,
    target: TargetKind,
    port: u16,
    replicas: u32,
    requests: u32,
    window: Span,
    mongodb: StoreMode,
    redis: StoreMode,
    scaling: Option<Autoscaling>,
}

/// An app of the user's own.
#[derive(Serialize)]
struct AppAnswer {
    command: Option<CommandLine>,
    /// The image of the user's own.
    image: Option<String>,
    /// Whether the engine builds the Dockerfile of the folder.
    build: bool,
    /// The file that proposed it; `None` when the user wrote it.
    source: Option<&'static str>,
}

/// Runs `init`; `file` is what `--config` names.
pub(super) fn run(context: &Context, args: &InitArgs, file: Option<PathBuf>) -> Result<ExitStatus> {
    let here = std::env::current_dir().context("cannot find the current folder")?;
    let file = here.join(file.unwrap_or_else(|| STACK_FILE.into()));
    let shown = file.strip_prefix(&here).unwrap_or(&file).display().to_string();
    // Also a link that leads nowhere.
    if file.symlink_metadata().is_ok() && !args.force {
        return Err(Failure::new(
            ExitStatus::Failed,
            format!("`{shown}` already exists; nothing was changed"),
        )
        .hint("edit it, or overwrite it with `appforge init --force`")
        .into());
    }
    let folder = file.parent().unwrap_or(&here);
    // A folder keeps its identity, and with it its stack.
    let id = ownership::kept_id(folder).map_or_else(ownership::fresh_id, Ok)?;
    let answers = ask(context, args, folder, id)?;
    let text = Engine::new("project", Dialect::Yaml, &BTreeMap::new())?.fill("appforge.yaml", &answers)?;
    check(&shown, &text)?;

    let state = state_folder::locate(folder)?;
    files::make_private_folder(&state)?;
    let schema = serde_json::to_string_pretty(&crate::stack::schema())? + "\n";
    files::write_private(&state.join("schema.json"), schema.as_bytes(), 0o600)?;
    ignore(folder)?;
    files::write(&file, text.as_bytes())?;

    context.out.data(&json!({"file": file}), || shown + "\n")?;
    context.out.say("next: appforge up");
    Ok(ExitStatus::Done)
}

fn ask(context: &Context, args: &InitArgs, folder: &Path, id: StackId) -> Result<Answers> {
    let defaults = Stack::default();
    let yes = context.yes;
    let targets = [TargetKind::Local, TargetKind::Compose, TargetKind::Kubernetes];
    let target = match context.target() {
        Some(target) => target,
        None if yes => defaults.target,
        None => {
            let choices = [
                ("local", "processes on this machine; nothing to install"),
                ("compose", "containers on a Docker engine"),
                ("kubernetes", "a cluster"),
            ];
            targets[prompt::choice("Where does the stack run?", &choices, 0)?]
        }
    };
    let name = proposal::name_of(folder).unwrap_or(defaults.name);
    let name = answer(args.name.clone(), yes, "The stack's name", name, |_| Ok(()))?;
    let app = match &args.image {
        // With an image of the user's own nothing has to be proposed.
        Some(image) => Some(AppAnswer {
            command: args.command.clone().map(CommandLine::Text),
            image: Some(image.to_string()),
            build: false,
            source: None,
        }),
        None => app(args.command.as_deref(), yes, proposal::propose(folder, target)?)?,
    };
    let port = answer(args.port, yes, "The published port", defaults.service.port, |port| {
        fits(&[("service.port", json!(port))])
    })?;
    let replicas = answer(args.replicas, yes, "Replicas", defaults.service.replicas, |replicas| {
        fits(&[("service.replicas", json!(replicas))])
    })?;
    let rate = Rate(defaults.rate_limit.requests, defaults.rate_limit.window);
    let rate =
        answer(args.rate_limit, yes, "Requests per window and client", rate, |Rate(requests, window)| {
            fits(&[("rate_limit.requests", json!(requests)), ("rate_limit.window", json!(window))])
        })?;
    let Rate(requests, window) = rate;
    let mongodb = store(args.mongodb, yes, "Who runs MongoDB?", target)?;
    let redis = store(args.redis, yes, "Who runs Redis?", target)?;
    let scaling = Scaling(defaults.kubernetes.autoscaling);
    let scaling = match target {
        TargetKind::Kubernetes => {
            let question = "Fewest and most replicas (`off`: fixed)";
            answer(args.autoscaling, yes, question, scaling, |Scaling(scaling)| {
                fits(&[("kubernetes.autoscaling", json!(scaling))])
            })?
        }
        _ => args.autoscaling.unwrap_or(scaling),
    };
    Ok(Answers {
        name,
        app,
        id,
        target,
        port,
        replicas,
        requests,
        window,
        mongodb,
        redis,
        scaling: scaling.0,
    })
}

/// The service: `--command`, else what the files of the folder propose, which the user may change.
fn app(flag: Option<&str>, yes: bool, proposal: Option<Proposal>) -> Result<Option<AppAnswer>> {
    let build = proposal.as_ref().is_some_and(|proposal| proposal.run == Run::Build);
    let written = |text: &str| {
        let command = (text != BUNDLED).then(|| CommandLine::Text(text.to_owned()));
        command.map(|command| AppAnswer { command: Some(command), image: None, build, source: None })
    };
    let Some(Proposal { run, source }) = proposal.filter(|_| flag.is_none()) else {
        return Ok(flag.and_then(written));
    };
    let proposed = match run {
        Run::Command(text) => text,
        Run::Build => {
            let choices = [
                ("build", "your app, from the Dockerfile in this folder"),
                (BUNDLED, "the service of appforge"),
            ];
            let built = yes || prompt::choice("What does the stack serve?", &choices, 0)? == 0;
            return Ok(built.then_some(AppAnswer {
                command: None,
                image: None,
                build,
                source: Some(source),
            }));
        }
    };
    let question = format!("The command of your app, from {source} (`{BUNDLED}`: the service of appforge)");
    let text = answer(None, yes, &question, proposed.clone(), |text| {
        let valid = [("target", json!("local")), ("service.command", json!(text))];
        if text == BUNDLED { Ok(()) } else { fits(&valid) }
    })?;
    let mut answer = written(&text);
    if let Some(answer) = answer.as_mut().filter(|_| text == proposed) {
        answer.source = Some(source);
    }
    Ok(answer)
}

/// The flag, else the default, else the user's answer.
fn answer<T>(
    flag: Option<T>,
    yes: bool,
    question: &str,
    default: T,
    fits: impl Fn(&T) -> Result<(), String>,
) -> Result<T>
where
    T: FromStr + Display,
    T::Err: Display,
{
    match flag {
        Some(value) => Ok(value),
        None if yes => Ok(default),
        None => prompt::value(question, &default, fits),
    }
}

/// Whether values may stand in the file, so that a wrong answer is asked again and not refused after the last question.
fn fits(values: &[(&str, serde_json::Value)]) -> Result<(), String> {
    let layers: Vec<Layer> = values
        .iter()
        .map(|(path, value)| Layer::Flag { flag: "init".into(), path: (*path).into(), value: value.clone() })
        .collect();
    let problems = crate::stack::resolve(&layers).err().unwrap_or_default();
    problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.message))
}

fn store(flag: Option<StoreMode>, yes: bool, question: &str, target: TargetKind) -> Result<StoreMode> {
    let auto = match target {
        TargetKind::Local => "embedded here, a container elsewhere",
        _ => "a container of the stack",
    };
    match flag {
        Some(mode) => Ok(mode),
        None if yes => Ok(StoreMode::Auto),
        None => {
            let choices = [("auto", auto), ("external", "run by another team or provider; you give its URI")];
            let modes = [StoreMode::Auto, StoreMode::External];
            Ok(modes[prompt::choice(question, &choices, 0)?])
        }
    }
}

/// What is written must be a stack. The URI of an external store comes later, so a stand-in takes its place here.
fn check(name: &str, text: &str) -> Result<()> {
    let mut layers = vec![Layer::File { name: name.to_owned(), text: text.to_owned() }];
    for (kind, uri) in [(StoreKind::Mongodb, "mongodb.uri"), (StoreKind::Redis, "redis.url")] {
        let external = crate::document::parse(text)
            .is_ok_and(|node| node.to_json()[kind.as_str()]["mode"].as_str() == Some("external"));
        if external {
            layers.push(Layer::Flag {
                flag: "init".into(),
                path: uri.into(),
                value: format!("{}://later", kind.as_str()).into(),
            });
        }
    }
    crate::stack::resolve(&layers).map(drop).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        Failure::new(ExitStatus::Usage, lines.join("; ")).hint("correct the flag; nothing was written").into()
    })
}

/// Keeps state and secrets out of the repository.
fn ignore(folder: &Path) -> Result<()> {
    let path = folder.join(".gitignore");
    let mut text = files::read_if_there(&path)?.unwrap_or_default();
    let there = text.lines().any(|line| matches!(line.trim().trim_matches('/'), ".appforge"));
    if there {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(".appforge/\n");
    files::write(&path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_file_could_not_have_is_asked_again() {
        assert_eq!(fits(&[("service.replicas", json!(3))]), Ok(()));
        let refused = fits(&[("service.replicas", json!(0))]).unwrap_err();
        assert!(refused.ends_with(" and 64, got 0"), "{refused}");
        fits(&[("service.port", json!(0))]).unwrap_err();
        fits(&[("rate_limit.requests", json!(0)), ("rate_limit.window", json!("15m"))]).unwrap_err();
        fits(&[("kubernetes.autoscaling", json!({"min": 5, "max": 3, "cpu": 70, "memory": 80}))])
            .unwrap_err();
    }
}
