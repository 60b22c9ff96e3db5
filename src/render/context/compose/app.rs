//! An app of the user's own and its fronts, as the compose file has them.

use appforge_service::contract::variable;
use serde::Serialize;

use crate::render::Overrides;
use crate::render::context::compose::gateway::Gateway;
use crate::render::context::compose::{
    APP_VARIABLES, BUNDLED_IMAGE, CpuQuota, FRONTS, Pair, admin_port, component_key, memory, pairs, placed,
    reaches_host,
};
use crate::stack::app::{variables, words};
use crate::stack::template::Reference;
use crate::stack::{Stack, environment};

/// The user of an app that names none; that of the bundled service too.
const USER: u32 = 65532;
/// Where an app listens, so that the gateway reaches it.
const HOST: &str = "0.0.0.0";
/// Where every app may write.
const SCRATCH: &str = "/tmp";

/// What counts requests before the app.
#[derive(Serialize)]
pub(super) struct Front {
    image: String,
    /// Whether the image is packed from this program.
    packed: bool,
    replicas: u32,
    port: u16,
    admin_port: u16,
    upstream: String,
    /// Relative to other containers, 1024 a core.
    cpu_shares: u32,
    memory: String,
    environment: Vec<Pair>,
    secrets: Vec<&'static str>,
    reaches_host: bool,
}

/// The app.
#[derive(Serialize)]
pub(super) struct App {
    key: String,
    image: String,
    /// What the engine builds.
    build: Option<String>,
    /// In place of the command of the image.
    command: Option<Vec<String>>,
    workdir: Option<String>,
    user: String,
    read_only: bool,
    tmpfs: Vec<String>,
    pids: u32,
    replicas: u32,
    port: u16,
    health: Option<Check>,
    cpu: CpuQuota,
    memory: String,
    environment: Vec<Pair>,
    variables_file: String,
    stores: Vec<&'static str>,
    reaches_host: bool,
}

/// What the gateway asks an app, as HAProxy reads words.
#[derive(Serialize)]
struct Check {
    path: String,
    host: String,
}

impl Front {
    pub(super) fn new(stack: &Stack, gateway: &Gateway) -> Self {
        let own = &stack.runtime.image;
        let variables = placed(stack, gateway.address, environment::front(stack));
        Self {
            image: own.as_ref().map_or_else(|| BUNDLED_IMAGE.to_owned(), ToString::to_string),
            packed: own.is_none(),
            replicas: FRONTS,
            port: stack.service.port,
            admin_port: admin_port(stack),
            upstream: gateway.inner_url(),
            cpu_shares: (stack.runtime.resources.cpu.0.saturating_mul(1024) / 1000).max(2),
            memory: memory(stack.runtime.resources.memory),
            environment: pairs(variables),
            secrets: vec!["probe_secret", "redis_url"],
            reaches_host: reaches_host(stack),
        }
    }
}

impl App {
    pub(super) fn new(stack: &Stack, stores: Vec<&'static str>, overrides: &Overrides) -> Self {
        let (service, port) = (&stack.service, stack.app_port());
        let user = service.run_as.unwrap_or(USER);
        let built = || format!("{}-app", stack.name);
        Self {
            key: component_key(stack).to_owned(),
            image: if service.build.is_some() { built() } else { service.image.to_string() },
            build: service.build.as_ref().map(|folder| format!("{}/{folder}", overrides.project)),
            command: service.command.as_ref().map(|command| words(command, port)),
            workdir: service.workdir.clone(),
            user: format!("{user}:{user}"),
            read_only: service.writable.iter().all(|folder| folder.path != "/"),
            tmpfs: tmpfs(stack),
            pids: service.most_pids(),
            replicas: service.replicas,
            port,
            health: service
                .health
                .as_ref()
                .map(|health| Check { path: word(&health.path), host: word(&health.host) }),
            cpu: CpuQuota::of(service.resources.cpu),
            memory: memory(service.resources.memory),
            environment: shown(stack, port),
            variables_file: format!("{}/{APP_VARIABLES}", overrides.secrets),
            stores,
            reaches_host: reaches_host(stack),
        }
    }
}

/// The variables that documents may show; those that may hold a password are in [`APP_VARIABLES`].
fn shown(stack: &Stack, port: u16) -> Vec<Pair> {
    let files = [(variable::MONGODB_URI_FILE, "mongodb_uri"), (variable::REDIS_URL_FILE, "redis_url")];
    let files = files.map(|(name, file)| (name.to_owned(), format!("/run/secrets/{file}")));
    let value = |reference| if reference == Reference::Port { port.to_string() } else { String::new() };
    let plain = variables(stack, HOST)
        .into_iter()
        .filter(|variable| !variable.value.is_secret())
        .map(|variable| (variable.name, variable.value.fill(value)));
    pairs(plain.chain(files).collect())
}

/// The folders in memory, in the form of `docker run --tmpfs`. Any user may write there, as in `/tmp`.
fn tmpfs(stack: &Stack) -> Vec<String> {
    let writable = &stack.service.writable;
    let mut folders: Vec<String> = writable
        .iter()
        .filter(|folder| folder.path != "/")
        .map(|folder| format!("{}:size={},mode=1777", folder.path, folder.size.0))
        .collect();
    if !writable.iter().any(|folder| folder.path == SCRATCH || folder.path == "/") {
        folders.push(format!("{SCRATCH}:size=16m,mode=1777"));
    }
    folders
}

/// A word of HAProxy's configuration: what would end it or begin a comment is escaped (configuration manual, section 2.2).
fn word(text: &str) -> String {
    text.chars().fold(String::new(), |mut word, c| {
        if "\\\"'# ".contains(c) {
            word.push('\\');
        }
        word.push(c);
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_of_the_gateway_stays_one_word() {
        assert_eq!(word("/health?a='b#c\"d\\e f"), "/health?a=\\'b\\#c\\\"d\\\\e\\ f");
        assert_eq!(word("/healthz"), "/healthz");
    }

    #[test]
    fn app_writes_to_its_own_folders_and_to_tmp() {
        let mut stack = Stack::default();
        assert_eq!(tmpfs(&stack), ["/tmp:size=16m,mode=1777"]);
        stack.service.writable = vec!["/var/cache:1Mi".parse().unwrap(), "/tmp:2Mi".parse().unwrap()];
        assert_eq!(tmpfs(&stack), ["/var/cache:size=1048576,mode=1777", "/tmp:size=2097152,mode=1777"]);
        stack.service.writable = vec!["/".parse().unwrap()];
        assert!(tmpfs(&stack).is_empty(), "all of it can be written to");
    }
}
