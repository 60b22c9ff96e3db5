//! `down`: ends the containers, and removes the data when that is asked for.

use anyhow::Result;
use bollard::query_parameters::RemoveVolumeOptions;

use crate::targets::compose::session::Session;

impl Session<'_> {
    /// Ends the stack: gateway, replicas, stores, in this order. Data stays unless `volumes`. Returns how many containers ended.
    ///
    /// # Errors
    /// When engine or Compose fail, or the deadline passes.
    pub(crate) async fn down(&self, volumes: bool) -> Result<usize> {
        let (compose, engine) = (self.compose, &self.engine);
        compose.remove_trials(engine).await?;
        compose.forget_previous()?;
        let there = engine.containers(compose.project()).await?.len();
        let mut arguments = vec!["down", "--remove-orphans"];
        if volumes {
            arguments.push("--volumes");
        }
        if compose.folder.join("docker-compose.yml").is_file() {
            self.cli.run(&arguments, self.deadline, self.say).await?;
        } else {
            self.cli.run_by_labels(&arguments, self.deadline, self.say).await?;
        }
        if volumes {
            // A store that no document names any more left its volume behind.
            for volume in engine.volumes(compose.project()).await? {
                engine.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await?;
            }
            compose.forget_store_credentials()?;
            compose.record_scale(engine, None).await?;
            compose.forget_release(engine).await?;
            compose.forget_owner(engine).await?;
        }
        Ok(there)
    }
}
