//! Stack -> the documents of the Compose target. Pure.
//!
//! The gateway alone publishes the port and alone names the client to the replicas, or to the fronts of an app: it has a fixed
//! address in the edge network, and only that address is in their `TRUSTED_PROXIES`.

mod app;
mod gateway;
mod monitoring;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use appforge_service::contract::{ADMIN_PORT, variable};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::{ExitStatus, Failure};
use crate::render::context::stores::{mongodb_cache_gb, redis_maxmemory, runs_here, shell_word};
use crate::render::engine::{Dialect, Engine};
use crate::render::templates::MONGODB_INIT;
use crate::render::{Draft, Overrides};
use crate::stack::environment::{self, Variable};
use crate::stack::model::Persistence;
use crate::stack::values::{ByteSize, MilliCpu};
use crate::stack::{ComponentKind, Stack, StoreKind};
use app::{App, Front};
use gateway::Gateway;
use monitoring::Monitoring;
pub(crate) use monitoring::{ALERTMANAGER_PORT, PROMETHEUS_PORT, receivers};
pub use monitoring::{GRAFANA_PASSWORD, GRAFANA_PORT, components};

/// The image of `service.image: bundled`, and of fronts; the target loads it, no registry has it.
pub const BUNDLED_IMAGE: &str = concat!("appforge-service:", env!("CARGO_PKG_VERSION"));
/// The fronts of an app: while one is replaced, the other counts.
pub const FRONTS: u32 = 2;
/// What the app of a stack is given and no document contains, as an environment file among the secrets.
pub const APP_VARIABLES: &str = "app.env";
/// The same for the gateway.
pub const GATEWAY_VARIABLES: &str = "gateway.env";
/// The secret files of HTTPS.
pub const TLS_CERT: &str = "tls_cert";
/// See [`TLS_CERT`].
pub const TLS_KEY: &str = "tls_key";

/// The key of the service in the compose file: the stack's name, so that `docker compose up --scale NAME=3` reads well.
pub fn component_key(stack: &Stack) -> &str {
    let name = stack.name.as_str();
    let runs = |kind: ComponentKind| !kind.is_monitoring() || components(stack).contains(&kind);
    // A name of another component would stand for two.
    if ComponentKind::named(name).is_some_and(runs) { ComponentKind::Service.as_str() } else { name }
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
    monitoring: Option<Monitoring>,
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
    secrets: Vec<&'static str>,
    stores: Vec<&'static str>,
    /// An external store may run on this very machine.
    reaches_host: bool,
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
    /// The user of an app of the user's own.
    app: Option<AppUser>,
    config_hash: String,
}

#[derive(Serialize)]
struct AppUser {
    user: &'static str,
    /// The secret file of the password.
    password: &'static str,
    /// One word of a shell.
    database: String,
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
/// The user of an app in a managed MongoDB, who reads and writes the database of the stack.
pub const APP_USER: &str = "app";
/// The secret file of the password of [`APP_USER`].
pub const APP_PASSWORD: &str = "mongodb_app_password";

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
    drafts.extend(context.monitoring.iter_mut().flat_map(Monitoring::take_drafts));
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
            secrets.extend(mongodb.then_some(APP_PASSWORD));
            secrets.retain(|name| *name != "mongodb_uri");
            (None, Some(Front::new(stack, &gateway)), Some(App::new(stack, stores, overrides)))
        } else {
            (Some(Service::new(stack, address, stores)?), None, None)
        };
        let monitoring = Monitoring::new(stack, &gateway)?;
        secrets.extend(gateway.secrets());
        secrets.extend(monitoring.iter().flat_map(Monitoring::secrets));
        secrets.sort_unstable();
        secrets.dedup();
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
                app: stack.service.is_own().then(|| AppUser {
                    user: APP_USER,
                    password: APP_PASSWORD,
                    database: shell_word(&stack.mongodb.database),
                }),
                config_hash: String::new(),
            }),
            redis: redis.then(|| Redis {
                image: stack.redis.image.to_string(),
                memory: memory(stack.redis.memory),
                maxmemory: redis_maxmemory(stack.redis.memory),
                eviction: stack.redis.eviction.as_str(),
                aof: stack.redis.persistence == Persistence::Aof,
            }),
            monitoring,
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
    fn new(stack: &Stack, gateway: Ipv4Addr, stores: Vec<&'static str>) -> Result<Self> {
        Ok(Self {
            key: component_key(stack).to_owned(),
            image: BUNDLED_IMAGE.to_owned(),
            replicas: stack.service.replicas,
            port: stack.service.port,
            admin_port: admin_port(stack),
            cpu: CpuQuota::of(stack.service.resources.cpu),
            memory: memory(stack.service.resources.memory),
            environment: environment(stack, gateway)?,
            secrets: vec!["mongodb_uri", "probe_secret", "redis_url"],
            stores,
            reaches_host: reaches_host(stack),
        })
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
    let listed = stack.rate_limit.trusted_proxies.iter().cloned();
    let proxies: Vec<String> = [format!("{gateway}/32")].into_iter().chain(listed).collect();
    let own = [
        (variable::ADMIN_BIND, "0.0.0.0".to_owned()),
        (variable::ADMIN_PORT, admin_port(stack).to_string()),
        (variable::BIND, "0.0.0.0".to_owned()),
        (variable::PORT, stack.service.port.to_string()),
        (variable::PROBE_SECRET_FILE, "/run/secrets/probe_secret".to_owned()),
        (variable::REDIS_URL_FILE, "/run/secrets/redis_url".to_owned()),
        (variable::TRUSTED_PROXIES, proxies.join(",")),
    ];
    // Alerts on the thresholds count at exactly these durations.
    let bounds = environment::latency_bounds(stack).filter(|_| stack.monitoring.enabled);
    let shared = shared.into_iter().chain(bounds).map(|variable| (variable.name, variable.value));
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
