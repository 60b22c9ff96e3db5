//! The results of earlier runs, under `.appforge/loads/`: one file a run, the latest [`KEPT`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::load::report::Report;

/// How many results are kept.
pub const KEPT: usize = 100;

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
        files::make_folder(&self.folder)?;
        let stamp: String = report.started_at.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let scenario = slug(&report.scenario);
        let path = self.folder.join(format!("{stamp}-{scenario}.json"));
        files::write_atomically(&path, &serde_json::to_vec_pretty(report)?, 0o644)?;
        let names = self.names()?;
        for old in names.iter().take(names.len().saturating_sub(KEPT)) {
            // A result that someone else removed meanwhile is gone as wished.
            let _ = std::fs::remove_file(self.folder.join(old));
        }
        Ok(path)
    }

    /// The latest result of this scenario that can be read and fits.
    pub fn last(&self, scenario: &str, fits: impl Fn(&Report) -> bool) -> Result<Option<Report>> {
        let ending = format!("-{}.json", slug(scenario));
        let names = self.names()?;
        let candidates = names.iter().rev().filter(|name| name.ends_with(&ending));
        let mut reports = candidates.filter_map(|name| read(&self.folder.join(name)).ok());
        Ok(reports.find(|report| report.scenario == scenario && fits(report)))
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("while reading `{}`", self.folder.display()))?,
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".json"))
            .collect();
        // A name begins with its time, so that the order of names is that of runs.
        names.sort_unstable();
        Ok(names)
    }
}

/// Reads a result that the user named.
pub fn read(path: &Path) -> Result<Report> {
    let invalid = |what: &str| Failure::new(ExitStatus::Config, format!("`{}` {what}", path.display()));
    let text = files::read_if_there(path)?.ok_or_else(|| invalid("is not there"))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| invalid("is no result of `appforge load -o json`").caused_by(error))?;
    Ok(report)
}

fn slug(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect()
}
