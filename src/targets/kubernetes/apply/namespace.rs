//! The namespace of a first `up`. It is made before the lease, which lies in it: nothing else is.

use anyhow::Result;

use crate::render::Overrides;
use crate::targets::kubernetes::client::{Cluster, MANAGER, Object, apply};
use crate::targets::kubernetes::observe::{NamespaceState, namespace_state};
use crate::targets::kubernetes::session::Kubernetes;
use crate::targets::progress::Say;

impl Kubernetes {
    /// Makes the namespace for the lease of `up` when it is missing. One that is being deleted is waited for.
    ///
    /// # Errors
    /// What `up` would fail with before its first change, as far as it needs no look at the stack's objects; exit 9 when the
    /// namespace is still being deleted; when it may not be created.
    pub(crate) async fn begin_namespace(&self, cluster: &Cluster, say: Say<'_>) -> Result<()> {
        self.variables_of_file()?;
        self.image(cluster)?;
        let objects = self.documents(cluster, Overrides::default()).await?;
        let (state, _) = namespace_state(cluster, self.name(), say).await?;
        if state != NamespaceState::Missing {
            return Ok(());
        }
        self.session(cluster.clone(), say).check_references().await?;
        let namespace = objects.iter().find(|object| object.kind.name() == "Namespace");
        self.make_namespace(cluster, namespace).await
    }

    /// Applies the namespace, where the documents have one, and notes that it is this command's work.
    pub(crate) async fn make_namespace(&self, cluster: &Cluster, namespace: Option<&Object>) -> Result<()> {
        if let Some(namespace) = namespace {
            apply(cluster, namespace, MANAGER, false).await?;
            self.made_namespace.get_or_init(|| ());
        }
        Ok(())
    }
}
