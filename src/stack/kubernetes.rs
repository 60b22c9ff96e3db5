//! What only the Kubernetes target reads, typed, with its defaults. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::values::{MilliCpu, Name, Percent, Span, scalar};

/// What only the Kubernetes target reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The kubeconfig context; a remote one must be named here.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Name,
    /// When to add and remove replicas; `null` for a fixed number.
    pub autoscaling: Option<Autoscaling>,
    /// The public host name, if there is an ingress.
    pub ingress: Option<String>,
    /// How the public host name leads to the service.
    pub route: Route,
    /// `auto`, `none` or a CPU share: the limit of each container.
    pub cpu_limit: CpuLimit,
    /// `auto` (one of the stack's own), `none`, or the name of a priority class that is there.
    pub priority_class: PriorityClass,
    /// The storage class of the stores' volumes; `null` is the cluster's default.
    pub storage_class: Option<String>,
    /// The Secrets with the credentials of private registries.
    pub pull_secrets: Vec<String>,
    /// Deny all traffic but what the stack needs.
    pub network_policies: bool,
    /// The namespace that scrapes metrics.
    pub monitoring_namespace: Name,
    /// How a replica of an app of your own is watched; the bundled service has its own paths.
    pub probes: Probes,
    /// How a replica ends.
    pub shutdown: Shutdown,
}

/// When Kubernetes adds and removes replicas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscaling {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Target share of the CPU request.
    pub cpu: Percent,
    /// Target share of the memory request; `null` is 80 for the bundled service, and none for an app of your own, since most
    /// runtimes do not give memory back.
    pub memory: Option<Percent>,
}

/// How the public host name leads to the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The API that routes.
    pub api: RouteApi,
    /// The ingress class; with `gateway`, the class of a gateway of the stack's own.
    pub class: Option<String>,
    /// The gateway that is there, as `NAMESPACE/NAME`; it has the certificate.
    pub gateway: Option<String>,
    /// The Secret with the certificate; `null` is `NAME-tls`.
    pub tls_secret: Option<String>,
    /// The cert-manager ClusterIssuer that makes the certificate.
    pub issuer: Option<String>,
    /// The only namespace that may reach the public port; `null` lets every namespace.
    pub from_namespace: Option<Name>,
}

/// The API that routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteApi {
    /// `networking.k8s.io` Ingress.
    Ingress,
    /// Gateway API HTTPRoute.
    Gateway,
}

/// How a replica of an app of your own is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// The port that answers `liveness`: one that the app opens beyond 127.0.0.1.
    pub port: Option<u16>,
    /// Answers 2xx while the process works; must not depend on the stores.
    pub liveness: Option<String>,
    /// Replaced by `service.health`.
    pub readiness: Option<String>,
}

/// How a replica ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long it goes on serving while the cluster learns that it will end; whole seconds.
    pub pre_stop: Span,
    /// After this it is killed; whole seconds. `pre_stop` is within, and the drain of the service; for an app of your own the
    /// drain of its front and the app's end, half of the rest each.
    pub grace: Span,
}

/// The limit of each container's CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum CpuLimit {
    /// Two CPUs, or twice the request if that is more.
    Auto,
    /// None.
    None,
    /// This.
    Cpu(MilliCpu),
}

impl FromStr for CpuLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            other => other
                .parse()
                .map(Self::Cpu)
                .map_err(|_| "expected `auto`, `none` or a CPU quantity such as `1500m`".into()),
        }
    }
}

impl fmt::Display for CpuLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Cpu(cpu) => fmt::Display::fmt(cpu, f),
        }
    }
}

/// How important the stack's pods are.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub enum PriorityClass {
    /// A class of the stack's own, which evicts nobody.
    Auto,
    /// None.
    None,
    /// One that is there.
    Named(String),
}

impl FromStr for PriorityClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            name if is_object_name(name) => Ok(Self::Named(name.to_owned())),
            _ => Err("expected `auto`, `none` or the name of a priority class".into()),
        }
    }
}

impl fmt::Display for PriorityClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Named(name) => name,
        })
    }
}

scalar!(CpuLimit, PriorityClass);

/// Whether a text is a name of an object, which is a DNS subdomain (RFC 1123). Host names have the same form.
pub fn is_object_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// What the name of a stack must be on Kubernetes.
pub(crate) const SERVICE_NAME: &str =
    "must start with a letter on the target kubernetes, where it begins the names of Services (DNS-1035)";

/// Whether the names of Services may begin with it.
pub(crate) fn is_service_name(name: &Name) -> bool {
    name.as_str().starts_with(|c: char| c.is_ascii_lowercase())
}

/// The target share of memory of the bundled service, unless the file says otherwise.
const MEMORY: Percent = Percent(80.0);

impl Autoscaling {
    /// The target share of the memory request of the bundled service, or of an app of the user's own.
    pub(crate) fn memory_of(&self, is_own: bool) -> Option<Percent> {
        self.memory.or((!is_own).then_some(MEMORY))
    }
}

impl Kubernetes {
    /// The defaults of a stack of this name.
    pub fn of(name: Name) -> Self {
        let monitoring = "monitoring".parse();
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            context: None,
            namespace: name,
            autoscaling: Some(Autoscaling { min: 3, max: 10, cpu: Percent(70.0), memory: None }),
            ingress: None,
            route: Route {
                api: RouteApi::Ingress,
                class: None,
                gateway: None,
                tls_secret: None,
                issuer: None,
                from_namespace: None,
            },
            cpu_limit: CpuLimit::Auto,
            priority_class: PriorityClass::Auto,
            storage_class: None,
            pull_secrets: Vec::new(),
            network_policies: true,
            monitoring_namespace: monitoring.unwrap_or_else(|_| unreachable!("a literal of this file")),
            probes: Probes { port: None, liveness: None, readiness: None },
            shutdown: Shutdown { pre_stop: seconds(5), grace: seconds(30) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_classes_read_and_print_alike() {
        for text in ["auto", "none", "2", "1500m"] {
            assert_eq!(text.parse::<CpuLimit>().unwrap().to_string(), text);
        }
        for text in ["auto", "none", "high-priority"] {
            assert_eq!(text.parse::<PriorityClass>().unwrap().to_string(), text);
        }
        "much".parse::<CpuLimit>().unwrap_err();
        "High Priority".parse::<PriorityClass>().unwrap_err();
    }

    #[test]
    fn names_of_objects_are_dns_subdomains() {
        for good in ["a", "shop.example.com", "9-1"] {
            assert!(is_object_name(good), "{good}");
        }
        for bad in ["", "-a", "a..b", "A", "a_b", "*.example.com", "a/b"] {
            assert!(!is_object_name(bad), "{bad}");
        }
    }
}
