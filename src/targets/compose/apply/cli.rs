//! The Compose command line: found, checked, run with a deadline. The only file that starts it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use crate::error::{ExitStatus, Failure};
use crate::targets::progress::Say;

/// The oldest Compose that reads the documents.
const OLDEST: (u32, u32) = (2, 20);
/// How long a Compose may take to say its version; the first start after a boot reads it from the disk.
const GREETING: Duration = Duration::from_secs(20);

/// A Compose that was found, pointed at one project.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    program: Vec<&'static str>,
    /// Its version, such as `2.40.3`.
    pub(crate) version: String,
    host: String,
    project: String,
    folder: PathBuf,
}

impl Cli {
    /// Looks for `docker compose`, then for `docker-compose`; takes the first that is new enough.
    ///
    /// # Errors
    /// Exit 4 with the fix when there is none, or only an old one.
    pub(crate) async fn find(host: &str, project: &str, folder: &Path) -> Result<Self> {
        let mut old = Vec::new();
        for program in [vec!["docker", "compose"], vec!["docker-compose"]] {
            let Some(version) = version(&program, host).await else { continue };
            match number(&version) {
                Some(number) if number >= OLDEST => {
                    return Ok(Self {
                        program,
                        version,
                        host: host.to_owned(),
                        project: project.to_owned(),
                        folder: folder.to_owned(),
                    });
                }
                _ => old.push(format!("`{}` is version {version}", program.join(" "))),
            }
        }
        let (major, minor) = OLDEST;
        let message = if old.is_empty() {
            format!("Docker Compose is not installed; {major}.{minor} or later is needed")
        } else {
            format!("Docker Compose is too old: {}, and {major}.{minor} or later is needed", old.join(", "))
        };
        Err(Failure::new(ExitStatus::Unreachable, message)
            .hint("install the plugin: sudo apt-get install docker-compose-plugin (https://docs.docker.com/compose/install/linux)")
            .into())
    }

    /// Runs a command on the documents in the project's folder.
    ///
    /// # Errors
    /// Exit 1 with the last lines that it said; exit 9 when `deadline` passes.
    pub(crate) async fn run(&self, arguments: &[&str], deadline: Instant, say: Say<'_>) -> Result<()> {
        let mut all: Vec<&str> = vec!["--file", "docker-compose.yml"];
        all.extend(arguments);
        self.start(&all, None, deadline, say).await.map(drop)
    }

    /// Runs a command that needs no document: what the project has is known from its labels.
    pub(crate) async fn run_by_labels(
        &self,
        arguments: &[&str],
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        self.start(arguments, None, deadline, say).await.map(drop)
    }

    /// Pulls the image of one service of `document`, with the credentials that the user gave to Docker.
    pub(crate) async fn pull(
        &self,
        document: &str,
        service: &str,
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        let arguments = ["--file", "-", "pull", "--quiet", service];
        self.start(&arguments, Some(document), deadline, say).await.map(drop)
    }

    /// Builds the image of one service of `document`, as far as the engine's cache does not have it.
    pub(crate) async fn build(
        &self,
        document: &str,
        service: &str,
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<()> {
        let arguments = ["--file", "-", "--progress", "plain", "build", "--quiet", service];
        self.start(&arguments, Some(document), deadline, say).await.map(drop)
    }

    /// The hash of each service of `document`, as Compose puts it on containers.
    pub(crate) async fn hashes(&self, document: &str, deadline: Instant) -> Result<Vec<(String, String)>> {
        let arguments = ["--file", "-", "config", "--hash", "*"];
        let text = self.start(&arguments, Some(document), deadline, &|_| {}).await?;
        let pair =
            |line: &str| line.split_once(' ').map(|(name, hash)| (name.to_owned(), hash.trim().to_owned()));
        Ok(text.lines().filter_map(pair).collect())
    }

    async fn start(
        &self,
        arguments: &[&str],
        input: Option<&str>,
        deadline: Instant,
        say: Say<'_>,
    ) -> Result<String> {
        let mut all = vec!["--project-name", &self.project, "--project-directory", ".", "--ansi", "never"];
        all.extend(arguments);
        let mut command = command(&self.program, &self.host);
        command.args(&all).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        if self.folder.is_dir() {
            command.current_dir(&self.folder);
        }
        let mut child =
            command.spawn().with_context(|| format!("cannot start `{}`", self.program.join(" ")))?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut tail = Vec::new();
        let work = async {
            let feed = async {
                if let (Some(mut stdin), Some(input)) = (stdin.take(), input) {
                    // A program that does not want its input says why on stderr.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            };
            let collect = async {
                let mut text = String::new();
                if let Some(mut stdout) = stdout {
                    stdout.read_to_string(&mut text).await?;
                }
                Ok::<_, std::io::Error>(text)
            };
            let listen = async {
                if let Some(stderr) = stderr {
                    let mut lines = BufReader::new(stderr).lines();
                    while let Some(line) = lines.next_line().await? {
                        let line = line.trim().to_owned();
                        if !line.is_empty() {
                            say(&line);
                            tail.push(line);
                        }
                    }
                }
                Ok::<_, std::io::Error>(())
            };
            let ((), text, heard) = tokio::join!(feed, collect, listen);
            heard?;
            Ok::<_, std::io::Error>((text?, child.wait().await?))
        };
        let asked = || format!("`{} {}`", self.program.join(" "), arguments.join(" "));
        match tokio::time::timeout_at(deadline, work).await {
            Ok(outcome) => {
                let (text, status) = outcome.with_context(|| format!("cannot run {}", asked()))?;
                if status.success() {
                    return Ok(text);
                }
                let message = format!("{} failed{}", asked(), last(&tail, 4));
                Err(Failure::new(ExitStatus::Failed, message).into())
            }
            // Dropping the future drops the child, which is killed.
            Err(_) => Err(Failure::new(
                ExitStatus::TimedOut,
                format!("{} did not finish in time{}", asked(), last(&tail, 4)),
            )
            .hint("`appforge up --timeout 5m` waits longer")
            .into()),
        }
    }
}

/// Without the variables that would point Compose at another project, or change the documents behind our back.
fn command(program: &[&str], host: &str) -> Command {
    let mut words = program.iter();
    let mut command = Command::new(words.next().unwrap_or(&"docker"));
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ours = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("COMPOSE_") || name.starts_with("APPFORGE_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.env_remove("DOCKER_CONTEXT").env("DOCKER_HOST", host);
    // Compose would go to an engine elsewhere through a proxy; we do not.
    if let Some(engine) = host.strip_prefix("tcp://") {
        let named = ["NO_PROXY", "no_proxy"].into_iter().filter_map(|name| std::env::var(name).ok());
        let exempt = named.into_iter().find(|entries| !entries.is_empty()).unwrap_or_default();
        command.env("NO_PROXY", format!("{exempt},{}", engine.trim_end_matches('/')));
    }
    command
}

async fn version(program: &[&str], host: &str) -> Option<String> {
    let mut command = command(program, host);
    command.args(["version", "--short"]).stdin(Stdio::null());
    let output = tokio::time::timeout(GREETING, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn last(lines: &[String], count: usize) -> String {
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(number("2.40.3").unwrap() >= OLDEST);
        assert!(number("5.5.0").unwrap() >= OLDEST);
        assert!(number("2.9.0").unwrap() < OLDEST);
        assert!(number("1.29.2").unwrap() < OLDEST);
        assert!(number("2.20.0-desktop.1").unwrap() >= OLDEST);
        assert_eq!(number("unknown"), None);
    }
}
