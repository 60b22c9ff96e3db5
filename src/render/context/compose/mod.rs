//! Stack -> the documents of the Compose target. Pure.
//!
//! The gateway alone publishes the port and alone names the client to the replicas, or to the fronts of an app: it has a fixed
//! address in the edge network, and only that address is in their `TRUSTED_PROXIES`.

mod app;
mod gateway;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use appforge_service::contract::{ADMIN_PORT, variable};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::render::context::stores::{mongodb_cache_gb, redis_maxmemory, runs_here};
use crate::render::engine::{Dialect, Engine};
use crate::render::templates::MONGODB_INIT;
use crate::render::{Draft, Overrides};
use crate::stack::environment::{self, Variable};
use crate::stack::model::Persistence;
use crate::stack::values::{ByteSize, MilliCpu};
use crate::stack::{ComponentKind, Stack, StoreKind};
use app::{App, Front};
use gateway::Gateway;

/// The image of `service.image: bundled`, and of fronts; the target loads it, no registry has it.
pub const BUNDLED_IMAGE: &str = concat!("appforge-service:", env!("CARGO_PKG_VERSION"));
/// The fronts of an app: while one is replaced, the other counts.
pub const FRONTS: u32 = 2;
/// What the app of a stack is given and no document contains, as an environment file among the secrets.
pub const APP_VARIABLES: &str = "app.env";
/// The same for the gateway.
pub const GATEWAY_VARIABLES: &str = "gateway.env";
/// The same for what counts requests: the replicas of the bundled service, else the fronts.
pub const COUNTER_VARIABLES: &str = "counter.env";
/// The secret files of HTTPS.
pub const TLS_CERT: &str = "tls_cert";
/// See [`TLS_CERT`].
pub const TLS_KEY: &str = "tls_key";
/// The secret file of the networks of trusted proxies that files of the project list.
pub const PROXIES: &str = "trusted_proxies";
/// What an entry of trusted proxies begins with that is a file.
const FILE: &str = "file:";

/// The key of the service in the compose file: the stack's name, so that `docker compose up --scale NAME=3` reads well.
pub fn component_key(stack: &Stack) -> &str {
    let name = stack.name.as_str();
    // A name of another component would stand for two.
    if ComponentKind::named(name).is_some() { ComponentKind::Service.as_str() } else { name }
}

/// The admin port of each replica: 9090, unless the service itself or the app behind it has it.
pub fn admin_port(stack: &Stack) -> u16 {
    let free = |port: &u16| *port != stack.service.port && stack.service.app_port != Some(*port);
    (ADMIN_PORT..).find(free).unwrap_or(ADMIN_PORT)
}

#[derive(Serialize)]
struct Context {
    stack: String,
    /// The bundled service, unless the stack runs an app.
    service: Option<Service>,
    front: Option<Front>,
    app: Option<App>,
    gateway: Gateway,
    mongodb: Option<Mongodb>,
    redis: Option<Redis>,
    edge_subnet: String,
    secrets: Vec<SecretFile>,
    secrets_folder: String,
    store_user: &'static str,
    publish_stores: bool,
    replicas: u32,
}

#[derive(Serialize)]
struct Service {
    key: String,
    image: String,
    replicas: u32,
    port: u16,
    admin_port: u16,
    cpu: CpuQuota,
    memory: String,
    environment: Vec<Pair>,
    #[serde(flatten)]
    files: CounterFiles,
    stores: Vec<&'static str>,
    /// An external store may run on this very machine.
    reaches_host: bool,
}

/// The files of what counts requests.
#[derive(Serialize)]
struct CounterFiles {
    secrets: Vec<&'static str>,
    variables_file: Option<String>,
}

/// A share of the CPU, in microseconds of each period (CFS bandwidth control of Linux).
#[derive(Serialize)]
struct CpuQuota {
    period: u32,
    quota: u32,
}

impl CpuQuota {
    /// The usual period of 100 ms would stop a replica that used up its share for longer than it waits for Redis, and the
    /// limit would be counted locally then. The kernel takes no quota below 1 ms.
    fn of(cpu: MilliCpu) -> Self {
        let period = if cpu.0 >= 100 { 10_000 } else { 100_000 };
        Self { period, quota: (period / 1000 * cpu.0).max(1000) }
    }
}

/// A variable of a container.
#[derive(Serialize)]
struct Pair {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Mongodb {
    image: String,
    memory: String,
    cache_gb: f64,
    user: &'static str,
    replica_set: &'static str,
    config_hash: String,
}

#[derive(Serialize)]
struct Redis {
    image: String,
    memory: String,
    maxmemory: u64,
    eviction: &'static str,
    aof: bool,
}

#[derive(Serialize)]
struct SecretFile {
    name: &'static str,
    file: String,
}

/// The replica set of the managed MongoDB.
const REPLICA_SET: &str = "rs0";
/// What starts MongoDB.
const MONGODB_START: &str = "mongodb-start.sh";
/// The name that the service and its stores know each other by.
pub const STORE_USER: &str = "appforge";

/// Fills the templates.
pub fn drafts(stack: &Stack, overrides: &Overrides) -> Result<Vec<Draft>> {
    let mut context = Context::new(stack, overrides)?;
    let engine = Engine::new("compose", Dialect::Compose, &overrides.templates)?;
    let gateway = engine.fill("haproxy.cfg", &context)?;
    // Compose does not look into mounted files; with the hash in a label a changed one replaces the gateway.
    context.gateway.config_hash = hex::encode(&Sha256::digest(&gateway)[..8]);
    let mut scripts = Vec::new();
    if let Some(mongodb) = &mut context.mongodb {
        let start = engine.fill(MONGODB_START, &json!({"mongodb": &*mongodb}))?;
        let hash = Sha256::new_with_prefix(&start).chain_update(MONGODB_INIT).finalize();
        mongodb.config_hash = hex::encode(&hash[..8]);
        scripts.push(Draft { path: MONGODB_START.to_owned(), text: start });
        scripts.push(Draft { path: "mongodb-init.js".to_owned(), text: MONGODB_INIT.to_owned() });
    }
    let mut drafts = Vec::new();
    for path in [".env.example", "Dockerfile", "docker-compose.yml"] {
        // It packs the bundled service; another image has its own entry point.
        if path == "Dockerfile" && context.service.is_none() {
            continue;
        }
        drafts.push(Draft { path: path.to_owned(), text: engine.fill(path, &context)? });
    }
    drafts.push(Draft { path: "haproxy.cfg".to_owned(), text: gateway });
    drafts.extend(scripts);
    Ok(drafts)
}

impl Context {
    fn new(stack: &Stack, overrides: &Overrides) -> Result<Self> {
        let subnet = subnet(stack);
        let address = gateway_address(&subnet);
        let mongodb = runs_here("mongodb.mode", stack.mongodb.mode)?;
        let redis = runs_here("redis.mode", stack.redis.mode)?;
        if stack.redis.runs_sentinel() {
            // `render --target all` comes here with a stack that is valid for its own target.
            let message =
                "redis.topology: `sentinel` runs on the target kubernetes only; Compose runs one Redis";
            return Err(Failure::new(ExitStatus::Config, message)
                .hint("write `single`, or render for the one target: `--target kubernetes`")
                .into());
        }
        let mut secrets = vec!["mongodb_uri", "probe_secret", "redis_url"];
        let mut stores = Vec::new();
        if mongodb {
            secrets.extend(["mongodb_keyfile", "mongodb_password"]);
            stores.push(StoreKind::Mongodb.as_str());
        }
        if redis {
            secrets.push("redis_acl");
            stores.push(StoreKind::Redis.as_str());
        }
        let gateway = Gateway::new(stack, address, overrides);
        let (service, front, app) = if stack.service.is_own() {
            secrets.extend(["app_mongodb_uri", "app_redis_url"]);
            secrets.retain(|name| *name != "mongodb_uri");
            (None, Some(Front::new(stack, &gateway, overrides)), Some(App::new(stack, stores, overrides)))
        } else {
            (Some(Service::new(stack, address, stores, overrides)?), None, None)
        };
        secrets.extend(gateway.secrets());
        secrets.sort_unstable();
        Ok(Self {
            stack: stack.name.to_string(),
            service,
            front,
            app,
            gateway,
            mongodb: mongodb.then(|| Mongodb {
                image: stack.mongodb.image.to_string(),
                memory: memory(stack.mongodb.memory),
                cache_gb: mongodb_cache_gb(stack.mongodb.memory),
                user: STORE_USER,
                replica_set: REPLICA_SET,
                config_hash: String::new(),
            }),
            redis: redis.then(|| Redis {
                image: stack.redis.image.to_string(),
                memory: memory(stack.redis.memory),
                maxmemory: redis_maxmemory(stack.redis.memory),
                eviction: stack.redis.eviction.as_str(),
                aof: stack.redis.persistence == Persistence::Aof,
            }),
            edge_subnet: subnet,
            secrets: secrets
                .into_iter()
                .map(|name| SecretFile { name, file: format!("{}/{name}", overrides.secrets) })
                .collect(),
            publish_stores: stack.compose.publish_stores,
            secrets_folder: overrides.secrets.clone(),
            store_user: STORE_USER,
            replicas: stack.service.replicas,
        })
    }
}

impl Service {
    fn new(
        stack: &Stack,
        gateway: Ipv4Addr,
        stores: Vec<&'static str>,
        overrides: &Overrides,
    ) -> Result<Self> {
        Ok(Self {
            key: component_key(stack).to_owned(),
            image: BUNDLED_IMAGE.to_owned(),
            replicas: stack.service.replicas,
            port: stack.service.port,
            admin_port: admin_port(stack),
            cpu: CpuQuota::of(stack.service.resources.cpu),
            memory: memory(stack.service.resources.memory),
            environment: environment(stack, gateway)?,
            files: counter_files(stack, overrides, vec!["mongodb_uri", "probe_secret", "redis_url"]),
            stores,
            reaches_host: reaches_host(stack),
        })
    }
}

/// Whether files of the project list trusted proxies.
fn lists_proxies(stack: &Stack) -> bool {
    stack.rate_limit.trusted_proxies.iter().any(|entry| entry.starts_with(FILE))
}

/// The secret files of what counts requests, and its file of variables, if it has one.
fn counter_files(stack: &Stack, overrides: &Overrides, mut secrets: Vec<&'static str>) -> CounterFiles {
    let listed = lists_proxies(stack);
    secrets.extend(listed.then_some(PROXIES));
    CounterFiles {
        secrets,
        variables_file: listed.then(|| format!("{}/{COUNTER_VARIABLES}", overrides.secrets)),
    }
}

/// An external store may run on this very machine.
fn reaches_host(stack: &Stack) -> bool {
    StoreKind::ALL.into_iter().any(|kind| stack.external(kind).is_some())
}

/// What every target gives a replica, and what depends on this one. `service.env` wins over both.
fn environment(stack: &Stack, gateway: Ipv4Addr) -> Result<Vec<Pair>> {
    let nul = stack.service.env.iter().find(|(_, value)| value.contains('\0'));
    if let Some((name, _)) = nul {
        let message = format!("service.env.{name}: must not contain a NUL character");
        return Err(Failure::new(ExitStatus::Config, message).into());
    }
    let mut variables = placed(stack, gateway, environment::environment(stack));
    variables.insert(variable::MONGODB_URI_FILE.to_owned(), "/run/secrets/mongodb_uri".to_owned());
    for (name, value) in &stack.service.env {
        variables.insert(name.clone(), value.clone());
    }
    Ok(pairs(variables))
}

/// `shared`, and what the containers of this target need: addresses, ports, files.
fn placed(stack: &Stack, gateway: Ipv4Addr, shared: Vec<Variable>) -> BTreeMap<String, String> {
    // Files are joined to one, a secret.
    let joined = |first: Option<String>, entries: &[String]| {
        let listed = entries.iter().filter(|entry| !entry.starts_with(FILE)).cloned();
        let file = lists_proxies(stack).then(|| format!("{FILE}/run/secrets/{PROXIES}"));
        first.into_iter().chain(listed).chain(file).collect::<Vec<_>>().join(",")
    };
    let proxies = joined(Some(format!("{gateway}/32")), &stack.rate_limit.trusted_proxies);
    let key_proxies = Some(environment::key_proxies(stack)).filter(|proxies| !proxies.is_empty());
    let key_proxies = key_proxies.map(|proxies| (variable::RATE_LIMIT_KEY_PROXIES, joined(None, &proxies)));
    let own = [
        (variable::ADMIN_BIND, "0.0.0.0".to_owned()),
        (variable::ADMIN_PORT, admin_port(stack).to_string()),
        (variable::BIND, "0.0.0.0".to_owned()),
        (variable::PORT, stack.service.port.to_string()),
        (variable::PROBE_SECRET_FILE, "/run/secrets/probe_secret".to_owned()),
        (variable::REDIS_URL_FILE, "/run/secrets/redis_url".to_owned()),
        (variable::TRUSTED_PROXIES, proxies),
    ];
    let shared = shared.into_iter().map(|variable| (variable.name, variable.value));
    let own = own.into_iter().chain(key_proxies);
    shared.chain(own.map(|(name, value)| (name.to_owned(), value))).collect()
}

fn pairs(variables: BTreeMap<String, String>) -> Vec<Pair> {
    variables.into_iter().map(|(name, value)| Pair { name, value }).collect()
}

/// The edge network: what the file says, else a /22 out of 10.192.0.0/11 that the name picks, a range that neither Docker
/// nor home routers hand out.
pub fn subnet(stack: &Stack) -> String {
    stack.compose.subnet.clone().unwrap_or_else(|| {
        let hash = Sha256::digest(stack.name.as_str());
        format!("10.{}.{}.0/22", 192 + hash[0] % 32, hash[1] & 0xfc)
    })
}

/// The last address but one of the network, where Docker, which counts from the first, arrives last.
fn gateway_address(subnet: &str) -> Ipv4Addr {
    let (base, length) = subnet.split_once('/').unwrap_or((subnet, "22"));
    let base = base.parse::<Ipv4Addr>().unwrap_or(Ipv4Addr::UNSPECIFIED).to_bits();
    let hosts = u32::MAX.checked_shr(length.parse().unwrap_or(22)).unwrap_or(0);
    Ipv4Addr::from_bits((base | hosts).saturating_sub(1))
}

/// The address that the gateway's port is published on.
pub fn published_on(stack: &Stack) -> IpAddr {
    let address = stack.service.address.or(stack.compose.bind);
    address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The address at which this machine reaches what is published on `bind`.
pub fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(bind) if bind.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(bind) if bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        bind => bind,
    }
}

/// The same as the host part of a URL.
pub fn reachable_host(bind: IpAddr) -> String {
    match reachable(bind) {
        IpAddr::V6(address) => format!("[{address}]"),
        IpAddr::V4(address) => address.to_string(),
    }
}

/// A size as Compose reads it; its `m` is 1024 x 1024.
fn memory(size: ByteSize) -> String {
    match size.0 % (1 << 20) {
        0 => format!("{}m", size.0 >> 20),
        _ => format!("{}b", size.0),
    }
}
