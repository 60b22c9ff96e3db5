//! The results of earlier runs, under `.appforge/loads/`: one file a run, the latest [`KEPT`].

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::float;
use crate::load::report::Report;

/// How many results are kept.
pub const KEPT: usize = 100;

/// How many of the latest runs [`History::runs`] reads.
const RECENT: usize = 20;

/// When a run was, in milliseconds since 1970, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub started: u64,
    /// When it ended.
    pub ended: u64,
    /// The name of its scenario.
    pub scenario: String,
    /// Whether all thresholds held.
    pub passed: bool,
}

/// What [`History::runs`] reads of a result.
#[derive(Deserialize)]
struct Head {
    started_at: String,
    duration_s: f64,
    scenario: String,
    passed: bool,
}

impl Head {
    fn run(self) -> Option<Run> {
        let started: Timestamp = self.started_at.parse().ok()?;
        let started = u64::try_from(started.as_millisecond()).ok()?;
        let ended = started + float::to_u64(self.duration_s * 1000.0);
        Some(Run { started, ended, scenario: self.scenario, passed: self.passed })
    }
}

/// The folder of results.
pub struct History {
    folder: PathBuf,
}

impl History {
    /// The history of a project, given its state folder.
    pub fn new(state_folder: &Path) -> Self {
        Self { folder: state_folder.join("loads") }
    }

    /// Keeps a result and returns its file. Drops the oldest ones beyond [`KEPT`].
    pub fn keep(&self, report: &Report) -> Result<PathBuf> {
        files::make_private_folder(&self.folder)?;
        let stamp: String = report.started_at.chars().filter(char::is_ascii_alphanumeric).collect();
        let scenario = slug(&report.scenario);
        let path = self.folder.join(format!("{stamp}-{scenario}.json"));
        files::write_private(&path, &serde_json::to_vec_pretty(report)?, 0o600)?;
        let names = self.names()?;
        for old in names.iter().take(names.len().saturating_sub(KEPT)) {
            files::remove_private(&self.folder.join(old))?;
        }
        Ok(path)
    }

    /// The latest result of this scenario that can be read and fits.
    pub fn last(&self, scenario: &str, mut fits: impl FnMut(&Report) -> bool) -> Result<Option<Report>> {
        let ending = format!("-{}.json", slug(scenario));
        let names = self.names()?;
        let candidates = names.iter().rev().filter(|name| name.ends_with(&ending));
        let mut reports = candidates.filter_map(|name| {
            let path = self.folder.join(name);
            parse(&path, files::read_private(&path).ok()?).ok()
        });
        Ok(reports.find(|report| report.scenario == scenario && fits(report)))
    }

    /// The latest runs, the last one last. Those that cannot be read are left out.
    pub fn runs(&self) -> Result<Vec<Run>> {
        let names = self.names()?;
        let latest = names.iter().skip(names.len().saturating_sub(RECENT));
        let runs = latest.filter_map(|name| {
            let text = files::read_private(&self.folder.join(name)).ok()??;
            serde_json::from_str::<Head>(&text).ok()?.run()
        });
        Ok(runs.collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        // A name begins with its time, so that the order of names is that of runs.
        let names = files::list_private(&self.folder)?.into_iter();
        Ok(names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".json")).collect())
    }
}

/// Reads a result that the user named.
pub fn read(path: &Path) -> Result<Report> {
    parse(path, files::read_if_there(path)?)
}

fn parse(path: &Path, text: Option<String>) -> Result<Report> {
    let invalid = |what: &str| Failure::new(ExitStatus::Config, format!("`{}` {what}", path.display()));
    let text = text.ok_or_else(|| invalid("does not exist"))?;
    serde_json::from_str(&text).map_err(|error| {
        // The error's own text quotes the file, which may be any file that the user can read.
        let (line, column) = (error.line(), error.column());
        let place = anyhow::anyhow!("line {line}, column {column}");
        invalid("is not a result of `appforge load -o json`").caused_by(place).into()
    })
}

fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect()
}
