//! Whose a stack on a cluster is. The annotations of one ConfigMap say so: nothing that runs is to change with its owner, and
//! the namespace may be another's to label. The number that `scale` set is there too. `down` leaves it, as it leaves data; `down --volumes` takes it.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::client::{
    Cluster, Doing, Kind, MANAGER, Object, apply, is_forbidden, object, received, remove,
};
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::ownership::{Owner, Scope};
use crate::targets::progress::Say;
use crate::targets::scaled::Scaled;

const ID: &str = "appforge.dev/id";
const FOLDER: &str = "appforge.dev/folder";
const USER: &str = "appforge.dev/user";
/// The number of replicas that `scale` set, on the same object.
const SCALED: &str = "appforge.dev/scaled";
/// Writes that annotation alone, and leaves it when the owner changes.
const SCALER: &str = "appforge-scale";

impl Kubernetes {
    /// Makes sure that the stack of this name is this project's, or has no owner yet.
    ///
    /// # Errors
    /// Exit 1 with the owner when it is another project's.
    pub(crate) async fn check_owner(&self, cluster: &Cluster) -> Result<()> {
        self.check_record(cluster, self.record(cluster).await?.as_ref())
    }

    fn check_record(&self, cluster: &Cluster, record: Option<&Object>) -> Result<()> {
        let place =
            format!("kubernetes (context {}, namespace {})", cluster.place.context, cluster.namespace);
        self.claim.check(&place, self.name(), record.and_then(owner).as_ref(), Scope::Id)
    }

    /// Records this project as the owner, if that is not recorded. A clone of the same project changes nothing.
    pub(crate) async fn record_owner(&self, cluster: &Cluster, say: Say<'_>) -> Result<()> {
        if !self.claim.is_recorded(Scope::Id) {
            return Ok(());
        }
        let before = self.record(cluster).await?.as_ref().and_then(owner);
        let owner = self.claim.settle(before.as_ref())?;
        if before.is_some_and(|before| before.id == owner.id) {
            return Ok(());
        }
        let record =
            self.new_record(cluster, &json!({ID: owner.id, FOLDER: owner.folder, USER: owner.user}))?;
        match apply(cluster, &record, MANAGER, true).await {
            // Rights that reach the stack's own objects and not further are no reason to stop.
            Err(error) if is_forbidden(&error) => {
                say(&format!("cannot record the owner of this stack: {error}"));
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// The number of replicas that `scale` recorded for this project's stack.
    ///
    /// # Errors
    /// When the cluster does not answer; exit 1 when the stack is another project's, exit 3 when the record holds what `scale`
    /// never writes.
    pub(crate) async fn recorded_scale(&self, cluster: &Cluster) -> Result<Option<Scaled>> {
        let record = self.record(cluster).await?;
        self.check_record(cluster, record.as_ref())?;
        let text = record.as_ref().and_then(|record| record.annotation(SCALED));
        let place = || format!("the annotation `{SCALED}` of configmap/{}", self.record_name());
        text.map(|text| Scaled::parse(text, &place())).transpose()
    }

    /// Records the number of replicas that `scale` set, or that it set none. `false` when the rights do not suffice.
    ///
    /// # Errors
    /// When the cluster refuses for another reason.
    pub(crate) async fn record_scale(&self, cluster: &Cluster, scaled: Option<&Scaled>) -> Result<bool> {
        let annotations = match scaled {
            Some(scaled) => json!({SCALED: scaled.text()?}),
            None if self.recorded_scale(cluster).await.is_ok_and(|recorded| recorded.is_none()) => {
                return Ok(true);
            }
            None => json!({}),
        };
        match apply(cluster, &self.new_record(cluster, &annotations)?, SCALER, true).await {
            Err(error) if is_forbidden(&error) => Ok(false),
            other => other.map(|_| true),
        }
    }

    fn new_record(&self, cluster: &Cluster, annotations: &Value) -> Result<Object> {
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
                "annotations": annotations,
            },
        });
        Object::new(config_map()?, value)
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

/// The recorded owner. An earlier build recorded none, and who may not read ConfigMaps sees none.
fn owner(record: &Object) -> Option<Owner> {
    let annotation = |name: &str| record.annotation(name).map(str::to_owned);
    annotation(ID).map(|id| Owner {
        id: Some(id),
        folder: annotation(FOLDER).unwrap_or_default(),
        user: annotation(USER).unwrap_or_default(),
    })
}

fn config_map() -> Result<Kind> {
    Kind::find("v1", "ConfigMap").context("ConfigMaps are a known kind")
}
