//! Runs other programs, and says what is done. No exit status is lost.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs a command and demands that it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{} {}", command.get_program().display(), arguments(command));
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// `cargo` in the root of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root);
    command
}

/// Does one step and says how long it took.
pub(crate) fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    say(&format!("== {name}"));
    let since = Instant::now();
    work().with_context(|| format!("step `{name}`"))?;
    say(&format!("== {name}: {:.1}s", since.elapsed().as_secs_f64()));
    Ok(())
}

/// One line on stderr.
pub(crate) fn say(line: &str) {
    // Nothing is left to tell when stderr itself is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn arguments(command: &Command) -> String {
    let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

/// The tracked files that match `patterns`.
pub(crate) fn tracked(root: &Path, patterns: &[&str]) -> Result<Vec<String>> {
    let listed = Command::new("git").arg("ls-files").args(patterns).current_dir(root).output();
    let listed = listed.context("cannot run git")?;
    let listed = String::from_utf8(listed.stdout).context("git lists a name that is not UTF-8")?;
    Ok(listed.lines().map(str::to_owned).collect())
}
