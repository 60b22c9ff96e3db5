//! The service: Deployment, Service, autoscaler, disruption budget. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use appforge_service::contract::{admin, variable};
use serde::Serialize;

use super::app::{self, App, Ending, MARGIN, upstream};
use super::object::{Component, Exemptions, Handler, Image, Labels, Object, Pair, PortRef, Resources};
use super::{Drafts, PlainObject, Settings, names};
use crate::error::{ExitStatus, Failure};
use crate::float;
use crate::render::context::compose::{BUNDLED_IMAGE, admin_port};
use crate::stack::environment::{environment, front};
use crate::stack::values::SecretKey;
use crate::stack::{Stack, StoreKind};

/// Where the credentials are mounted.
const CREDENTIALS: &str = "/run/secrets/appforge";

#[derive(Serialize)]
struct Deployment {
    object: Object,
    /// `None` where the autoscaler decides.
    replicas: Option<u32>,
    selector: Vec<Pair>,
    service_account: String,
    priority_class: Option<String>,
    pull_secrets: Vec<String>,
    grace_seconds: u64,
    pre_stop_seconds: u64,
    image: Image,
    resources: Resources,
    port: u16,
    admin_port: u16,
    environment: Vec<Pair>,
    probes: Probes,
    credentials: &'static str,
    secret: String,
    secret_keys: Vec<&'static str>,
    /// Addresses of stores in Secrets of the user's own.
    references: Vec<Reference>,
    container: &'static str,
    /// With an app of the user's own, the container is its front.
    app: Option<App>,
    args: Vec<String>,
}

/// A key of a Secret of the user's own, and the file that it becomes.
#[derive(Serialize)]
struct Reference {
    secret: String,
    key: String,
    path: &'static str,
}

/// How the kubelet watches a replica.
#[derive(Serialize)]
struct Probes {
    /// Whether it has started.
    start: Handler,
    /// Whether it takes requests.
    ready: Handler,
    /// Whether it works.
    live: Handler,
}

#[derive(Serialize)]
pub(super) struct Service {
    pub object: Object,
    pub selector: Vec<Pair>,
    pub headless: bool,
    pub ports: Vec<Port>,
}

#[derive(Serialize)]
pub(super) struct Port {
    pub name: &'static str,
    pub port: u16,
    pub target: PortRef,
}

#[derive(Serialize)]
struct Autoscaler {
    object: Object,
    target: String,
    min: u32,
    max: u32,
    /// The one container whose use counts; without it that of the whole pod.
    container: Option<&'static str>,
    cpu: u32,
    memory: Option<u32>,
}

/// A budget of one pod at a time.
#[derive(Serialize)]
pub(super) struct Budget {
    pub object: Object,
    pub selector: Vec<Pair>,
}

pub(super) fn add(drafts: &mut Drafts<'_>, settings: &Settings<'_>) -> Result<()> {
    let stack = settings.stack;
    let labels = Labels::of(stack, Component::Service);
    let name = names::service(stack);
    let object = || labels.object(&name);
    drafts.add("serviceaccount.yaml", "serviceaccount.yaml", &PlainObject { object: object() })?;
    let target = public_port(stack);
    let port = Port { name: names::PUBLIC_PORT, port: stack.service.port, target };
    let service =
        Service { object: object(), selector: labels.selector(), headless: false, ports: vec![port] };
    drafts.add("service.yaml", "service.yaml", &service)?;
    drafts.add("deployment.yaml", "deployment.yaml", &deployment(settings, &labels)?)?;
    let own = stack.service.is_own();
    if let Some(scaling) = stack.kubernetes.autoscaling {
        let autoscaler = Autoscaler {
            object: object(),
            target: name.clone(),
            min: scaling.min,
            max: scaling.max,
            container: own.then_some(names::SERVICE_CONTAINER),
            // Kubernetes takes whole shares.
            cpu: float::to_u32(scaling.cpu.0.round()),
            memory: scaling.memory_of(own).map(|memory| float::to_u32(memory.0.round())),
        };
        drafts.add("hpa.yaml", "hpa.yaml", &autoscaler)?;
    }
    drafts.add("pdb.yaml", "pdb.yaml", &Budget { object: object(), selector: labels.selector() })
}

fn deployment(settings: &Settings<'_>, labels: &Labels) -> Result<Deployment> {
    let (stack, kubernetes) = (settings.stack, &settings.stack.kubernetes);
    let name = names::service(stack);
    let image = image(settings);
    let own = stack.service.is_own();
    let request = if own { stack.runtime.resources } else { stack.service.resources };
    let resources = Resources::new(request.cpu, settings.cpu_limit(request.cpu), request.memory);
    let probes = probes(own);
    let mut exemptions = Exemptions::of_container(&image, &resources);
    let app = own.then(|| app::app(settings, &mut exemptions)).transpose()?;
    if kubernetes.autoscaling.is_some() {
        exemptions.polaris("deploymentMissingReplicas");
    }
    // PROBE_SECRET_FILE is a path.
    exemptions.polaris("sensitiveContainerEnvVar");
    if own && kubernetes.probes.liveness.is_none() {
        exemptions.checkov("CKV_K8S_8", "kubernetes.probes names no path that says whether the app works");
        exemptions.polaris("livenessProbeMissing");
    }
    let references: Vec<Reference> = stack
        .referenced()
        // The front counts requests; it has no business with the data.
        .filter(|(kind, _)| !own || *kind == StoreKind::Redis)
        .map(|(kind, SecretKey { secret, key })| Reference {
            secret: secret.clone(),
            key: key.clone(),
            path: names::address(kind),
        })
        .collect();
    let mut secret_keys = vec![names::PROBE_SECRET, names::MONGODB_URI, names::REDIS_URL];
    secret_keys.retain(|key| references.iter().all(|reference| reference.path != *key));
    secret_keys.retain(|key| !own || *key != names::MONGODB_URI);
    let mut object = labels.object(&name);
    object.annotations = exemptions.annotations();
    Ok(Deployment {
        object,
        replicas: kubernetes.autoscaling.is_none().then_some(stack.service.replicas),
        selector: labels.selector(),
        service_account: name.clone(),
        priority_class: settings.priority_class(),
        pull_secrets: settings.stack.kubernetes.pull_secrets.clone(),
        grace_seconds: kubernetes.shutdown.grace.0.as_secs(),
        pre_stop_seconds: kubernetes.shutdown.pre_stop.0.as_secs(),
        image,
        resources,
        port: names::container_port(stack),
        admin_port: admin_port(stack),
        environment: variables(stack)?,
        probes,
        credentials: CREDENTIALS,
        secret: name,
        secret_keys,
        references,
        container: if own { names::FRONT_CONTAINER } else { names::SERVICE_CONTAINER },
        args: vec!["serve".to_owned(), "--upstream".to_owned(), upstream(stack)],
        app,
    })
}

/// The image of this program: that of a registry, or what the target loaded; without either the documents name it by version, as
/// Compose's do.
fn image(settings: &Settings<'_>) -> Image {
    if let Some(image) = &settings.stack.runtime.image {
        return Image::of_registry(image);
    }
    let loaded = settings.overrides.image.clone();
    Image { reference: loaded.unwrap_or_else(|| BUNDLED_IMAGE.to_owned()), pull_policy: "IfNotPresent" }
}

/// The variables of a replica. They stand in the pod's own template, so that going back to an earlier revision brings back
/// the settings that it ran with.
fn variables(stack: &Stack) -> Result<Vec<Pair>> {
    let file = |key: &str| format!("{CREDENTIALS}/{key}");
    let own = stack.service.is_own();
    let given = [
        (variable::ADMIN_BIND, "0.0.0.0".to_owned()),
        (variable::ADMIN_PORT, admin_port(stack).to_string()),
        (variable::BIND, "0.0.0.0".to_owned()),
        (variable::MONGODB_URI_FILE, file(names::MONGODB_URI)),
        (variable::PORT, names::container_port(stack).to_string()),
        (variable::PROBE_SECRET_FILE, file(names::PROBE_SECRET)),
        (variable::REDIS_URL_FILE, file(names::REDIS_URL)),
        (variable::SHUTDOWN_TIMEOUT_MS, drain(stack).as_millis().to_string()),
    ];
    let mut variables: BTreeMap<String, String> =
        given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if own {
        variables.remove(variable::MONGODB_URI_FILE);
    }
    if names::forwards_redis(stack) {
        let port = names::redis_forward_port(stack).to_string();
        variables.insert(variable::REDIS_FORWARD_PORT.to_owned(), port);
    }
    for variable in if own { front(stack) } else { environment(stack) } {
        if variable.value.contains('\0') {
            return Err(Failure::new(
                ExitStatus::Config,
                format!("{}: must not contain a NUL character", variable.path),
            )
            .into());
        }
        variables.insert(variable.name, variable.value);
    }
    // Kubernetes replaces `$(NAME)` and makes one `$` of two.
    Ok(variables.into_iter().map(|(name, value)| Pair { name, value: value.replace('$', "$$") }).collect())
}

/// How long the service may take to finish what is under way: what is left of the grace period.
fn drain(stack: &Stack) -> Duration {
    if stack.service.is_own() {
        return Duration::from_secs(Ending::of(stack).drain);
    }
    let shutdown = &stack.kubernetes.shutdown;
    let taken = shutdown.pre_stop.0.as_secs() + MARGIN;
    Duration::from_secs(shutdown.grace.0.as_secs().saturating_sub(taken).max(1))
}

/// Where the pods of the service take requests. The port of a sidecar has no name that Services (before Kubernetes 1.33) and
/// network policies find.
pub(super) fn public_port(stack: &Stack) -> PortRef {
    if stack.service.is_own() {
        PortRef::Number(names::container_port(stack))
    } else {
        PortRef::Name(names::PUBLIC_PORT)
    }
}

/// Where they have their admin listener.
pub(super) fn admin_port_of_pod(stack: &Stack) -> PortRef {
    if stack.service.is_own() { PortRef::Number(admin_port(stack)) } else { PortRef::Name(names::ADMIN_PORT) }
}

/// The app waits for the start of its front, which therefore does not wait for the app.
fn probes(own: bool) -> Probes {
    let admin = |path: &str| Handler { path: Some(path.to_owned()), port: PortRef::Name(names::ADMIN_PORT) };
    let start = admin(if own { admin::LIVEZ } else { admin::READYZ });
    Probes { start, ready: admin(admin::READYZ), live: admin(admin::LIVEZ) }
}
