//! `service.release`: runs once for each change of image or environment, before the first new replica. The labels of a volume
//! without data say what it last ran for, as they say whose the stack is. The container of the command outlives the
//! `appforge up` that began it: whichever command comes next waits for it and reads its exit code.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{
    ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveVolumeOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::error::ExitStatus;
use crate::stack::StoreKind;
use crate::stack::app::words;
use crate::stack::values::CommandLine;
use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::compose::plan::trial::{Present, RELEASE};
use crate::targets::compose::session::{Compose, Session};
use crate::targets::release::{failure, running, still_running};

/// The stack that a record is of.
const OF: &str = "appforge.release.stack";
/// What a record, or a container, is for.
const RELEASED: &str = "appforge.release";
/// Which command made a container.
const MADE_BY: &str = "appforge.release.by";
/// Lines that a failure shows.
const SHOWN: usize = 20;
/// A container that was made and not started after this long will not be started by the command that made it.
const STARTING: Duration = Duration::from_secs(30);
/// Between two looks at a container that another command is about to start.
const LOOK: Duration = Duration::from_millis(500);

/// A release command that has to run.
pub(crate) struct Release<'a> {
    command: &'a CommandLine,
    words: Vec<String>,
    /// What it is for.
    digest: String,
}

impl Session<'_> {
    /// The release command, when `digest` of its words, which covers image and environment, changed since it last succeeded.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(crate) async fn due_release(
        &self,
        digest: impl Fn(&[String]) -> String,
    ) -> Result<Option<Release<'_>>> {
        let Some(command) = &self.compose.stack.service.release else { return Ok(None) };
        let words = words(command, self.compose.stack.app_port());
        let release = Release { command, digest: digest(&words), words };
        Ok(if self.is_released(&release).await? { None } else { Some(release) })
    }

    /// Runs a release command once the stores are ready, or waits for the container in which another command runs it.
    ///
    /// # Errors
    /// Exit 1 with what it printed when it fails; exit 9 when it does not end in time. The replicas that run stay.
    pub(crate) async fn release(&self, release: &Release<'_>) -> Result<()> {
        let stores: Vec<&str> = self.compose.stores().into_iter().map(StoreKind::as_str).collect();
        if !stores.is_empty() {
            self.compose_up(&[&["--no-deps", "--wait"], &stores[..]].concat()).await?;
        }
        (self.say)(&running(release.command));
        match tokio::time::timeout_at(self.deadline, Box::pin(self.run_release(release))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(still_running(release.command, "").into()),
        }
    }

    async fn run_release(&self, release: &Release<'_>) -> Result<()> {
        let (compose, engine) = (self.compose, &self.engine);
        let mut random = [0; 8];
        getrandom::fill(&mut random).context("the system gave no randomness")?;
        let by = hex::encode(random);
        let (mut began, mut idle) = (false, None);
        // Another command on this engine may do the same at each step; what it has done counts.
        while !self.is_released(release).await? {
            let Some(found) = compose.trial(engine, RELEASE).await? else {
                began = self.start_release(release, &by).await?;
                continue;
            };
            if !found.is_started {
                let since = *idle.get_or_insert_with(Instant::now);
                if since.elapsed() > STARTING {
                    engine.stop_and_remove(&found.id, Duration::ZERO).await?;
                } else {
                    tokio::time::sleep(LOOK).await;
                }
                continue;
            }
            idle = None;
            let is_this = found.labels.get(RELEASED) == Some(&release.digest);
            // What an earlier command left behind may have failed for a reason that is gone.
            let is_useful = is_this && (began || found.exit_code == Some(0));
            let mut ended = None;
            if found.is_running || is_useful {
                if !is_this {
                    (self.say)("waiting for the release command of an earlier change");
                }
                ended = self.follow(&found).await?.filter(|_| is_this);
            }
            if matches!(ended, Some((0, _))) {
                // Before the container goes: a command that finds neither would run it again.
                compose.record_release(engine, &release.digest).await?;
            }
            engine.stop_and_remove(&found.id, Duration::ZERO).await?;
            if let Some((code, printed)) = ended.filter(|(code, _)| *code != 0) {
                let what = format!("ended with exit status {code}");
                return Err(failure(release.command, ExitStatus::Failed, &what, &printed).into());
            }
        }
        Ok(())
    }

    /// Starts the container; whether it is that of this command, and not one that another command made meanwhile.
    async fn start_release(&self, release: &Release<'_>, by: &str) -> Result<bool> {
        let (compose, name) = (self.compose, self.compose.trial_name(RELEASE));
        let labels = [(RELEASED, release.digest.as_str()), (MADE_BY, by)];
        let labels = labels.map(|(label, value)| format!("{label}={value}"));
        let mut all = vec!["run", "--detach", "--no-deps", "--no-TTY", "--name", &name];
        all.extend(labels.iter().flat_map(|label| ["--label", label]));
        all.push(compose.service());
        all.extend(release.words.iter().map(String::as_str));
        let Err(error) = self.cli.run(&all, self.deadline, &|_| {}).await else { return Ok(true) };
        match compose.trial(&self.engine, RELEASE).await? {
            Some(other) if other.labels.get(MADE_BY).is_none_or(|maker| maker != by) => Ok(false),
            found => {
                if let Some(found) = found {
                    self.engine.stop_and_remove(&found.id, Duration::ZERO).await?;
                }
                let status = crate::error::status_of(&error);
                Err(failure(release.command, status, "cannot start", &[]).caused_by(error).into())
            }
        }
    }

    /// Reports what a container prints until it ends: its exit code and its last lines. `None` when it was removed.
    async fn follow(&self, container: &Present) -> Result<Option<(i64, Vec<String>)>> {
        let docker = &self.engine.docker;
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        let mut log = docker.logs(&container.id, Some(options));
        let (mut rest, mut lines) = (String::new(), Vec::new());
        let mut report = |line: &str| {
            (self.say)(line);
            lines.push(line.to_owned());
            if lines.len() > SHOWN {
                lines.remove(0);
            }
        };
        // The exit code counts, also where the log cannot be read any further.
        while let Some(Ok(part)) = log.next().await {
            rest.push_str(&part.to_string());
            while let Some((line, more)) = rest.split_once('\n') {
                report(line.trim_end());
                rest = more.to_owned();
            }
        }
        if !rest.is_empty() {
            report(&rest);
        }
        match docker.wait_container(&container.id, None::<WaitContainerOptions>).next().await {
            Some(Ok(ended)) => Ok(Some((ended.status_code, lines))),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(Some((code, lines))),
            Some(Err(error)) if !is_missing(&error) => Err(error.into()),
            _ => Ok(None),
        }
    }

    async fn is_released(&self, release: &Release<'_>) -> Result<bool> {
        // A record that a crash left beside the last one says nothing.
        let records = self.compose.releases(&self.engine).await?;
        Ok(matches!(&records[..], [record] if record.labels.get(RELEASED) == Some(&release.digest)))
    }
}

impl Compose {
    async fn record_release(&self, engine: &Engine, digest: &str) -> Result<()> {
        let before = self.releases(engine).await?;
        let name = format!("{}_appforge-release-{}", self.project(), &digest[..12]);
        let labels = [(OF.to_owned(), self.project().to_owned()), (RELEASED.to_owned(), digest.to_owned())];
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels.into()),
            ..VolumeCreateRequest::default()
        };
        engine.docker.create_volume(request).await?;
        self.remove_releases(engine, before.into_iter().filter(|volume| volume.name != name)).await
    }

    /// Removes the record, with the data that the command worked on.
    pub(crate) async fn forget_release(&self, engine: &Engine) -> Result<()> {
        let records = self.releases(engine).await?;
        self.remove_releases(engine, records.into_iter()).await
    }

    async fn remove_releases(&self, engine: &Engine, volumes: impl Iterator<Item = Volume>) -> Result<()> {
        for volume in volumes {
            match engine.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                Err(error) if !is_missing(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn releases(&self, engine: &Engine) -> Result<Vec<Volume>> {
        let filters = HashMap::from([("label", vec![format!("{OF}={}", self.project())])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        Ok(engine.docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default())
    }
}
