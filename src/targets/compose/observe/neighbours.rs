//! The other stacks on the engine: whose a port is, and what was left running under a former name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use bollard::query_parameters::ListContainersOptionsBuilder;

use crate::error::Failure;
use crate::targets::compose::observe::engine::Engine;
use crate::targets::compose::session::Compose;
use crate::targets::port::taken_by;

const PROJECT: &str = "com.docker.compose.project";
const FOLDER: &str = "com.docker.compose.project.working_dir";

/// Another stack that runs.
#[derive(Debug)]
pub(crate) struct Neighbour {
    name: String,
    /// Whether it was made from the documents of this very folder: the stack had another name then.
    is_former: bool,
    ports: BTreeSet<u16>,
}

impl Neighbour {
    fn stop(&self) -> String {
        if self.is_former {
            format!("APPFORGE_NAME={} appforge down --target compose", self.name)
        } else {
            format!("docker compose -p {} down", self.name)
        }
    }
}

impl Compose {
    /// The other stacks that run on the engine.
    pub(crate) async fn neighbours(&self, engine: &Engine) -> Result<Vec<Neighbour>> {
        let own = std::fs::canonicalize(&self.folder).ok();
        let mut found: BTreeMap<String, Neighbour> = BTreeMap::new();
        let options = ListContainersOptionsBuilder::default().build();
        for container in engine.docker.list_containers(Some(options)).await? {
            let labels = container.labels.unwrap_or_default();
            let Some(name) = labels.get(PROJECT).filter(|name| *name != self.project()) else { continue };
            let folder = labels.get(FOLDER).and_then(|folder| std::fs::canonicalize(Path::new(folder)).ok());
            let fresh = || Neighbour { name: name.clone(), is_former: false, ports: BTreeSet::new() };
            let neighbour = found.entry(name.clone()).or_insert_with(fresh);
            neighbour.is_former |= folder.is_some() && folder == own;
            neighbour
                .ports
                .extend(container.ports.unwrap_or_default().iter().filter_map(|port| port.public_port));
        }
        Ok(found.into_values().collect())
    }
}

/// The failure of a port that one of these stacks has.
pub(crate) fn holder(neighbours: &[Neighbour], port: u16, setting: &str) -> Option<Failure> {
    let neighbour = neighbours.iter().find(|neighbour| neighbour.ports.contains(&port))?;
    let name = if neighbour.is_former {
        format!("`{}`, the former name of this one", neighbour.name)
    } else {
        format!("`{}`", neighbour.name)
    };
    Some(taken_by(port, &name, &neighbour.stop(), setting))
}

/// What is left running under a former name, one sentence each.
pub(crate) fn left_running(neighbours: &[Neighbour]) -> impl Iterator<Item = String> {
    neighbours.iter().filter(|neighbour| neighbour.is_former).map(|neighbour| {
        let stop = neighbour.stop();
        format!("the stack `{}`, the former name of this one, still runs; `{stop}` stops it", neighbour.name)
    })
}
