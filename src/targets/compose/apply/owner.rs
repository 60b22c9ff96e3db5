//! Whose a stack on Docker is. The labels of a volume say so, one that holds no data: Compose recreates whatever its documents
//! describe when a label changes, and nothing of a running stack is to change with its owner.

use std::path::Path;

use anyhow::Result;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use crate::targets::compose::observe::{Engine, is_missing};
use crate::targets::compose::session::Compose;
use crate::targets::ownership::{Owner, Scope};
use crate::targets::progress::Say;

const STACK: &str = "appforge.stack";
const ID: &str = "appforge.id";
const FOLDER: &str = "appforge.folder";
const USER: &str = "appforge.user";

impl Compose {
    /// The engine, once it is sure that the stack of this name on it is this project's, or has no owner yet.
    ///
    /// # Errors
    /// Exit 4 when the engine cannot be reached, exit 1 when the stack is another project's.
    pub(crate) async fn engine(&self) -> Result<Engine> {
        let engine = Engine::connect().await?;
        let owner = self.owner(&engine).await?;
        self.claim.check("compose", self.project(), owner.as_ref(), Scope::Folder)?;
        Ok(engine)
    }

    /// Whether the data there is this project's own.
    pub(crate) async fn is_owner(&self, engine: &Engine) -> Result<bool> {
        self.owner(engine).await?.map_or(Ok(false), |owner| self.claim.is_owner(&owner))
    }

    /// Records this project as the owner.
    ///
    /// # Errors
    /// When another project was faster, the engine refuses, or the identity cannot be kept.
    pub(crate) async fn record_owner(&self, engine: &Engine, say: Say<'_>) -> Result<()> {
        let before = self.owner(engine).await?;
        let own = match &before {
            Some(owner) => self.claim.is_owner(owner)?,
            None => false,
        };
        let wanted = self.claim.settle(before.as_ref())?;
        let marked = self.marked(engine).await?;
        if marked.as_ref() == Some(&wanted) {
            return Ok(());
        }
        if marked.is_some() {
            self.forget_owner(engine).await?;
        }
        if let Some(before) = before.filter(|_| !own) {
            say(&format!("this folder has taken over the stack of `{}`", before.folder));
        }
        let labels = [
            (STACK, self.project()),
            (ID, wanted.id.as_deref().unwrap_or_default()),
            (FOLDER, &wanted.folder),
            (USER, &wanted.user),
        ];
        let request = VolumeCreateRequest {
            name: Some(self.marker()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            ..VolumeCreateRequest::default()
        };
        // One that another command made meanwhile stays as it is.
        engine.docker.create_volume(request).await?;
        let owner = self.marked(engine).await?;
        self.claim.clone().taking_over(false).check("compose", self.project(), owner.as_ref(), Scope::Folder)
    }

    /// Removes the record, with the data that it is about.
    pub(crate) async fn forget_owner(&self, engine: &Engine) -> Result<()> {
        match engine.docker.remove_volume(&self.marker(), None::<RemoveVolumeOptions>).await {
            Err(error) if !is_missing(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The owner of what is there. Where nothing is, a record means nothing; an earlier build recorded the folder alone.
    async fn owner(&self, engine: &Engine) -> Result<Option<Owner>> {
        let containers = engine.containers(self.project()).await?;
        if containers.is_empty() && engine.volumes(self.project()).await?.is_empty() {
            return Ok(None);
        }
        if let Some(owner) = self.marked(engine).await? {
            return Ok(Some(owner));
        }
        let documents = containers.iter().find_map(|container| container.documents.as_deref());
        let project = documents.and_then(|folder| Path::new(folder).parent()?.parent());
        Ok(project.map(|folder| Owner { folder: folder.display().to_string(), ..Owner::default() }))
    }

    /// What the record says.
    async fn marked(&self, engine: &Engine) -> Result<Option<Owner>> {
        let volume = match engine.docker.inspect_volume(&self.marker()).await {
            Err(error) if is_missing(&error) => return Ok(None),
            other => other?,
        };
        let label = |name: &str| volume.labels.get(name).cloned();
        Ok(label(ID).map(|id| Owner {
            id: Some(id),
            folder: label(FOLDER).unwrap_or_default(),
            user: label(USER).unwrap_or_default(),
        }))
    }

    /// The volume with the record. It does not belong to the Compose project, whose volumes hold data.
    fn marker(&self) -> String {
        format!("{}_appforge-owner", self.project())
    }
}
