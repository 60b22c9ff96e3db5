//! What users read, whole: each snapshot has the texts of one area, each case below its files and its command line, so that
//! a change of a text shows in the diff. `INSTA_UPDATE=always` rewrites them.

mod commands;
mod configuration;
mod documents;
mod load;
mod tables;

use std::fmt::Write as _;

use regex::Regex;

use crate::support::{Project, Run};

/// Files of the project, and a command line. Words with `=` before the verb are variables of its environment.
type Case = (&'static [(&'static str, &'static str)], &'static str);

/// The files and the command line of a case.
const fn case(files: &'static [(&'static str, &'static str)], line: &'static str) -> Case {
    (files, line)
}

/// What one snapshot holds.
pub(crate) struct Texts {
    area: &'static str,
    text: String,
    masks: Vec<(Regex, &'static str)>,
}

impl Texts {
    pub(crate) fn new(area: &'static str) -> Self {
        Self { area, text: String::new(), masks: Vec::new() }
            .mask(&format!(r"\b{}\b", regex::escape(env!("CARGO_PKG_VERSION"))), "VERSION")
    }

    /// Shows `shown` for what differs from run to run.
    pub(crate) fn mask(mut self, pattern: &str, shown: &'static str) -> Self {
        self.masks.push((Regex::new(pattern).expect("a pattern"), shown));
        self
    }

    /// Runs each case in a project of its own.
    fn cases(mut self, cases: &[Case]) -> Self {
        for (files, line) in cases {
            let project = Project::new();
            for (name, text) in *files {
                if let Some((folder, _)) = name.rsplit_once('/') {
                    std::fs::create_dir_all(project.path().join(folder)).expect("a folder");
                }
                project.write(name, text);
                let lines = text.lines().fold(String::new(), |all, line| all + "#   " + line + "\n");
                let _ = write!(self.text, "# {name}:\n{lines}");
            }
            self.run(&project, line);
        }
        self
    }

    /// Adds what `line` prints in `project`.
    fn run(&mut self, project: &Project, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let variables = words.iter().take_while(|word| word.contains('=')).count();
        let mut command = project.command(&words[variables..]);
        // No server of this machine is found, and no engine, cluster or configuration of its user.
        command.env("PATH", "/nonexistent").env("HOME", project.path()).env_remove("XDG_CONFIG_HOME");
        command.env_remove("KUBERNETES_SERVICE_HOST").env("KUBECONFIG", "/nonexistent/kubeconfig");
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env_remove("DOCKER_CONFIG");
        command.envs(words[..variables].iter().filter_map(|word| word.split_once('=')));
        let line = [&words[..variables], &["appforge"], &words[variables..]].concat().join(" ");
        self.add(project, &line, &Run::of(&mut command));
    }

    /// Adds what a command printed.
    pub(crate) fn add(&mut self, project: &Project, line: &str, run: &Run) {
        let code = run.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let folder = project.path().display().to_string();
        let mut text = (run.stdout.clone() + &run.stderr).replace(&folder, "PROJECT");
        for (pattern, shown) in &self.masks {
            text = pattern.replace_all(&text, *shown).into_owned();
        }
        let _ = write!(self.text, "$ {line}\n{text}(exit {code})\n\n");
    }

    /// Compares with `snapshots/texts-AREA.snap`.
    pub(crate) fn compare(self) {
        crate::help::snapshot(&format!("texts-{}", self.area), &self.text);
    }
}
