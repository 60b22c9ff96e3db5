//! Whose a stack on a cluster is. The annotations of one ConfigMap say so: nothing that runs is to change with its owner, and
//! the namespace may be another's to label. `down` leaves it, as it leaves data; `down --volumes` takes it.

use anyhow::{Context, Result};
use serde_json::json;

use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::client::{
    Cluster, Doing, Kind, MANAGER, Object, apply, is_forbidden, object, received, remove,
};
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::ownership::{Owner, Scope};
use crate::targets::progress::Say;

const ID: &str = "appforge.dev/id";
const FOLDER: &str = "appforge.dev/folder";
const USER: &str = "appforge.dev/user";

impl Kubernetes {
    /// Makes sure that the stack of this name is this project's, or has no owner yet.
    ///
    /// # Errors
    /// Exit 1 with the owner when it is another project's.
    pub(crate) async fn check_owner(&self, cluster: &Cluster) -> Result<()> {
        let owner = self.owner(cluster).await?;
        let place =
            format!("kubernetes (context {}, namespace {})", cluster.place.context, cluster.namespace);
        self.claim.check(&place, self.name(), owner.as_ref(), Scope::Id)
    }

    /// The recorded owner. An earlier build recorded none, and who may not read ConfigMaps sees none.
    async fn owner(&self, cluster: &Cluster) -> Result<Option<Owner>> {
        let Some(record) = self.record(cluster).await? else { return Ok(None) };
        let annotation = |name: &str| record.annotation(name).map(str::to_owned);
        Ok(annotation(ID).map(|id| Owner {
            id: Some(id),
            folder: annotation(FOLDER).unwrap_or_default(),
            user: annotation(USER).unwrap_or_default(),
        }))
    }

    /// Records this project as the owner, if that is not recorded. A clone of the same project changes nothing.
    pub(crate) async fn record_owner(&self, cluster: &Cluster, say: Say<'_>) -> Result<()> {
        if !self.claim.is_recorded(Scope::Id) {
            return Ok(());
        }
        let before = self.owner(cluster).await?;
        let owner = self.claim.settle(before.as_ref())?;
        if before.is_some_and(|before| before.id == owner.id) {
            return Ok(());
        }
        let value = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.record_name(),
                "namespace": cluster.namespace,
                "labels": {
                    "app.kubernetes.io/name": self.name(),
                    "app.kubernetes.io/part-of": self.name(),
                    "app.kubernetes.io/managed-by": names::MANAGER,
                },
                "annotations": {ID: owner.id, FOLDER: owner.folder, USER: owner.user},
            },
        });
        match apply(cluster, &Object::new(config_map()?, value)?, MANAGER, true).await {
            // Rights that reach the stack's own objects and not further are no reason to stop.
            Err(error) if is_forbidden(&error) => {
                say(&format!("the owner of this stack is not recorded: {error}"));
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Removes the record, with the data that it is about.
    pub(crate) async fn forget_owner(&self, cluster: &Cluster) -> Result<()> {
        match self.record(cluster).await? {
            Some(record) => remove(cluster, &record).await.map(drop),
            None => Ok(()),
        }
    }

    async fn record(&self, cluster: &Cluster) -> Result<Option<Object>> {
        let (kind, name) = (config_map()?, self.record_name());
        let api = object::api(cluster, &kind);
        let doing = Doing::one("get", &kind.qualified(), &name, Some(&cluster.namespace));
        match cluster.find(doing, || api.get(&name)).await {
            Err(error) if is_forbidden(&error) => Ok(None),
            other => other?.map(|found| received(&kind, found)).transpose(),
        }
    }

    /// It lacks the label by which the stack's objects are found: it does not run, and nothing prunes it.
    fn record_name(&self) -> String {
        format!("{}-owner", self.name())
    }
}

fn config_map() -> Result<Kind> {
    Kind::find("v1", "ConfigMap").context("ConfigMaps are a known kind")
}
