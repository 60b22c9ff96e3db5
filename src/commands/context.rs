//! What every verb starts from: the streams, the project folder, and the configuration from all its sources.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::{Global, TargetChoice};
use crate::commands::proxies;
use crate::document::{Problem, report};
use crate::error::{ExitStatus, Failure, quoted};
use crate::output::Output;
use crate::stack::{self, Layer, Resolved, TargetKind};
use crate::{state_folder, trust};

/// The name of the stack file.
pub(super) const STACK_FILE: &str = "appforge.yaml";
/// A name that is taken for that of the stack file, and is not.
const OTHER_NAME: &str = "appforge.yml";

/// Where the project lives.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder of the stack file, or the current folder when there is none; absolute.
    pub folder: PathBuf,
    /// The stack file, when there is one.
    pub file: Option<PathBuf>,
}

impl Project {
    /// Where appforge keeps what belongs to this project and to no repository.
    ///
    /// # Errors
    /// See [`state_folder::locate`].
    pub fn state_folder(&self) -> Result<PathBuf> {
        state_folder::locate(&self.folder)
    }
}

/// What every verb starts from.
pub struct Context {
    /// stdout and stderr.
    pub out: Output,
    /// Answer every question with its default.
    pub yes: bool,
    /// Where the project lives.
    pub project: Project,
    /// `--target all`: `render` does it for each.
    pub every_target: bool,
    /// What `--context` named.
    pub cluster: Option<String>,
    /// Whether `--config` named the stack file.
    is_named: bool,
    env: Option<String>,
    target: Option<TargetKind>,
}

impl Context {
    /// Finds the project; reads nothing yet.
    pub fn new(global: Global, out: Output) -> Result<Self> {
        let here = env::current_dir().context("cannot find the current folder")?;
        // `APPFORGE_ENV=` in a shell or a CI file means unset.
        let env = global.env.filter(|name| !name.is_empty());
        let named = global.config.filter(|file| !file.as_os_str().is_empty());
        let is_named = named.is_some();
        let project = match named {
            Some(file) => {
                let file = here.join(file);
                let folder = file.parent().unwrap_or(&here).to_owned();
                Project { folder, file: Some(file) }
            }
            None => find(&here),
        };
        let every_target = global.target == Some(TargetChoice::All);
        let target = global.target.and_then(TargetChoice::one);
        let (yes, cluster) = (global.yes, global.context);
        Ok(Self { out, yes, project, is_named, every_target, cluster, env, target })
    }

    /// The same, without a word about what it finds.
    pub fn quietly(&self) -> Self {
        let out = Output { talk: crate::output::Talk::Quiet, ..self.out };
        let (project, env, cluster) = (self.project.clone(), self.env.clone(), self.cluster.clone());
        let (target, every_target) = (self.target, self.every_target);
        Self { out, yes: self.yes, project, is_named: self.is_named, env, cluster, target, every_target }
    }

    /// The same for another stack file, without an overlay: relative paths in it are meant from its folder.
    pub fn of_file(&self, file: &Path) -> Result<Self> {
        let file = env::current_dir().context("cannot find the current folder")?.join(file);
        let folder = file.parent().unwrap_or(&self.project.folder).to_owned();
        Ok(Self {
            project: Project { folder, file: Some(file) },
            is_named: true,
            env: None,
            ..self.quietly()
        })
    }

    /// The stack from all sources; `flags` are `(flag, path, value)` of this verb. Says so when there is no file.
    pub fn stack(&self, flags: &[(&str, &str, Value)]) -> Result<Resolved> {
        let mut resolved = self.judged(flags, stack::resolve)?;
        proxies::read_files(&mut resolved.stack, &self.project.folder)?;
        Ok(resolved)
    }

    /// The same for a verb that shows or stops what runs. It does not need the addresses of the stores, which may be set in
    /// another shell only.
    pub fn running_stack(&self) -> Result<Resolved> {
        let mut resolved = self.judged(&[], stack::resolve_running)?;
        // What runs can be shown and stopped without the file.
        if let Err(error) = proxies::read_files(&mut resolved.stack, &self.project.folder) {
            self.out.detail(format!("{error:#}"));
        }
        Ok(resolved)
    }

    fn judged(
        &self,
        flags: &[(&str, &str, Value)],
        resolve: impl Fn(&[Layer]) -> Result<Resolved, Vec<Problem>>,
    ) -> Result<Resolved> {
        let mut layers = self.files()?;
        if layers.is_empty() {
            self.out.say(format!("no {STACK_FILE} here or above; using the defaults"));
        }
        // A variable that is no text cannot be one of ours.
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        layers.push(Layer::Env(variables.filter(|(name, _)| name.starts_with("APPFORGE_")).collect()));
        if let Some(target) = self.target {
            layers.push(flag("--target", "target", target.as_str().into()));
        }
        layers.extend(flags.iter().map(|(name, path, value)| flag(name, path, value.clone())));
        resolve(&layers).map_err(|problems| invalid(&problems))
    }

    /// What `--target` named.
    pub fn target(&self) -> Option<TargetKind> {
        self.target
    }

    fn files(&self) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        if let Some(file) = &self.project.file {
            if !self.is_named {
                self.refuse_other_name(&self.project.folder)?;
            }
            layers.push(self.layer(file)?);
        }
        if let Some(name) = &self.env {
            layers.push(self.layer(&self.project.folder.join(format!("appforge.{name}.yaml")))?);
        }
        Ok(layers)
    }

    fn layer(&self, file: &Path) -> Result<Layer> {
        let name = file.strip_prefix(&self.project.folder).unwrap_or(file).display().to_string();
        let text = trust::read(file).map_err(|error| match error.downcast_ref::<Failure>() {
            Some(_) => error,
            None => {
                Failure::new(ExitStatus::Config, format!("`{name}` cannot be read")).caused_by(error).into()
            }
        })?;
        let text = text.ok_or_else(|| {
            let folder = self.project.folder.display();
            let message = match file.symlink_metadata() {
                Ok(_) => format!("the symbolic link `{name}` in `{folder}` is broken"),
                Err(_) => format!("no file `{name}` in `{folder}`"),
            };
            let failure = Failure::new(ExitStatus::Config, message);
            match file.with_extension("yml") {
                other if other != file && other.is_file() => failure.hint(rename(&other, file)),
                _ => failure,
            }
        })?;
        Ok(Layer::File { name, text })
    }

    /// A stack file of another name would be passed over, or be taken for the one that counts.
    fn refuse_other_name(&self, folder: &Path) -> Result<()> {
        let (other, file) = (folder.join(OTHER_NAME), folder.join(STACK_FILE));
        if other.symlink_metadata().is_err() {
            return Ok(());
        }
        let message =
            format!("`{OTHER_NAME}` in `{}` is not read: the stack file is {STACK_FILE}", folder.display());
        let failure = Failure::new(ExitStatus::Config, message);
        Err(match file.symlink_metadata() {
            Ok(_) => failure.hint("remove one of the two"),
            Err(_) => failure.hint(rename(&other, &file)),
        }
        .into())
    }
}

/// The failure of a configuration that has problems.
pub(crate) fn invalid(problems: &[Problem]) -> anyhow::Error {
    Failure::new(ExitStatus::Config, report("the configuration has", problems))
        .hint("`appforge config schema` describes every key")
        .into()
}

fn flag(flag: &str, path: &str, value: Value) -> Layer {
    Layer::Flag { flag: flag.to_owned(), path: path.to_owned(), value }
}

fn rename(from: &Path, to: &Path) -> String {
    format!("mv {} {}", quoted(from), quoted(to))
}

/// The nearest entry with the name of a stack file, whatever it is: a folder or a link that leads nowhere is an error, and
/// no reason to take the defaults.
fn find(here: &Path) -> Project {
    let is_there = |name: &str, folder: &Path| folder.join(name).symlink_metadata().is_ok();
    let file = here
        .ancestors()
        .find(|folder| [STACK_FILE, OTHER_NAME].iter().any(|name| is_there(name, folder)))
        .map(|folder| folder.join(STACK_FILE));
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(here).to_owned();
    Project { folder, file }
}
