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
use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::output::Format;
use crate::prompt;
use crate::render::{Dialect, Engine};
use crate::spec::stack::{Autoscaling, StoreMode};
use crate::spec::values::{Name, Span};
use crate::spec::{Layer, Stack, TargetKind};

/// What the template of the stack file knows.
#[derive(Serialize)]
struct Answers {
    name: Name,
    target: TargetKind,
    port: u16,
    replicas: u32,
    requests: u32,
    window: Span,
    mongodb: StoreMode,
    redis: StoreMode,
    scaling: Option<Autoscaling>,
}

/// Runs `init`; `file` is what `--config` names.
pub fn run(context: &Context, args: &InitArgs, file: Option<PathBuf>) -> Result<ExitStatus> {
    context.out.supports(&[Format::Table, Format::Json])?;
    let here = std::env::current_dir().context("while looking up the current folder")?;
    let file = here.join(file.unwrap_or_else(|| STACK_FILE.into()));
    let shown = file.strip_prefix(&here).unwrap_or(&file).display().to_string();
    if file.exists() && !args.force {
        return Err(Failure::new(
            ExitStatus::Failed,
            format!("`{shown}` is there already; nothing was changed"),
        )
        .hint("change it with an editor, or start anew with `appforge init --force`")
        .into());
    }
    let answers = ask(context, args)?;
    let text = Engine::new("project", Dialect::Yaml, &BTreeMap::new())?.fill("appforge.yaml", &answers)?;
    check(&shown, &text)?;

    let folder = file.parent().unwrap_or(&here);
    let state = folder.join(".appforge");
    files::make_folder(&state)?;
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Stack))? + "\n";
    files::write_atomically(&state.join("schema.json"), schema.as_bytes(), 0o644)?;
    ignore(folder)?;
    files::write_atomically(&file, text.as_bytes(), 0o644)?;

    context.out.data(&json!({"file": file}), || shown + "\n")?;
    context.out.say("next: appforge up");
    Ok(ExitStatus::Done)
}

fn ask(context: &Context, args: &InitArgs) -> Result<Answers> {
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
    let name = answer(args.name.clone(), yes, "The stack's name", defaults.name)?;
    let port = answer(args.port, yes, "The published port", defaults.service.port)?;
    let replicas = answer(args.replicas, yes, "Replicas", defaults.service.replicas)?;
    let rate = Rate(defaults.rate_limit.requests, defaults.rate_limit.window);
    let Rate(requests, window) = answer(args.rate_limit, yes, "Requests per window and client", rate)?;
    let mongodb = store(args.mongodb, yes, "Who runs MongoDB?", target)?;
    let redis = store(args.redis, yes, "Who runs Redis?", target)?;
    let scaling = Scaling(defaults.kubernetes.autoscaling);
    let scaling = match target {
        TargetKind::Kubernetes => {
            answer(args.autoscaling, yes, "Fewest and most replicas (`off`: fixed)", scaling)?
        }
        _ => args.autoscaling.unwrap_or(scaling),
    };
    Ok(Answers { name, target, port, replicas, requests, window, mongodb, redis, scaling: scaling.0 })
}

/// The flag, else the default, else the user's answer.
fn answer<T>(flag: Option<T>, yes: bool, question: &str, default: T) -> Result<T>
where
    T: FromStr + Display,
    T::Err: Display,
{
    match flag {
        Some(value) => Ok(value),
        None if yes => Ok(default),
        None => prompt::value(question, &default),
    }
}

fn store(flag: Option<StoreMode>, yes: bool, question: &str, target: TargetKind) -> Result<StoreMode> {
    let auto = match target {
        TargetKind::Local => "appforge itself here, a container elsewhere",
        _ => "a container of the stack",
    };
    match flag {
        Some(mode) => Ok(mode),
        None if yes => Ok(StoreMode::Auto),
        None => {
            let choices = [("auto", auto), ("external", "somebody else; you give its URI")];
            let modes = [StoreMode::Auto, StoreMode::External];
            Ok(modes[prompt::choice(question, &choices, 0)?])
        }
    }
}

/// What is written must be a stack. The URI of an external store comes later, so a stand-in takes its place here.
fn check(name: &str, text: &str) -> Result<()> {
    let mut layers = vec![Layer::File { name: name.to_owned(), text: text.to_owned() }];
    for (path, uri, line) in
        [("mongodb", "mongodb.uri", "mongodb://later"), ("redis", "redis.url", "redis://later")]
    {
        let external = crate::spec::yaml::parse(text)
            .is_ok_and(|node| node.to_json()[path]["mode"].as_str() == Some("external"));
        if external {
            layers.push(Layer::Flag { flag: "init".into(), path: uri.into(), value: line.into() });
        }
    }
    crate::spec::resolve(&layers).map(drop).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        Failure::new(ExitStatus::Usage, lines.join("; ")).hint("nothing was written; change the flag").into()
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
    files::write_atomically(&path, text.as_bytes(), 0o644)
}
