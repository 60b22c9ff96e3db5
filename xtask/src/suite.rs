//! `cargo xtask test`: runs the tests with what the machine has, and reports those that it could not run.
//!
//! A test that needs more than Rust carries `#[ignore = "needs NEED and NEED"]`. Where a need is missing, its tests are
//! reported as ignored; in strict mode every test runs, and fails over what is missing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, say};
use crate::{debian, examples, images, monitoring, peers};

/// In the name of each test that is the body of another test's process.
const CHILD: &str = "child_process";

/// The browser, as a need, a program and a package of Debian.
const BROWSER: &str = "chromium";

/// What the machine offers to the tests.
struct Machine {
    /// By need: why it is missing, or nothing.
    needs: BTreeMap<&'static str, Option<String>>,
    variables: Vec<(&'static str, OsString)>,
}

/// What the test programs reported.
#[derive(Debug, Default, PartialEq)]
struct Report {
    passed: usize,
    failed: Vec<String>,
    /// Names with reasons.
    ignored: Vec<(String, String)>,
}

/// Runs the tests. `arguments` are those of `cargo test`; a set variable `CI` is strict, too.
pub(crate) fn test(root: &Path, strict: bool, arguments: &[String]) -> Result<()> {
    let strict = strict || std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    let machine = look(root, strict)?;
    let mut command = cargo(root);
    command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments);
    if !arguments.iter().any(|word| word == "--") {
        command.arg("--");
    }
    command.envs(machine.variables.iter().cloned()).env_remove("CI");
    let mut report = Report::default();
    let mut succeeded;
    if strict || machine.needs.values().all(Option::is_none) {
        if strict {
            command.env("CI", "1");
        }
        succeeded = report.add(command.args(["--include-ignored", "--skip", CHILD]))?;
    } else {
        succeeded = report.add(&mut command)?;
        let able = report.take_able(&machine)?;
        if !able.is_empty() {
            // Full names: the filters of `arguments` select nothing more.
            succeeded &= report.add(command.args(["--ignored", "--exact"]).args(able))?;
        }
    }
    report.print();
    if succeeded { Ok(()) } else { bail!("the tests failed") }
}

/// Installs the servers and looks for what cannot be installed. In strict mode root gets the browser, too: it needs so many packages
/// that it cannot be unpacked below `target`.
fn look(root: &Path, strict: bool) -> Result<Machine> {
    let mut needs = BTreeMap::new();
    let mut variables = Vec::new();
    let mut path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let peers = peers::peers(root).map_err(|error| format!("{error:#}"));
    for name in ["compose", "docker", "go", "mongodb", "node", "prometheus", "python", "scanners", "valkey"] {
        needs.insert(name, peers.as_ref().err().cloned());
    }
    if let Ok(peers) = peers {
        variables.extend([
            ("APPFORGE_PEER_VALKEY", peers.valkey.into()),
            ("APPFORGE_PEER_MONGO", peers.mongo.into()),
            ("APPFORGE_PEER_PYTHON", peers.python.into()),
            ("APPFORGE_PEER_SCANNERS", peers.scanners.into()),
        ]);
        let mut need = |name, variable, found: Result<PathBuf>| match found {
            Ok(found) => variables.push((variable, found.into())),
            Err(error) => drop(needs.insert(name, Some(reason(&error)))),
        };
        let modules = examples::node_modules(root);
        need("go", "APPFORGE_PEER_GO_APP", examples::go_app(root));
        need("prometheus", "APPFORGE_PEER_PROMTOOL", monitoring::promtool(root));
        let images = images::run(root).and_then(|()| match &modules {
            Ok(modules) => images::node(root, &peers.node.join("node"), modules),
            Err(_) => Ok(()),
        });
        need("node", "APPFORGE_PEER_NODE_MODULES", modules);
        path.insert(0, peers.compose);
        path.insert(0, peers.node);
        needs.insert("docker", images.err().as_ref().map(reason));
    }
    let uid = std::fs::metadata("/proc/self").context("while looking who runs the tests")?.uid();
    let missing = |name: &str| !path.iter().any(|folder| folder.join(name).is_file());
    if strict && uid == 0 && missing(BROWSER) {
        debian::install(&[BROWSER])?;
    }
    for name in [BROWSER, "curl", "redis-cli"] {
        needs.insert(name, missing(name).then(|| "not on PATH".to_owned()));
    }
    needs.insert("root", (uid != 0).then(|| format!("the tests run as uid {uid}")));
    variables.push(("PATH", std::env::join_paths(path)?));
    Ok(Machine { needs, variables })
}

/// Makes the container images of the tests.
pub(crate) fn images(root: &Path) -> Result<()> {
    images::run(root)?;
    images::node(root, &peers::peers(root)?.node.join("node"), &examples::node_modules(root)?)
}

fn reason(error: &anyhow::Error) -> String {
    format!("{error:#}").trim().to_owned()
}

impl Report {
    /// Runs test programs, passes their output on and adds what they report. Whether all succeeded.
    fn add(&mut self, command: &mut Command) -> Result<bool> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let output = child.stdout.take().context("stdout is a pipe")?;
        let mut stdout = std::io::stdout().lock();
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            // A closed terminal does not end the tests.
            let _ = stdout.write_all(&line).and_then(|()| stdout.write_all(b"\n"));
            self.read(&String::from_utf8_lossy(&line));
        }
        Ok(child.wait()?.success())
    }

    /// One line of a test program.
    fn read(&mut self, line: &str) {
        let Some(line) = line.strip_prefix("test ") else { return };
        if let Some((_, rest)) = line.split_once(". ").filter(|_| line.starts_with("result: ")) {
            let passed = rest.split_once(" passed").and_then(|(count, _)| count.parse::<usize>().ok());
            self.passed += passed.unwrap_or_default();
        } else if let Some((name, reason)) = line.split_once(" ... ignored") {
            self.ignored.push((name.to_owned(), reason.trim_start_matches(", ").to_owned()));
        } else if let Some(name) = line.strip_suffix(" ... FAILED") {
            self.failed.push(name.to_owned());
        }
    }

    /// Drops the tests whose needs are met from those that were ignored, and returns their names. The others keep why.
    fn take_able(&mut self, machine: &Machine) -> Result<Vec<String>> {
        let mut able = Vec::new();
        for (name, reason) in std::mem::take(&mut self.ignored) {
            let Some(needs) = reason.strip_prefix("needs ") else { continue };
            let mut missing = Vec::new();
            for need in needs.split(" and ") {
                let found =
                    machine.needs.get(need).with_context(|| format!("{name}: unknown need `{need}`"))?;
                missing.extend(found.as_ref().map(|why| format!("{need}: {why}")));
            }
            if missing.is_empty() {
                able.push(name);
            } else {
                self.ignored.push((name, format!("needs {}", missing.join(" and "))));
            }
        }
        Ok(able)
    }

    fn print(&self) {
        for (name, reason) in &self.ignored {
            say(&format!("ignored: {name}: {reason}"));
        }
        for name in &self.failed {
            say(&format!("failed: {name}"));
        }
        let [passed, failed, ignored] = [self.passed, self.failed.len(), self.ignored.len()];
        say(&format!("{passed} tests passed, {failed} failed, {ignored} ignored"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Report {
        let mut report = Report::default();
        text.lines().for_each(|line| report.read(line));
        report
    }

    #[test]
    fn report_counts_results_of_all_programs() {
        let report = read(
            "test a ... ok\ntest b::c ... FAILED\ntest d ... ignored, needs docker\ntest odd\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.00s\n",
        );
        let ignored = vec![("d".to_owned(), "needs docker".to_owned())];
        assert_eq!(report, Report { passed: 13, failed: vec!["b::c".into()], ignored });
    }

    #[test]
    fn test_is_run_when_all_its_needs_are_met() {
        let why = || Some("no engine".to_owned());
        let needs = BTreeMap::from([("docker", why()), ("root", None), ("valkey", None)]);
        let machine = Machine { needs, variables: Vec::new() };
        let mut report = read(
            "test a ... ignored, needs docker and root\ntest b ... ignored, needs root and valkey\n\
             test child_process ... ignored, the body of a process\n",
        );
        assert_eq!(report.take_able(&machine).unwrap(), ["b"]);
        assert_eq!(report.ignored, [("a".to_owned(), "needs docker: no engine".to_owned())]);
        let mut unknown = read("test a ... ignored, needs luck\n");
        assert!(unknown.take_able(&machine).is_err());
    }
}
