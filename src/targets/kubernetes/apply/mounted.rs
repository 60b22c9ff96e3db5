//! Which Secrets the pods of a workload mount, and how a revision keeps the addresses that it was made with. Pure.
//!
//! `NAME-app` is the Secret that documents name. Its content changes with the stack file, so a revision that names it
//! would come back with the addresses of today. `up` therefore keeps each content in an immutable `NAME-app-DIGEST` as
//! well and points the Deployment to that. A Deployment that names `NAME-app` itself, as `kubectl apply -k` makes it, means
//! the same as long as the content is the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::context::kubernetes::names::{CREDENTIALS, OWN_SECRETS};
use crate::targets::kubernetes::client::Object;

/// Digits of the digest that names a content of the service's Secret.
pub(crate) const DIGITS: usize = 16;
/// Where a pod template is in a workload.
pub(crate) const TEMPLATE: &str = "/spec/template";

/// The immutable Secret with the content of this digest.
pub(crate) fn copy_name(stable: &str, digest: &str) -> String {
    format!("{stable}-{digest}")
}

/// What a pod template says about its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// It names the stable Secret, whose content may have changed since.
    pub(crate) stable: bool,
    /// The digest of the content that it was made with, as its annotation or the name of a copy says.
    pub(crate) digest: Option<String>,
}

impl Mounted {
    /// Reads a pod template; `stable` is the name of the stable Secret.
    pub(crate) fn of(template: &Value, stable: &str) -> Self {
        let names = secrets(template);
        let prefix = format!("{stable}-");
        let copy = names.iter().find_map(|name| {
            name.strip_prefix(&prefix).filter(|digest| is_digest(digest)).map(str::to_owned)
        });
        let noted = template["metadata"]["annotations"][CREDENTIALS].as_str().map(str::to_owned);
        Self { stable: names.contains(stable), digest: copy.or(noted) }
    }

    /// The Secret that the pods mount.
    pub(crate) fn name(&self, stable: &str) -> String {
        match &self.digest {
            Some(digest) if !self.stable => copy_name(stable, digest),
            _ => stable.to_owned(),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the service's Secret holds and should hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    /// The name of the stable Secret.
    pub(crate) stable: &'a str,
    /// The digest of what the service should mount.
    pub(crate) digest: &'a str,
    /// The digest of what the stable Secret holds.
    pub(crate) stable_digest: Option<&'a str>,
}

/// Lets the Deployment name the content of this digest. One that runs and names the stable Secret, which holds this content
/// (`stable_digest`), means the same and is left so: it needs no new pods. Whether that is so.
pub(crate) fn settle(deployment: &mut Object, live: Option<&Mounted>, content: Content<'_>) -> bool {
    let Content { stable, digest, stable_digest } = content;
    let Some(template) = deployment.value.pointer_mut(TEMPLATE) else { return false };
    let alike = live.filter(|live| {
        live.stable
            && live.digest.as_deref().or(stable_digest) == Some(digest)
            && stable_digest == Some(digest)
    });
    match alike {
        None => point(template, stable, digest),
        Some(live) => {
            if live.digest.is_some() {
                note(template, CREDENTIALS, digest);
            }
        }
    }
    alike.is_some()
}

/// Points a pod template to the copy with this digest, wherever it names the stable Secret.
pub(crate) fn point(template: &mut Value, stable: &str, digest: &str) {
    rename(template, stable, &copy_name(stable, digest));
    note(template, CREDENTIALS, digest);
}

/// Lets a pod template name another Secret, wherever it names `from`.
pub(crate) fn rename(template: &mut Value, from: &str, to: &str) {
    for_each_name(template, &mut |name| {
        if name == from {
            *name = to.to_owned();
        }
    });
}

/// Writes an annotation of a pod template.
pub(crate) fn note(template: &mut Value, annotation: &str, value: &str) {
    let metadata = &mut template["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"][annotation] = value.into();
}

/// The Secrets that a pod template names, by volume, variable or pull secret of a volume.
pub(crate) fn secrets(template: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // The walk changes nothing; a copy keeps it the only one.
    for_each_name(&mut template.clone(), &mut |name| {
        found.insert(name.clone());
    });
    found
}

/// The Secrets of a workload that are the user's own: neither among `ours`, nor a copy of one.
pub(crate) fn foreign(object: &Object, ours: &BTreeSet<String>) -> Vec<String> {
    let Some(template) = object.at(TEMPLATE) else { return Vec::new() };
    let is_ours = |name: &String| {
        ours.contains(name)
            || ours.iter().any(|own| {
                name.strip_prefix(own.as_str()).and_then(|rest| rest.strip_prefix('-')).is_some_and(is_digest)
            })
    };
    secrets(template).into_iter().filter(|name| !is_ours(name)).collect()
}

/// The digest of the user's own Secrets that a live workload was made with.
pub(crate) fn noted_own(object: &Object) -> Option<&str> {
    object.at(TEMPLATE)?.get("metadata")?.get("annotations")?.get(OWN_SECRETS)?.as_str()
}

/// Each place of a pod template that names a Secret whose content the pods see.
fn for_each_name(template: &mut Value, hear: &mut dyn FnMut(&mut String)) {
    let spec = &mut template["spec"];
    for volume in list(spec, "volumes") {
        name_at(volume, "/secret/secretName", hear);
        for source in
            volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut).into_iter().flatten()
        {
            name_at(source, "/secret/name", hear);
        }
    }
    for kind in ["containers", "initContainers"] {
        for container in list(spec, kind) {
            for variable in list(container, "env") {
                name_at(variable, "/valueFrom/secretKeyRef/name", hear);
            }
            for source in list(container, "envFrom") {
                name_at(source, "/secretRef/name", hear);
            }
        }
    }
}

fn list<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn name_at(value: &mut Value, path: &str, hear: &mut dyn FnMut(&mut String)) {
    if let Some(Value::String(name)) = value.pointer_mut(path) {
        hear(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::kubernetes::client::kind::Kind;

    const DIGEST: &str = "0123456789abcdef";

    fn template(secret: &str) -> Value {
        json!({
            "metadata": {"labels": {}},
            "spec": {
                "volumes": [
                    {"name": "a", "secret": {"secretName": secret}},
                    {"name": "b", "projected": {"sources": [{"secret": {"name": "own-tls"}}]}},
                    {"name": "c", "emptyDir": {}},
                ],
                "containers": [{
                    "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}, {"name": "Y", "value": "1"}],
                    "envFrom": [{"secretRef": {"name": "own-env"}}, {"configMapRef": {"name": "no-secret"}}],
                }],
            },
        })
    }

    #[test]
    fn stable_secret_is_replaced_wherever_it_is_named() {
        let mut pointed = template("shop-app");
        assert_eq!(Mounted::of(&pointed, "shop-app"), Mounted { stable: true, digest: None });
        point(&mut pointed, "shop-app", DIGEST);
        assert_eq!(
            Vec::from_iter(secrets(&pointed)),
            ["own-env", "own-tls", "shop-app-0123456789abcdef"],
            "the others stay"
        );
        let mounted = Mounted::of(&pointed, "shop-app");
        assert_eq!(mounted, Mounted { stable: false, digest: Some(DIGEST.into()) });
    }

    #[test]
    fn annotation_names_the_content_of_the_stable_secret() {
        let mut noted = template("shop-app");
        note(&mut noted, CREDENTIALS, DIGEST);
        assert_eq!(Mounted::of(&noted, "shop-app"), Mounted { stable: true, digest: Some(DIGEST.into()) });
    }

    #[test]
    fn stable_secret_is_left_while_its_content_is_the_same() {
        let kind = Kind::find("apps/v1", "Deployment").unwrap();
        let value = json!({"metadata": {"name": "shop-app"}, "spec": {"template": template("shop-app")}});
        let wanted = Object::new(kind, value).unwrap();
        let settled = |live: Option<Mounted>, stable: &str| {
            let mut object = wanted.clone();
            let alike = settle(
                &mut object,
                live.as_ref(),
                Content { stable: "shop-app", digest: DIGEST, stable_digest: Some(stable) },
            );
            let mounted = Mounted::of(object.at(TEMPLATE).unwrap(), "shop-app");
            assert_eq!(alike, mounted.stable);
            mounted
        };
        let by_kubectl = Mounted { stable: true, digest: None };
        let before = Mounted { stable: true, digest: Some(DIGEST.into()) };
        let other = Mounted { stable: true, digest: Some("f".repeat(16)) };
        let pointed = Mounted { stable: false, digest: Some(DIGEST.into()) };
        assert_eq!(settled(Some(by_kubectl.clone()), DIGEST), by_kubectl);
        assert_eq!(settled(Some(before.clone()), DIGEST), before);
        assert_eq!(settled(Some(other), DIGEST), pointed, "its pods were made with another content");
        assert_eq!(settled(Some(by_kubectl), "another content"), pointed);
        assert_eq!(settled(None, DIGEST), pointed);
    }

    #[test]
    fn own_secrets_are_all_but_ours_and_their_copies() {
        let kind = Kind::find("apps/v1", "Deployment").unwrap();
        let mut value = json!({"metadata": {"name": "shop-app"}, "spec": {"template": template("shop-app")}});
        point(&mut value["spec"]["template"], "shop-app", DIGEST);
        let object = Object::new(kind, value).unwrap();
        let ours = BTreeSet::from(["shop-app".to_owned()]);
        assert_eq!(foreign(&object, &ours), ["own-env", "own-tls"]);
        assert_eq!(foreign(&object, &BTreeSet::new()).len(), 3);
    }
}
