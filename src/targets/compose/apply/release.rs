//! `service.release`: runs once for each change of image or environment, before the first new replica. The labels of a volume
//! without data say what it last ran for, as they say whose the stack is.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use crate::error::{Failure, status_of};
use crate::stack::StoreKind;
use crate::stack::app::words;
use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::compose::plan::trial::RELEASE;
use crate::targets::compose::session::{Compose, Session};

/// The stack that a record is of.
const OF: &str = "appforge.release.stack";
const RELEASED: &str = "appforge.release";

impl Session<'_> {
    /// Runs the release command when `digest` of its words, which covers image and environment, changed since it last succeeded.
    /// The stores are ready then.
    ///
    /// # Errors
    /// Exit 1 with what it printed when it fails; the replicas that run stay.
    pub(crate) async fn release(&self, digest: impl Fn(&[String]) -> String) -> Result<()> {
        let (compose, engine) = (self.compose, &self.engine);
        let Some(command) = &compose.stack.service.release else { return Ok(()) };
        let words = words(command, compose.stack.app_port());
        let digest = digest(&words);
        let records = compose.releases(engine).await?;
        // A record that a crash left beside the last one says nothing.
        if let [record] = &records[..]
            && record.labels.get(RELEASED) == Some(&digest)
        {
            return Ok(());
        }
        let stores: Vec<&str> = compose.stores().into_iter().map(StoreKind::as_str).collect();
        if !stores.is_empty() {
            self.compose_up(&[&["--no-deps", "--wait"], &stores[..]].concat()).await?;
        }
        (self.say)("running service.release");
        let name = compose.trial_name(RELEASE);
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        let head = ["run", "--rm", "--no-deps", "--no-TTY", "--name", &name, compose.service()];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.cli.run_shown(&[&head[..], &words].concat(), self.deadline, self.say).await;
        engine.stop_and_remove(&name, Duration::ZERO).await?;
        ran.map_err(|error| {
            Failure::new(status_of(&error), "service.release failed; the replicas that run stay")
                .hint("fix the command, then run `appforge up` again")
                .caused_by(error)
        })?;
        compose.record_release(engine, &digest, records).await
    }
}

impl Compose {
    async fn record_release(&self, engine: &Engine, digest: &str, before: Vec<Volume>) -> Result<()> {
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
