//! Secrets of the user's own that pods see, by a patch or a template: they are watched by a digest, never copied.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::render::context::kubernetes::names;
use crate::targets::kubernetes::apply::mounted::{self, TEMPLATE};
use crate::targets::kubernetes::apply::secrets::{Credentials, key_of, keyed_digest};
use crate::targets::kubernetes::client::{Cluster, Kind, Object, api, is_forbidden, received};
use crate::targets::kubernetes::observe::Inventory;
use crate::targets::kubernetes::session::Session;

impl Session<'_> {
    /// Notes on each workload what the user's own Secrets hold that its pods see: another content replaces the pods.
    ///
    /// # Errors
    /// When the cluster cannot be reached. A Secret that may not be read leaves the note as it is.
    pub(crate) async fn watch_own_secrets(
        &self,
        inventory: &Inventory,
        credentials: &Credentials,
        objects: &mut [Object],
    ) -> Result<()> {
        let cluster = &self.cluster;
        let mut ours: BTreeSet<String> = credentials.contents.keys().cloned().collect();
        ours.insert(names::env_file(self.stack));
        let key = credentials.contents.get(&names::service(self.stack)).map(key_of);
        for object in objects {
            let names = mounted::foreign(object, &ours);
            if names.is_empty() {
                continue;
            }
            let note = match contents(cluster, names).await? {
                Some(parts) => Some(keyed_digest(key.unwrap_or_default(), parts.iter().map(String::as_str))?),
                None => {
                    inventory.find(&object.kind, &object.name).and_then(mounted::noted_own).map(str::to_owned)
                }
            };
            if let (Some(note), Some(template)) = (note, object.value.pointer_mut(TEMPLATE)) {
                mounted::note(template, names::OWN_SECRETS, &note);
            }
        }
        Ok(())
    }
}

/// The names, keys and values of Secrets; `None` when one may not be read. One that is not there holds nothing.
async fn contents(cluster: &Cluster, names: Vec<String>) -> Result<Option<Vec<String>>> {
    let kind = Kind::find("v1", "Secret").context("Secrets are a known kind")?;
    let api = api(cluster, &kind);
    let mut parts = Vec::new();
    for name in names {
        let doing = crate::targets::kubernetes::client::fault::Doing::one(
            "get",
            "secrets",
            &name,
            Some(&cluster.namespace),
        );
        let found = match cluster.find(doing, || api.get(&name)).await {
            Err(error) if is_forbidden(&error) => return Ok(None),
            other => other?,
        };
        parts.push(name);
        let Some(found) = found else { continue };
        // Keys come in their order; values as the API writes them, in base64.
        for (key, value) in
            received(&kind, found)?.at("/data").and_then(Value::as_object).into_iter().flatten()
        {
            parts.push(key.clone());
            parts.push(value.as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(Some(parts))
}
