//! What all objects have: a name, a namespace, labels, annotations. Pure.

use serde::Serialize;

use crate::render::context::kubernetes::names;
use crate::stack::values::{ByteSize, ImageRef, MilliCpu};
use crate::stack::{ComponentKind, Stack, StoreKind};

/// A name and a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pair {
    pub name: String,
    pub value: String,
}

pub(super) fn pair(name: &str, value: &str) -> Pair {
    Pair { name: name.to_owned(), value: value.to_owned() }
}

/// The metadata of one object.
#[derive(Clone, Serialize)]
pub(super) struct Object {
    pub name: String,
    pub namespace: String,
    pub labels: Vec<Pair>,
    pub annotations: Vec<Pair>,
}

/// A part of the stack, for labels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    Stack,
    Service,
    Store(StoreKind),
}

/// The labels of one component.
pub(super) struct Labels {
    namespace: String,
    /// These never change, so that selectors and volume claims can hold them.
    pub stable: Vec<Pair>,
    version: String,
}

impl Labels {
    pub(super) fn of(stack: &Stack, component: Component) -> Self {
        let own = || env!("CARGO_PKG_VERSION").to_owned();
        let image_version = |image: &ImageRef| if image.is_bundled() { own() } else { names::version(image) };
        let name = stack.name.as_str();
        let (application, instance, word, version) = match component {
            Component::Stack => (name, name.to_owned(), "stack", own()),
            Component::Service => (
                name,
                names::service(stack),
                ComponentKind::Service.as_str(),
                image_version(&stack.service.image),
            ),
            Component::Store(kind) => {
                let (object, image) = match kind {
                    StoreKind::Mongodb => (names::mongodb(stack), &stack.mongodb.image),
                    StoreKind::Redis => (names::redis(stack), &stack.redis.image),
                };
                (kind.as_str(), object, kind.as_str(), image_version(image))
            }
        };
        Self {
            namespace: stack.kubernetes.namespace.to_string(),
            stable: vec![
                pair("app.kubernetes.io/name", application),
                pair(names::INSTANCE_LABEL, &instance),
                pair(names::COMPONENT_LABEL, word),
                pair("app.kubernetes.io/part-of", name),
                pair("app.kubernetes.io/managed-by", names::MANAGER),
                pair(names::OWNER_LABEL, name),
            ],
            version,
        }
    }

    /// All labels.
    pub(super) fn all(&self) -> Vec<Pair> {
        let mut labels = self.stable.clone();
        labels.push(pair("app.kubernetes.io/version", &self.version));
        labels
    }

    /// What selects the pods of the component.
    pub(super) fn selector(&self) -> Vec<Pair> {
        let selects = [names::INSTANCE_LABEL, names::COMPONENT_LABEL];
        self.stable.iter().filter(|label| selects.contains(&label.name.as_str())).cloned().collect()
    }

    /// An object of the component.
    pub(super) fn object(&self, name: &str) -> Object {
        Object {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            labels: self.all(),
            annotations: Vec::new(),
        }
    }
}

/// What a container asks for and may use; memory is asked for as far as it may be used.
#[derive(Clone, Serialize)]
pub(super) struct Resources {
    pub cpu: String,
    pub cpu_limit: Option<String>,
    pub memory: String,
}

impl Resources {
    pub(super) fn new(cpu: MilliCpu, cpu_limit: Option<String>, memory: ByteSize) -> Self {
        Self { cpu: cpu.to_string(), cpu_limit, memory: quantity(memory) }
    }
}

/// What the kubelet asks.
#[derive(Clone, Serialize)]
pub(super) struct Handler {
    /// `None` asks for a connection only.
    pub(super) path: Option<String>,
    pub(super) port: PortRef,
}

/// A port of the pod by its name or number.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(super) enum PortRef {
    Name(&'static str),
    Number(u16),
}

impl From<PortRef> for serde_json::Value {
    fn from(port: PortRef) -> Self {
        match port {
            PortRef::Name(name) => name.into(),
            PortRef::Number(number) => number.into(),
        }
    }
}

/// An image and when it is pulled.
#[derive(Serialize)]
pub(super) struct Image {
    pub reference: String,
    pub pull_policy: &'static str,
}

impl Image {
    /// An image of a registry: pulled each time, so that nobody runs it without the right to.
    pub(super) fn of_registry(image: &ImageRef) -> Self {
        Self { reference: image.to_string(), pull_policy: "Always" }
    }
}

/// What scanners are told of a workload: each exemption with its reason.
pub(super) struct Exemptions(Vec<Pair>);

impl Exemptions {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Checkov's check `id` does not apply.
    pub(super) fn checkov(&mut self, id: &str, reason: &str) {
        let number = 1 + self.0.iter().filter(|pair| pair.name.starts_with("checkov.io/")).count();
        self.0.push(pair(&format!("checkov.io/skip{number}"), &format!("{id}={reason}")));
    }

    /// Polaris's check `id` does not apply.
    pub(super) fn polaris(&mut self, id: &str) {
        self.0.push(pair(&format!("polaris.fairwinds.com/{id}-exempt"), "true"));
    }

    /// Those that follow from an image and the limits of its container.
    pub(super) fn of_container(image: &Image, resources: &Resources) -> Self {
        let mut exemptions = Self::new();
        if !names::is_pinned(&image.reference) {
            exemptions.checkov("CKV_K8S_43", "the stack file names the image by its tag");
        }
        if image.pull_policy != "Always" {
            exemptions.checkov("CKV_K8S_15", "the image is loaded into the nodes and named by its content");
            exemptions.polaris("pullPolicyNotAlways");
        }
        if resources.cpu_limit.is_none() {
            exemptions.checkov("CKV_K8S_11", "kubernetes.cpu_limit is none");
            exemptions.polaris("cpuLimitsMissing");
        }
        exemptions
    }

    pub(super) fn annotations(self) -> Vec<Pair> {
        self.0
    }
}

/// A size as Kubernetes writes it.
pub(crate) fn quantity(size: ByteSize) -> String {
    let unit = [("Gi", 30), ("Mi", 20), ("Ki", 10)]
        .into_iter()
        .find(|(_, bits)| size.0 != 0 && size.0.is_multiple_of(1 << bits));
    unit.map_or_else(|| size.0.to_string(), |(unit, bits)| format!("{}{unit}", size.0 >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_their_value() {
        assert_eq!(quantity(ByteSize(2 << 30)), "2Gi");
        assert_eq!(quantity(ByteSize(1536 << 20)), "1536Mi");
        assert_eq!(quantity(ByteSize(2_000_000_000)), "1953125Ki");
        assert_eq!(quantity(ByteSize(1001)), "1001");
    }
}
