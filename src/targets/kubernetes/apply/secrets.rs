//! The Secrets of the cluster: made once, kept in the cluster and beside the project, never in a document, never shown.
//!
//! `NAME-app` also has an immutable copy for each content that a revision was made with, see `mounted`.
//!
//! What the cluster has counts: the machine of a colleague must not make new passwords for stores that have data. The copy
//! on this machine is for the case that a Secret is deleted and the volume behind it is not.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::error::{ExitStatus, Failure};
use crate::files;
use crate::render::context::kubernetes::names;
use crate::secrets::{Secrets, random};
use crate::stack::values::Secret;
use crate::stack::{ComponentKind, StoreKind};
use crate::targets::kubernetes::apply::mounted::{self, Mounted};
use crate::targets::kubernetes::client::{Cluster, Kind, Object};
use crate::targets::kubernetes::observe::Inventory;
use crate::targets::kubernetes::session::Kubernetes;

/// The keys of the service's Secret.
const SERVICE_KEYS: [&str; 4] =
    [names::APP_REDIS_URL, names::MONGODB_URI, names::PROBE_SECRET, names::REDIS_URL];

/// The values of one Secret, by key.
pub(crate) type Values = BTreeMap<&'static str, Secret>;
/// The Secrets of a stack: by object name, then by key.
pub(crate) type Contents = BTreeMap<String, Values>;

/// The secrets of one stack in one cluster, and where their copies lie.
pub(crate) struct Credentials {
    /// By object name, then by key.
    pub(crate) contents: Contents,
    /// The digest of what the service mounts.
    pub(crate) digest: String,
    copies: Secrets,
}

impl Credentials {
    /// Keeps copies of all on this machine.
    pub(crate) fn keep(&self) -> Result<()> {
        for (object, values) in &self.contents {
            for (key, value) in values {
                self.copies.keep(&file(object, key), value)?;
            }
        }
        Ok(())
    }
}

impl Kubernetes {
    /// The secrets: of the cluster, else of this machine, else new. Nothing is written.
    ///
    /// # Errors
    /// When a store's volume is there and its password is nowhere, or the system has no randomness.
    pub(crate) fn credentials(&self, cluster: &Cluster, inventory: &Inventory) -> Result<Credentials> {
        let stack = &self.stack;
        let copies = self.copies(cluster);
        let known = |object: &str, key: &'static str| -> Result<Option<Secret>> {
            match of_cluster(inventory, object, key)? {
                Some(secret) => Ok(Some(secret)),
                None => copies
                    .get(&file(object, key))
                    .map(|found| found.filter(|secret| !secret.reveal().is_empty())),
            }
        };
        let known_or_new = |object: &str, key: &'static str| known(object, key)?.map_or_else(random, Ok);
        let mut contents = Contents::new();
        let mut put = |object: &str, key: &'static str, secret: Secret| {
            contents.entry(object.to_owned()).or_default().insert(key, secret);
        };
        let (service, mongodb, redis) = (names::service(stack), names::mongodb(stack), names::redis(stack));
        put(&service, names::PROBE_SECRET, known_or_new(&service, names::PROBE_SECRET)?);
        let uri = match stack.external(StoreKind::Mongodb) {
            Some(address) => address.text().map(|uri| names::with_pool(stack, uri)),
            None => {
                let password = known(&mongodb, names::ROOT_PASSWORD)?;
                if password.is_none() {
                    refuse_lost_password(inventory, cluster, &mongodb)?;
                }
                let password = password.map_or_else(random, Ok)?;
                put(&mongodb, names::ROOT_PASSWORD, password.clone());
                put(&mongodb, names::KEYFILE, known_or_new(&mongodb, names::KEYFILE)?);
                Some(if stack.service.is_own() {
                    let password = known_or_new(&mongodb, names::APP_PASSWORD)?;
                    put(&mongodb, names::APP_PASSWORD, password.clone());
                    names::mongodb_uri(stack, &password)
                } else {
                    names::mongodb_uri(stack, &password)
                })
            }
        };
        // An address that a Secret of the user's own holds is never copied.
        if let Some(uri) = uri {
            put(&service, names::MONGODB_URI, uri);
        }
        let url = match stack.external(StoreKind::Redis) {
            Some(address) => address.text().cloned(),
            None => {
                let password = known_or_new(&redis, names::PASSWORD)?;
                put(&redis, names::PASSWORD, password.clone());
                Some(names::redis_url(stack, &password))
            }
        };
        if let Some(url) = url {
            if let Some(forwarded) = names::app_redis_url(stack, &url) {
                put(&service, names::APP_REDIS_URL, forwarded);
            }
            put(&service, names::REDIS_URL, url);
        }
        let digest = digest(contents.get(&service).context("the service has a Secret")?)?;
        Ok(Credentials { contents, digest, copies })
    }

    /// The secrets as objects, with the immutable copy of what the service mounts. A Deployment that still names
    /// `NAME-app` itself gets a copy of what that holds now, so that its revision can be brought back later.
    pub(crate) fn secret_objects(
        &self,
        credentials: &Credentials,
        inventory: &Inventory,
    ) -> Result<Vec<Object>> {
        let service = names::service(&self.stack);
        let mut objects = Vec::new();
        for (name, values) in &credentials.contents {
            objects.push(self.secret_object(name, plain(values))?);
        }
        let mounts_stable = inventory
            .named("Deployment", &service)
            .and_then(|live| live.at(mounted::TEMPLATE))
            .is_some_and(|template| Mounted::of(template, &service).stable);
        let mut copied = BTreeMap::new();
        if mounts_stable && let Some(values) = service_values(inventory, &service)? {
            copied.insert(digest(&values)?, values);
        }
        if let Some(values) = credentials.contents.get(&service) {
            copied.insert(credentials.digest.clone(), values.clone());
        }
        for (digest, values) in copied {
            objects.push(copy_of(&self.secret_object(&service, plain(&values))?, &digest));
        }
        Ok(objects)
    }

    /// A Secret of the stack.
    pub(crate) fn secret_object<'a>(
        &self,
        object: &str,
        values: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Object> {
        let kind = Kind::find("v1", "Secret").context("Secrets are a known kind")?;
        let name = self.name();
        let component = object.strip_prefix(&format!("{name}-")).unwrap_or(object);
        let of_service = [names::service(&self.stack), names::env_file(&self.stack)];
        let component = if of_service.iter().any(|name| name == object) {
            ComponentKind::Service.as_str()
        } else {
            component
        };
        let data: BTreeMap<&str, ByteString> =
            values.map(|(key, value)| (key, ByteString(value.as_bytes().to_vec()))).collect();
        let value = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": object,
                "namespace": self.stack.kubernetes.namespace.as_str(),
                "labels": {
                    "app.kubernetes.io/name": name,
                    names::INSTANCE_LABEL: object,
                    names::COMPONENT_LABEL: component,
                    "app.kubernetes.io/part-of": name,
                    "app.kubernetes.io/managed-by": names::MANAGER,
                    names::OWNER_LABEL: name,
                },
            },
            "type": "Opaque",
            "data": data,
        });
        Object::new(kind, value)
    }

    /// Forgets the copies on this machine, with the data they opened.
    pub(crate) fn forget_copies(&self, cluster: &Cluster) -> Result<()> {
        files::remove_private(&self.copies_folder(cluster))
    }

    fn copies(&self, cluster: &Cluster) -> Secrets {
        Secrets::of(&self.copies_folder(cluster))
    }

    /// Each namespace of each cluster has its own.
    fn copies_folder(&self, cluster: &Cluster) -> std::path::PathBuf {
        let clean = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let context: String = cluster.place.context.chars().map(clean).collect();
        self.folder.join(format!("{}@{}", cluster.namespace, context.trim_start_matches('.')))
    }
}

fn plain(values: &Values) -> impl Iterator<Item = (&str, &str)> {
    values.iter().map(|(key, value)| (*key, value.reveal()))
}

/// The immutable copy of a Secret, named after the digest of what it holds.
pub(crate) fn copy_of(secret: &Object, digest: &str) -> Object {
    let mut copy = secret.clone();
    copy.name = mounted::copy_name(&secret.name, digest);
    copy.set(&["metadata", "name"], copy.name.clone());
    copy.set(&["metadata", "labels", names::CREDENTIALS], digest);
    copy.set(&["immutable"], true);
    copy
}

/// The digest that names a content of the service's Secret. More people can read names and annotations
/// than Secrets, so it is an HMAC whose key is the stack's probe secret, 256 random bits, so that a weak password cannot be
/// guessed from it.
pub(crate) fn digest(values: &Values) -> Result<String> {
    let key = key_of(values);
    keyed_digest(key, values.iter().flat_map(|(name, value)| [*name, value.reveal()]))
}

/// The key of digests, of the service's Secret.
pub(crate) fn key_of(values: &Values) -> &str {
    values.get(names::PROBE_SECRET).map(Secret::reveal).unwrap_or_default()
}

/// An HMAC of parts, cut to [`mounted::DIGITS`].
pub(crate) fn keyed_digest<'a>(key: &str, parts: impl Iterator<Item = &'a str>) -> Result<String> {
    let mut hash = Hmac::<Sha256>::new_from_slice(key.as_bytes())?;
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut digits = hex::encode(hash.finalize().into_bytes());
    digits.truncate(mounted::DIGITS);
    Ok(digits)
}

/// What the cluster's Secret of the service of this name holds; `None` without one that any service could run with. An address
/// that it lacks is in a Secret of the user's own.
pub(crate) fn service_values(inventory: &Inventory, name: &str) -> Result<Option<Values>> {
    let mut values = Values::new();
    for key in SERVICE_KEYS {
        values.extend(of_cluster(inventory, name, key)?.map(|value| (key, value)));
    }
    Ok(values.contains_key(names::PROBE_SECRET).then_some(values))
}

fn file(object: &str, key: &str) -> String {
    format!("{object}.{key}")
}

/// A value that the cluster has; an empty one is none.
pub(crate) fn of_cluster(inventory: &Inventory, object: &str, key: &str) -> Result<Option<Secret>> {
    let Some(secret) = inventory.named("Secret", object) else { return Ok(None) };
    value_of(&secret.value, key)
}

/// A value of a Secret's JSON.
pub(crate) fn value_of(secret: &Value, key: &str) -> Result<Option<Secret>> {
    let Some(value) = secret.get("data").and_then(|data| data.get(key)) else { return Ok(None) };
    let ByteString(bytes) =
        serde_json::from_value(value.clone()).with_context(|| format!("the key `{key}` of a Secret"))?;
    let text = String::from_utf8(bytes)
        .with_context(|| format!("the key `{key}` of a Secret is not valid UTF-8"))?;
    Ok(Some(Secret::new(text.trim_end())).filter(|secret| !secret.reveal().is_empty()))
}

/// MongoDB takes its password once, when its data is made. A new one would lock everybody out.
fn refuse_lost_password(inventory: &Inventory, cluster: &Cluster, mongodb: &str) -> Result<()> {
    let claim = inventory.objects.iter().find(|object| {
        object.kind.name() == "PersistentVolumeClaim" && object.label(names::INSTANCE_LABEL) == Some(mongodb)
    });
    let Some(claim) = claim else { return Ok(()) };
    let (context, namespace) = (&cluster.place.context, &cluster.namespace);
    Err(Failure::new(
        ExitStatus::Failed,
        format!(
            "`{}` has the data of MongoDB, but the Secret `{mongodb}` with its password was deleted, and this machine has no copy",
            claim.title()
        ),
    )
    .hint(format!(
        "restore it: kubectl --context {context} -n {namespace} create secret generic {mongodb} --from-literal=root_password=... --from-literal=keyfile=..."
    ))
    .hint("or run `appforge up` on the machine that created it, or give this stack another `name`")
    .into())
}
