//! A stack on the Compose target by the façade, with the number of replicas as an argument.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use appforge::output::{Format, Output, Talk};
use appforge::stack::{Stack, TargetKind};
use appforge::targets::change::{Change, Judge};
use appforge::targets::finding::Finding;
use appforge::targets::logs::{Line, LogsRequest};
use appforge::targets::plan::Plan;
use appforge::targets::status::Status;
use appforge::targets::subject::Subject;
use appforge::targets::{Place, Target};

type Say<'a> = &'a dyn Fn(&str);

pub(crate) struct Compose {
    state_folder: PathBuf,
    stack: Stack,
    templates: BTreeMap<String, String>,
}

impl Compose {
    pub(crate) fn new(state_folder: &Path, stack: &Stack, templates: BTreeMap<String, String>) -> Self {
        Self { state_folder: state_folder.to_owned(), stack: stack.clone(), templates }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.state_folder.join("compose")
    }

    fn target(&self, replicas: u32) -> Target {
        let place = Place {
            folder: self.state_folder.parent().unwrap().to_owned(),
            state_folder: self.state_folder.clone(),
            has_file: false,
            take_over: false,
            context: None,
            out: Output::new(Format::Table, Talk::Normal, true),
        };
        let stack = self.stack.clone().with_replicas_on(TargetKind::Compose, replicas);
        Target::open(place, stack, || Ok(self.templates.clone())).unwrap()
    }

    pub(crate) async fn up(&self, replicas: u32, timeout: Duration, _: Say<'_>) -> Result<(Plan, Status)> {
        // On the heap: a test has many of them, and its thread a small stack.
        let target = self.target(replicas);
        let outcome = Box::pin(target.up(&Change::within(timeout))).await?;
        Ok((outcome.plan, outcome.status))
    }

    pub(crate) async fn restart(&self, timeout: Duration, _: Say<'_>) -> Result<(Plan, Status)> {
        let target = self.target(1);
        let outcome = Box::pin(target.restart(&Change::within(timeout))).await?;
        Ok((outcome.plan, outcome.status))
    }

    pub(crate) async fn diff(&self, replicas: u32) -> Result<Plan> {
        Box::pin(self.target(replicas).plan(&Change::within(Duration::ZERO), Judge::Server)).await
    }

    pub(crate) async fn down(&self, volumes: bool, _: Duration, _: Say<'_>) -> Result<()> {
        Box::pin(self.target(1).down(volumes, |_| Ok(true))).await.map(drop)
    }

    /// The volumes that `down --volumes` would remove; nothing is removed.
    pub(crate) async fn volumes(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let refuse = |loss: &appforge::targets::change::Loss| {
            let volume = |line: &String| line.trim_start_matches("data: the volume ").to_owned();
            found = loss.lines.iter().map(volume).collect();
            Ok(false)
        };
        Box::pin(self.target(1).down(true, refuse)).await?;
        Ok(found)
    }

    pub(crate) async fn running(&self) -> Result<()> {
        self.target(1).scale(&Change::within(Duration::ZERO)).await.map(drop)
    }

    pub(crate) async fn status(&self, replicas: u32) -> Result<Status> {
        Box::pin(self.target(replicas).status()).await
    }

    pub(crate) async fn subject(&self, replicas: u32) -> Result<Subject> {
        Box::pin(self.target(replicas).subject()).await
    }

    pub(crate) async fn doctor(&self) -> Vec<Finding> {
        self.target(1).doctor().await.unwrap()
    }

    pub(crate) async fn logs(
        &self,
        request: &LogsRequest,
        mut sink: impl FnMut(Line) -> Result<bool>,
    ) -> Result<()> {
        let mut each = |lines: Vec<Line>| {
            for line in lines {
                if !sink(line)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        self.target(1).logs(request, &mut each).await
    }
}
