//! An app of the user's own in the pods of the service: the container behind the front. Pure.

use std::collections::BTreeMap;

use anyhow::Result;
use appforge_service::contract::variable;
use serde::Serialize;

use super::names::LOOPBACK;
use super::object::{Exemptions, Handler, Image, PortRef, Resources, quantity};
use super::{Settings, names};
use crate::error::{ExitStatus, Failure};
use crate::stack::app::{HOST, variables, words};
use crate::stack::template::{Part, Reference, Template};
use crate::stack::values::{ByteSize, CommandLine, SecretKey};
use crate::stack::{Stack, StoreKind};

/// The user and group of a container unless the file names one.
const USER: u32 = 65532;
/// Where the addresses of the stores are mounted.
const STORES: &str = "/run/secrets/stores";
/// The folder that every app may write to.
const TMP: &str = "/tmp";
/// Its size unless the file says another.
const TMP_SIZE: ByteSize = ByteSize(64 << 20);
/// What a container may write to its own files and logs.
const EPHEMERAL: ByteSize = ByteSize(256 << 20);

/// What must remain between the drain of a replica and its being killed, in seconds.
pub(crate) const MARGIN: u64 = 5;

/// The container of an app.
#[derive(Serialize)]
pub(super) struct App {
    container: &'static str,
    image: Image,
    /// In place of the image's own command.
    args: Option<Vec<String>>,
    workdir: Option<String>,
    environment: Vec<Variable>,
    env_file: Option<String>,
    resources: Resources,
    ephemeral: String,
    user: u32,
    read_only: bool,
    limits_pids: bool,
    live: Option<Handler>,
    pre_stop_seconds: u64,
    stores: &'static str,
    sources: Vec<Source>,
    folders: Vec<Folder>,
}

/// A variable: its value, or the key of the Secret that holds it.
#[derive(Serialize)]
struct Variable {
    name: String,
    value: Option<String>,
    secret: Option<String>,
    key: Option<String>,
}

/// The address of a store: the key of a Secret, and the file that it becomes.
#[derive(Serialize)]
struct Source {
    secret: String,
    key: String,
    path: &'static str,
}

/// A folder that the app may write to.
#[derive(Serialize)]
struct Folder {
    name: String,
    path: String,
    size: String,
}

/// How the end of a pod is shared, in seconds: the front drains while the app still works, then the app ends.
pub(super) struct Ending {
    /// The drain of the front.
    pub(super) drain: u64,
    /// When the app gets its SIGTERM.
    pub(super) app_after: u64,
}

impl Ending {
    pub(super) fn of(stack: &Stack) -> Self {
        let shutdown = &stack.kubernetes.shutdown;
        let (grace, pre_stop) = (shutdown.grace.0.as_secs(), shutdown.pre_stop.0.as_secs());
        let drain = (grace.saturating_sub(pre_stop + MARGIN)).div_ceil(2).max(1);
        Self { drain, app_after: pre_stop + drain }
    }
}

/// The address that the front forwards to.
pub(super) fn upstream(stack: &Stack) -> String {
    format!("http://{LOOPBACK}:{}", stack.app_port())
}

pub(super) fn app(settings: &Settings<'_>, exemptions: &mut Exemptions) -> Result<App> {
    let stack = settings.stack;
    let service = &stack.service;
    if service.image.is_bundled() {
        // `render --target all` comes here with a stack that is valid for its own target.
        let message = "service.image: must name the image of your app on the target kubernetes";
        return Err(Failure::new(ExitStatus::Config, message)
            .hint("set `service.image`, or render for the one target: `--target local`")
            .into());
    }
    let mut sizes: BTreeMap<&str, ByteSize> = BTreeMap::from([(TMP, TMP_SIZE)]);
    sizes.extend(service.writable.iter().map(|folder| (folder.path.as_str(), folder.size)));
    let root = sizes.remove("/");
    let written: u64 = service.writable.iter().map(|folder| folder.size.0).fold(0, u64::saturating_add);
    let folder = |(index, (path, size)): (usize, (&str, ByteSize))| Folder {
        name: if path == TMP { "tmp".to_owned() } else { format!("writable-{index}") },
        path: path.to_owned(),
        size: quantity(size),
    };
    let user = service.run_as.unwrap_or(USER);
    exemptions
        .checkov("CKV_K8S_35", "apps read their addresses from variables; the same Secret is mounted too");
    exemptions.checkov("CKV_K8S_9", "the readiness of a replica is that of its front, which asks the app");
    exemptions.polaris("readinessProbeMissing");
    if root.is_some() {
        exemptions.checkov("CKV_K8S_22", "service.writable names all of the container");
        exemptions.polaris("notReadOnlyRootFilesystem");
    }
    if user < 10_000 {
        exemptions.checkov("CKV_K8S_40", "service.run_as names the user");
    }
    let request = service.resources;
    let probes = &stack.kubernetes.probes;
    let live = probes.liveness.clone().zip(probes.port);
    Ok(App {
        container: names::SERVICE_CONTAINER,
        image: Image::of_registry(&service.image),
        args: service.command.as_ref().map(|command| arguments(stack, command)),
        workdir: service.workdir.clone(),
        environment: environment(stack)?,
        env_file: service.env_file.is_some().then(|| names::env_file(stack)),
        resources: Resources::new(request.cpu, settings.cpu_limit(request.cpu), request.memory),
        ephemeral: quantity(ByteSize(EPHEMERAL.0.saturating_add(written))),
        user,
        read_only: root.is_none(),
        limits_pids: service.pids.is_some(),
        live: live.map(|(path, port)| Handler { path: Some(path), port: PortRef::Number(port) }),
        pre_stop_seconds: Ending::of(stack).app_after,
        stores: STORES,
        sources: StoreKind::ALL.into_iter().map(|kind| source(stack, kind)).collect(),
        folders: sizes.into_iter().enumerate().map(folder).collect(),
    })
}

/// The words of a command, as Kubernetes takes them: it fills `$(NAME)` in and makes one `$` of two.
pub(crate) fn arguments(stack: &Stack, command: &CommandLine) -> Vec<String> {
    words(command, stack.app_port()).iter().map(|word| escaped(word)).collect()
}

/// The variables, those that others refer to first.
fn environment(stack: &Stack) -> Result<Vec<Variable>> {
    let mut all = Vec::new();
    for variable in variables(stack, LOOPBACK) {
        let of = |kind: &StoreKind| reference(*kind);
        let given =
            |kind: &StoreKind| variable.value == Template::of(of(kind)) && variable.name == name(of(kind));
        let secret = StoreKind::ALL.into_iter().find(given).map(|kind| source(stack, kind));
        let value = secret.is_none().then(|| filled(stack, &variable.value));
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            let message = format!("{}: must not contain a NUL character", variable.path);
            return Err(Failure::new(ExitStatus::Config, message).into());
        }
        let (secret, key) = secret.map(|source| (source.secret, source.key)).unzip();
        all.push(Variable { name: variable.name, value, secret, key });
    }
    let file = |name: &str, key: &str| Variable {
        name: name.to_owned(),
        value: Some(format!("{STORES}/{key}")),
        secret: None,
        key: None,
    };
    let files = [
        file(variable::MONGODB_URI_FILE, names::MONGODB_URI),
        file(variable::REDIS_URL_FILE, names::REDIS_URL),
    ];
    let given = all.iter().take_while(|variable| is_given(&variable.name)).count();
    all.splice(given..given, files);
    Ok(all)
}

fn is_given(name: &str) -> bool {
    [variable::PORT, HOST, variable::MONGODB_URI, variable::REDIS_URL].contains(&name)
}

fn filled(stack: &Stack, template: &Template) -> String {
    let part = |part: &Part| match part {
        Part::Text(text) => escaped(text),
        Part::Reference(Reference::Port) => stack.app_port().to_string(),
        Part::Reference(reference) => format!("$({})", name(*reference)),
    };
    template.parts().iter().map(part).collect()
}

fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// The variable that holds the value of a reference.
fn name(reference: Reference) -> &'static str {
    match reference {
        Reference::Port => variable::PORT,
        Reference::MongodbUri => variable::MONGODB_URI,
        Reference::RedisUrl => variable::REDIS_URL,
    }
}

fn reference(kind: StoreKind) -> Reference {
    match kind {
        StoreKind::Mongodb => Reference::MongodbUri,
        StoreKind::Redis => Reference::RedisUrl,
    }
}

/// Where the address of a store is: in the service's Secret, or in one of the user's own.
fn source(stack: &Stack, kind: StoreKind) -> Source {
    let path = names::address(kind);
    let own = stack.referenced().find(|(known, _)| *known == kind);
    let (secret, key) = match own {
        Some((_, SecretKey { secret, key })) => (secret.clone(), key.clone()),
        None if kind == StoreKind::Redis && names::forwards_redis(stack) => {
            (names::service(stack), names::APP_REDIS_URL.to_owned())
        }
        None => (names::service(stack), path.to_owned()),
    };
    Source { secret, key, path }
}
