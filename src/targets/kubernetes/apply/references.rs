//! Addresses of stores that Secrets of the user's own hold: looked at before anything is applied, mounted where the others are,
//! never copied and never shown. `own_secrets` watches their content.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::error::{ExitStatus, Failure};
use crate::render::context::kubernetes::names;
use crate::stack::StoreKind;
use crate::stack::validate::stores::address_fault;
use crate::stack::values::{Secret, SecretKey};
use crate::targets::address::Address;
use crate::targets::finding::{Finding, Verdict};
use crate::targets::kubernetes::apply::mounted::{TEMPLATE, noted_own};
use crate::targets::kubernetes::apply::secrets::value_of;
use crate::targets::kubernetes::client::{Cluster, Doing, Kind, Object, api, is_forbidden, received};
use crate::targets::kubernetes::session::{Kubernetes, Session};

/// What is wrong with a reference.
struct Fault {
    /// Its path in the stack file.
    path: &'static str,
    /// What is wrong, without values.
    what: String,
    /// The next command.
    hint: String,
    /// The Secret may not be read, so that it may be sound.
    hidden: bool,
}

impl Kubernetes {
    /// What is wrong with the Secrets that hold addresses.
    async fn reference_faults(&self, cluster: &Cluster) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for (kind, reference) in self.stack.referenced() {
            faults.extend(fault(cluster, kind, reference).await?);
        }
        Ok(faults)
    }

    /// The same for `doctor`, with what is right.
    pub(crate) async fn reference_findings(&self, cluster: &Cluster) -> Vec<Finding> {
        let faults = match self.reference_faults(cluster).await {
            Ok(faults) => faults,
            Err(error) => return vec![Finding::bad("store addresses", &error)],
        };
        let finding = |(kind, reference): (StoreKind, &SecretKey)| {
            let path = Address::of(kind).path;
            match faults.iter().find(|fault| fault.path == path) {
                None => Finding::good(path, format!("the Secret `{}` has it", reference.secret)),
                Some(fault) => {
                    let verdict = if fault.hidden { Verdict::Warning } else { Verdict::Bad };
                    Finding::not_good(path, verdict, fault.what.clone(), fault.hint.clone())
                }
            }
        };
        self.stack.referenced().map(finding).collect()
    }
}

impl Session<'_> {
    /// Makes sure that the Secrets that hold addresses do.
    ///
    /// # Errors
    /// Exit 1 with each path and the command that makes what is missing. One that may not be read is only said.
    pub(crate) async fn check_references(&self) -> Result<()> {
        let faults = self.kubernetes.reference_faults(&self.cluster).await?;
        let (hidden, wrong): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(|fault| fault.hidden);
        for fault in &hidden {
            (self.say)(&format!("{}: {}", fault.path, fault.what));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> =
            wrong.iter().map(|fault| format!("\n  {}: {}", fault.path, fault.what)).collect();
        let message = format!("store addresses are incomplete, so nothing was applied:{}", lines.concat());
        let failure = Failure::new(ExitStatus::Failed, message);
        Err(wrong.into_iter().fold(failure, |failure, fault| failure.hint(fault.hint)).into())
    }
}

async fn fault(cluster: &Cluster, kind: StoreKind, reference: &SecretKey) -> Result<Option<Fault>> {
    let SecretKey { secret, key } = reference;
    let (context, namespace) = (&cluster.place.context, &cluster.namespace);
    let kubectl = format!("kubectl --context {context} -n {namespace}");
    let path = Address::of(kind).path;
    let fault = |what: String, hint: String| Ok(Some(Fault { path, what, hint, hidden: false }));
    let found = match read(cluster, secret).await {
        Err(error) if is_forbidden(&error) => {
            return Ok(Some(Fault {
                path,
                what: format!(
                    "the Secret `{secret}` may not be read, so a change of its content does not replace replicas"
                ),
                hint: format!(
                    "{kubectl} auth can-i get secret/{secret}; then run `appforge restart` after each change"
                ),
                hidden: true,
            }));
        }
        found => found?,
    };
    let Some(found) = found else {
        return fault(
            format!("the namespace `{namespace}` has no Secret `{secret}`"),
            format!("{kubectl} create secret generic {secret} --from-file={key}=FILE"),
        );
    };
    let edit = format!("{kubectl} edit secret {secret}");
    match value_of(&found.value, key)? {
        Some(value) => match address_fault(kind, value.reveal()) {
            Some(what) => fault(format!("the key `{key}` of the Secret `{secret}` {what}"), edit),
            None => Ok(None),
        },
        None => {
            let keys = found.at("/data").and_then(Value::as_object).into_iter().flatten();
            let keys: Vec<String> = keys.map(|(key, _)| format!("`{key}`")).collect();
            let has = if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") };
            fault(format!("the Secret `{secret}` has no value for `{key}`; it has {has}"), edit)
        }
    }
}

/// The Secret of this name; `None` when there is none.
async fn read(cluster: &Cluster, name: &str) -> Result<Option<Object>> {
    let kind = Kind::find("v1", "Secret").context("Secrets are a known kind")?;
    let api = api(cluster, &kind);
    let doing = Doing::one("get", "secrets", name, Some(&cluster.namespace));
    cluster.find(doing, || api.get(name)).await?.map(|found| received(&kind, found)).transpose()
}

/// The address that a Secret of the user's own holds, for a command that talks to the store itself.
///
/// # Errors
/// When the Secret cannot be read, or has no such key.
pub(crate) async fn value(cluster: &Cluster, reference: &SecretKey) -> Result<Secret> {
    let SecretKey { secret, key } = reference;
    let found = read(cluster, secret).await?;
    let value = found.map(|found| value_of(&found.value, key)).transpose()?.flatten();
    value.with_context(|| format!("the Secret `{secret}` has no value for `{key}`"))
}

/// The Secret of the user's own that the pods of a template mount as the file `path`; `None` when that is the stack's.
pub(crate) fn mounted(template: &Value, path: &str) -> Option<SecretKey> {
    let volumes = template.pointer("/spec/volumes")?.as_array()?;
    let stack = stack_secret(volumes);
    let sources =
        volumes.iter().filter_map(|volume| volume.pointer("/projected/sources")?.as_array()).flatten();
    sources.filter_map(|source| source.get("secret")).find_map(|secret| {
        let items = secret.get("items")?.as_array()?;
        let key = items.iter().find(|item| item["path"] == path)?.get("key")?.as_str()?;
        let own = secret.get("name").and_then(Value::as_str) != stack;
        own.then(|| Some(SecretKey { secret: secret["name"].as_str()?.to_owned(), key: key.to_owned() }))?
    })
}

/// The stack's Secret among volumes: the one that holds the key of simulated clients.
fn stack_secret(volumes: &[Value]) -> Option<&str> {
    let holds = |secret: &Value| {
        let mut items = secret["items"].as_array().into_iter().flatten();
        items.any(|item| item["path"] == names::PROBE_SECRET)
    };
    let plain = volumes.iter().filter_map(|volume| volume.get("secret")).map(|it| (it, "secretName"));
    let projected = volumes
        .iter()
        .filter_map(|volume| volume.pointer("/projected/sources")?.as_array())
        .flatten()
        .filter_map(|source| source.get("secret"))
        .map(|it| (it, "name"));
    plain
        .chain(projected)
        .find(|(secret, _)| holds(secret))
        .and_then(|(secret, name)| secret.get(name)?.as_str())
}

/// Marks the addresses that differ between two pod templates because of Secrets of the user's own.
pub(crate) fn mark_changes(addresses: &mut [Address], live: &Object, template: &Value) {
    let Some(running) = live.at(TEMPLATE) else { return };
    let noted = template.pointer("/metadata/annotations").and_then(|all| all.get(names::OWN_SECRETS));
    for address in addresses {
        match (mounted(running, address.key), mounted(template, address.key)) {
            (None, None) => {}
            (was, is) => address.changed = was != is || noted_own(live) != noted.and_then(Value::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mounted_file_is_traced_to_the_users_secret() {
        let item = |key: &str, path: &str| json!({"key": key, "path": path});
        let template = json!({"spec": {"volumes": [{"name": "credentials", "projected": {"sources": [
            {"secret": {"name": "shop-app-0", "items": [item("probe_secret", "probe_secret"), item("redis_url", "redis_url")]}},
            {"secret": {"name": "db", "items": [item("uri", "mongodb_uri")]}},
        ]}}]}});
        let db = SecretKey { secret: "db".into(), key: "uri".into() };
        assert_eq!(mounted(&template, "mongodb_uri"), Some(db));
        assert_eq!(mounted(&template, "redis_url"), None);
        assert_eq!(mounted(&json!({"spec": {}}), "mongodb_uri"), None);
    }
}
