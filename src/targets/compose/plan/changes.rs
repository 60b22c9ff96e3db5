//! What `up` would do: the documents against the containers that run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::render::Document;
use crate::render::context::compose::BUNDLED_IMAGE;
use crate::stack::ComponentKind;
use crate::targets::compose::apply::converge::of_kind;
use crate::targets::compose::apply::credentials::Credentials;
use crate::targets::compose::apply::image;
use crate::targets::compose::observe::Container;
use crate::targets::compose::session::Compose;
use crate::targets::compose::session::Session;
use crate::targets::plan::{Action, Plan};

/// What each component should be.
pub(crate) struct Wanted {
    components: BTreeMap<String, Component>,
    /// The folder of the documents, without links.
    folder: PathBuf,
}

struct Component {
    hash: String,
    image: String,
    image_id: Option<String>,
    environment: BTreeMap<String, String>,
}

impl Wanted {
    /// The image of a component, as the documents name it.
    pub(crate) fn image(&self, kind: ComponentKind) -> Option<&str> {
        self.components.get(kind.as_str()).map(|component| component.image.as_str())
    }

    /// What a release is for: the image and the environment of the service, and the command.
    pub(crate) fn release_digest(&self, words: &[String]) -> String {
        let mut digest = Sha256::new();
        if let Some(service) = self.components.get(ComponentKind::Service.as_str()) {
            digest.update(service.image_id.as_deref().unwrap_or(&service.image));
            for (name, value) in &service.environment {
                digest.update(format!("\0{name}={value}"));
            }
        }
        for word in words {
            digest.update(format!("\0{word}"));
        }
        hex::encode(digest.finalize())
    }

    /// Whether a container is what it should be.
    pub(crate) fn is_current(&self, container: &Container) -> bool {
        self.components
            .get(&container.component)
            .is_some_and(|component| self.causes(component, container).is_empty())
    }

    /// The folder that a container reads its files from, when that is not ours: the project was renamed, and Compose does not
    /// compare paths.
    pub(crate) fn left_folder<'c>(&self, container: &'c Container) -> Option<&'c str> {
        let folder = container.documents.as_deref();
        folder.filter(|folder| std::fs::canonicalize(folder).ok().as_ref() != Some(&self.folder))
    }

    fn causes(&self, component: &Component, container: &Container) -> Vec<String> {
        let mut causes = component.causes(container);
        if let Some(left) = self.left_folder(container) {
            causes.push(format!("folder: {left} -> {}", self.folder.display()));
        }
        causes
    }
}

impl Component {
    /// Why a container is not what it should be.
    fn causes(&self, container: &Container) -> Vec<String> {
        let mut causes = Vec::new();
        if container.image != self.image {
            causes.push(format!("image: {} -> {}", container.image, self.image));
        } else if self.image_id.as_ref().is_some_and(|id| *id != container.image_id) {
            causes.push(format!("image: another build of {}", self.image));
        }
        if container.config_hash == self.hash {
            return causes;
        }
        let now: BTreeMap<&str, &str> =
            container.environment.iter().filter_map(|entry| entry.split_once('=')).collect();
        for (name, value) in &self.environment {
            match now.get(name.as_str()) {
                // Values may be secret; names are not.
                Some(old) if old != value => causes.push(format!("environment: {name} changed")),
                None => causes.push(format!("environment: {name} added")),
                _ => {}
            }
        }
        if causes.is_empty() {
            causes.push("its part of docker-compose.yml changed".to_owned());
        }
        causes
    }
}

impl Session<'_> {
    /// What `up` would do; changes nothing.
    ///
    /// # Errors
    /// When engine or Compose cannot be reached.
    pub(crate) async fn diff(&self, documents: &[Document]) -> Result<Plan> {
        let (compose, engine) = (self.compose, &self.engine);
        let mut wanted = self.wanted(documents).await?;
        if let Some(service) = wanted.components.get_mut(ComponentKind::Service.as_str())
            && service.image == BUNDLED_IMAGE
        {
            // The version's name may still mean an earlier build; `up` will move it.
            let id = image::current(engine, &compose.memory()).await?;
            service.image_id = Some(id.unwrap_or_else(|| "not loaded yet".to_owned()));
        }
        let containers = engine.containers(compose.project()).await?;
        Ok(compose.plan_of(&wanted, &containers))
    }

    /// What each component should be, by the documents and Compose's own hashes of them.
    pub(crate) async fn wanted(&self, documents: &[Document]) -> Result<Wanted> {
        let file = Document::find(documents, "docker-compose.yml");
        let text = file.map(|file| file.text.as_str()).unwrap_or_default();
        let value = file.and_then(|file| file.value.as_ref()).unwrap_or(&Value::Null);
        let filled = self.with_variables(value)?;
        let hashes = match &filled {
            Some(filled) => self.cli.hashes(&serde_json::to_string(filled)?, self.deadline).await?,
            None => self.cli.hashes(text, self.deadline).await?,
        };
        let value = filled.as_ref().unwrap_or(value);
        let mut components = BTreeMap::new();
        for (key, hash) in hashes {
            let service = &value["services"][&key];
            let component = service["labels"]["appforge.component"].as_str().unwrap_or(&key).to_owned();
            let image = service["image"].as_str().unwrap_or_default().to_owned();
            let environment = service["environment"].as_object().into_iter().flatten();
            components.insert(
                component,
                Component {
                    hash,
                    image_id: self.engine.image_id(&image).await?,
                    image,
                    environment: environment
                        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.replace("$$", "$"))))
                        .collect(),
                },
            );
        }
        let folder =
            std::fs::canonicalize(&self.compose.folder).unwrap_or_else(|_| self.compose.folder.clone());
        Ok(Wanted { components, folder })
    }
}

impl Session<'_> {
    /// The compose file with the variables of its files in their place, as containers have them: Compose leaves them out of its
    /// own hashes. `None` when it names no such file.
    pub(crate) fn with_variables(&self, file: &Value) -> Result<Option<Value>> {
        let mut file = file.clone();
        let services = file.get_mut("services").and_then(Value::as_object_mut);
        let services = services.into_iter().flatten().filter_map(|(_, service)| service.as_object_mut());
        let mut services = services.filter(|service| service.contains_key("env_file")).peekable();
        if services.peek().is_none() {
            return Ok(None);
        }
        let unrendered = self.compose.unrendered(&Credentials::of(self.compose)?)?;
        for service in services {
            let files = service.get("env_file").and_then(Value::as_array).cloned().unwrap_or_default();
            let known = files.iter().filter_map(|file| unrendered.of(file.as_str()?)).flatten();
            let mut environment = Map::new();
            for (name, value) in known {
                environment.insert(name.clone(), value.replace('$', "$$").into());
            }
            environment
                .extend(service.get("environment").and_then(Value::as_object).cloned().unwrap_or_default());
            service.remove("env_file");
            service.insert("environment".to_owned(), environment.into());
        }
        Ok(Some(file))
    }
}

impl Compose {
    /// What differs between the containers and what they should be.
    pub(crate) fn plan_of(&self, wanted: &Wanted, containers: &[Container]) -> Plan {
        let (mut plan, replicas) = (Plan::default(), self.stack.service.replicas);
        for (name, component) in &wanted.components {
            let is_service = name == ComponentKind::Service.as_str();
            let there: Vec<&Container> =
                containers.iter().filter(|container| container.component == *name).collect();
            if there.is_empty() {
                let several = is_service && replicas > 1;
                let causes = several.then(|| format!("{replicas} replicas")).into_iter().collect();
                plan.push(Action::Create, name.clone(), causes);
                continue;
            }
            let mut causes: Vec<String> = there
                .iter()
                .flat_map(|container| wanted.causes(component, container))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            causes.extend(
                there
                    .iter()
                    .filter(|container| !container.is_up())
                    .map(|container| format!("{} {}", container.name, container.complaint())),
            );
            if !causes.is_empty() {
                plan.push(Action::Restart, name.clone(), causes);
            }
            let running = of_kind(containers, ComponentKind::Service).count();
            if is_service && u32::try_from(running).is_ok_and(|running| running != replicas) {
                plan.push(Action::Change, name.clone(), vec![format!("replicas: {running} -> {replicas}")]);
            }
        }
        let gone: BTreeSet<&str> = containers
            .iter()
            .map(|container| container.component.as_str())
            .filter(|component| !wanted.components.contains_key(*component))
            .collect();
        for component in gone {
            plan.push(Action::Remove, component, vec!["no longer in the stack".to_owned()]);
        }
        plan
    }
}
