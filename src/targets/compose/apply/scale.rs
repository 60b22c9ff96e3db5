//! The number of replicas that `scale` set on Docker. The labels of a volume without data keep it, as they keep the owner. Labels
//! never change, so each number has a volume of its own and the latest holds: a crash loses none.

use std::collections::HashMap;

use anyhow::Result;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::compose::session::Compose;
use crate::targets::scaled::Scaled;

/// The stack that a record is of.
const OF: &str = "appforge.scaled.stack";
const SCALED: &str = "appforge.scaled";

impl Compose {
    /// The number that `scale` recorded.
    ///
    /// # Errors
    /// When the engine does not answer; exit 3 when a record holds what `scale` never writes.
    pub(crate) async fn recorded_scale(&self, engine: &Engine) -> Result<Option<Scaled>> {
        let read = |volume: Volume| {
            let text = volume.labels.get(SCALED).map_or("", String::as_str);
            Scaled::parse(text, &format!("the label `{SCALED}` of the volume `{}`", volume.name))
        };
        let records: Vec<Scaled> =
            self.records(engine).await?.into_iter().map(read).collect::<Result<_>>()?;
        Ok(records.into_iter().max_by_key(Scaled::at))
    }

    /// Records the number that `scale` set, or that it set none.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn record_scale(&self, engine: &Engine, scaled: Option<&Scaled>) -> Result<()> {
        let before = self.records(engine).await?;
        let mut made = None;
        if let Some(scaled) = scaled {
            let name = format!("{}_appforge-scaled-{}", self.project(), scaled.at());
            let labels = [(OF.to_owned(), self.project().to_owned()), (SCALED.to_owned(), scaled.text()?)];
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(labels.into()),
                ..VolumeCreateRequest::default()
            };
            engine.docker.create_volume(request).await?;
            made = Some(name);
        }
        for volume in before.into_iter().filter(|volume| made.as_ref() != Some(&volume.name)) {
            match engine.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                Err(error) if !is_missing(&error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn records(&self, engine: &Engine) -> Result<Vec<Volume>> {
        let filters = HashMap::from([("label", vec![format!("{OF}={}", self.project())])]);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        Ok(engine.docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default())
    }
}
