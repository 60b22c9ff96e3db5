//! The variables of `service.env_file` in the cluster: a Secret, with an immutable copy for each content that a revision was made
//! with. Another content has another name, so it replaces the replicas, and an earlier revision comes back with its own.

use anyhow::Result;

use crate::render::context::kubernetes::names;
use crate::targets::env_file;
use crate::targets::kubernetes::apply::documents::is_service;
use crate::targets::kubernetes::apply::mounted::{self, TEMPLATE};
use crate::targets::kubernetes::apply::secrets::{Credentials, copy_of, key_of, keyed_digest};
use crate::targets::kubernetes::client::Object;
use crate::targets::kubernetes::session::Kubernetes;

/// The variables, in the order of the file.
pub(crate) type Variables = Vec<(String, String)>;

impl Kubernetes {
    /// The variables of the file; `None` when the stack names none.
    ///
    /// # Errors
    /// Exit 3 when the file is missing, malformed, or another user's to change.
    pub(crate) fn variables_of_file(&self) -> Result<Option<Variables>> {
        let name = self.stack.service.env_file.as_deref();
        name.map(|name| env_file::read(name, &self.project)).transpose()
    }

    /// Lets the Deployment among `objects` name the copy with these variables, and adds both Secrets.
    pub(crate) fn add_variables(
        &self,
        variables: &Variables,
        credentials: &Credentials,
        objects: &mut Vec<Object>,
    ) -> Result<()> {
        let (service, name) = (names::service(&self.stack), names::env_file(&self.stack));
        let key = credentials.contents.get(&service).map(key_of).unwrap_or_default();
        let parts = variables.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let digest = keyed_digest(key, parts)?;
        let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let secret = self.secret_object(&name, pairs)?;
        let copy = copy_of(&secret, &digest);
        let deployment = objects.iter_mut().find(|object| is_service(object, &service));
        if let Some(template) = deployment.and_then(|deployment| deployment.value.pointer_mut(TEMPLATE)) {
            mounted::rename(template, &name, &copy.name);
        }
        objects.extend([secret, copy]);
        Ok(())
    }
}
