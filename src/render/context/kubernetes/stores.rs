//! The managed stores: a StatefulSet each, with what it mounts and how it is found. Pure.

use anyhow::Result;
use serde::Serialize;

use super::object::{Component, Exemptions, Image, Labels, Object, Pair, PortRef, Resources, quantity};
use super::service::{Budget, Port, Service};
use super::{Drafts, PlainObject, Settings, names};
use crate::render::context::compose::STORE_USER;
use crate::render::context::stores::{
    mongodb_cache_gb, mongodb_max_connections, redis_maxmemory, shell_word,
};
use crate::render::templates::MONGODB_INIT;
use crate::stack::StoreKind;
use crate::stack::model::{Persistence, SENTINEL_SERVERS, Topology};
use crate::stack::pods;
use crate::stack::values::{ByteSize, ImageRef, MilliCpu};
use sha2::{Digest, Sha256};

/// The user of the stores' processes; the images' own 999 is a user of many nodes.
const USER: u32 = 10_001;
const GIB: u64 = 1 << 30;

/// What both stores have in common.
#[derive(Serialize)]
struct StatefulSet {
    object: Object,
    selector: Vec<Pair>,
    /// Labels that never change, since a volume claim's cannot.
    claim_labels: Vec<Pair>,
    service_account: String,
    headless_service: String,
    config: String,
    /// Changes with the configuration, so that a new one restarts the store.
    config_hash: String,
    secret: String,
    priority_class: Option<String>,
    pull_secrets: Vec<String>,
    image: Image,
    resources: Resources,
    user: u32,
    port: u16,
    storage: Option<String>,
    storage_class: Option<String>,
    sentinel: Option<Sentinel>,
}

/// The sentinels, one beside each server.
#[derive(Clone, Serialize)]
struct Sentinel {
    /// The name that they know the master by.
    master: String,
    port: u16,
    replicas: u32,
    ordinals: Vec<u32>,
    /// How many must agree that the master is gone.
    quorum: u32,
    /// How many replicas must follow the master for it to take writes; 0 when it always does.
    min_replicas: u32,
    resources: Resources,
}

#[derive(Serialize)]
struct MongodbConfig {
    object: Object,
    user: &'static str,
    replica_set: &'static str,
    port: u16,
    cache_gb: f64,
    max_connections: u32,
    password: &'static str,
    keyfile: &'static str,
    /// The script, as part of a block scalar.
    init: String,
    /// The user of an app of the user's own.
    app: Option<AppUser>,
}

/// A user that reads and writes one database.
#[derive(Serialize)]
struct AppUser {
    user: &'static str,
    password: &'static str,
    /// As a word of a shell.
    database: String,
}

#[derive(Serialize)]
struct RedisConfig {
    object: Object,
    user: &'static str,
    port: u16,
    maxmemory: u64,
    eviction: &'static str,
    aof: bool,
    password: &'static str,
    sentinel: Option<Sentinel>,
}

/// One store, for what does not depend on which.
struct Store<'a> {
    kind: StoreKind,
    name: String,
    image: &'a ImageRef,
    cpu: MilliCpu,
    memory: ByteSize,
    storage: Option<ByteSize>,
    port: u16,
    sentinel: Option<Sentinel>,
}

pub(super) fn add(drafts: &mut Drafts<'_>, settings: &Settings<'_>) -> Result<()> {
    let stack = settings.stack;
    if settings.mongodb {
        let mongodb = &stack.mongodb;
        let store = Store {
            kind: StoreKind::Mongodb,
            name: names::mongodb(stack),
            image: &mongodb.image,
            cpu: pods::MONGODB_CPU,
            memory: mongodb.memory,
            storage: Some(mongodb.storage),
            port: names::MONGODB_PORT,
            sentinel: None,
        };
        let derived = mongodb_max_connections(mongodb.memory);
        let config = |object| MongodbConfig {
            object,
            user: STORE_USER,
            replica_set: names::REPLICA_SET,
            port: names::MONGODB_PORT,
            cache_gb: mongodb_cache_gb(mongodb.memory),
            max_connections: mongodb.max_connections.unwrap_or(derived),
            password: names::ROOT_PASSWORD,
            keyfile: names::KEYFILE,
            init: MONGODB_INIT.lines().map(|line| format!("    {line}\n")).collect(),
            app: stack.service.is_own().then(|| AppUser {
                user: names::APP_USER,
                password: names::APP_PASSWORD,
                database: shell_word(&mongodb.database),
            }),
        };
        store.add(drafts, settings, config)?;
    }
    if settings.redis {
        let redis = &stack.redis;
        let aof = redis.persistence == Persistence::Aof;
        let sentinel = sentinel(settings);
        let store = Store {
            kind: StoreKind::Redis,
            name: names::redis(stack),
            image: &redis.image,
            cpu: pods::REDIS_CPU,
            memory: redis.memory,
            // Room for the file, its successor while it is rewritten, and what is written meanwhile.
            storage: aof.then(|| {
                redis
                    .storage
                    .unwrap_or_else(|| ByteSize(redis.memory.0.saturating_mul(2).next_multiple_of(GIB)))
            }),
            port: names::REDIS_PORT,
            sentinel: sentinel.clone(),
        };
        let config = |object| RedisConfig {
            object,
            user: STORE_USER,
            port: names::REDIS_PORT,
            maxmemory: redis_maxmemory(redis.memory),
            eviction: redis.eviction.as_str(),
            aof,
            password: names::PASSWORD,
            sentinel,
        };
        store.add(drafts, settings, config)?;
    }
    Ok(())
}

fn sentinel(settings: &Settings<'_>) -> Option<Sentinel> {
    let cpu = pods::SENTINEL_CPU;
    (settings.stack.redis.topology == Topology::Sentinel).then(|| Sentinel {
        master: settings.stack.name.to_string(),
        port: names::SENTINEL_PORT,
        replicas: SENTINEL_SERVERS,
        ordinals: (0..SENTINEL_SERVERS).collect(),
        quorum: SENTINEL_SERVERS / 2 + 1,
        min_replicas: settings.stack.redis.min_replicas,
        resources: Resources::new(cpu, settings.cpu_limit(cpu), pods::SENTINEL_MEMORY),
    })
}

impl Store<'_> {
    fn add<C: Serialize>(
        &self,
        drafts: &mut Drafts<'_>,
        settings: &Settings<'_>,
        config: impl FnOnce(Object) -> C,
    ) -> Result<()> {
        let labels = Labels::of(settings.stack, Component::Store(self.kind));
        let object = || labels.object(&self.name);
        let path = |kind: &str| format!("{}-{kind}.yaml", self.kind.as_str());
        let account = PlainObject { object: object() };
        drafts.add(&path("serviceaccount"), "serviceaccount.yaml", &account)?;
        let template = path("configmap");
        let config = drafts.engine.fill(&template, &config(object()))?;
        // The version label changes with the image, which restarts the store anyway.
        let config_hash = hex::encode(&Sha256::digest(&config)[..8]);
        drafts.drafts.push(crate::render::Draft { path: template, text: config });
        let port = |name: &'static str, port| Port { name, port, target: PortRef::Name(name) };
        let mut ports = vec![port(self.kind.as_str(), self.port)];
        if let Some(sentinel) = &self.sentinel {
            ports.push(port("sentinel", sentinel.port));
            let budget = Budget { object: object(), selector: labels.selector() };
            drafts.add(&path("pdb"), "pdb.yaml", &budget)?;
        }
        let service = Service { object: object(), selector: labels.selector(), headless: true, ports };
        drafts.add(&path("service"), "service.yaml", &service)?;
        let image = Image::of_registry(self.image);
        let resources = Resources::new(self.cpu, settings.cpu_limit(self.cpu), self.memory);
        let mut set = object();
        set.annotations = Exemptions::of_container(&image, &resources).annotations();
        let set = StatefulSet {
            object: set,
            selector: labels.selector(),
            claim_labels: labels.stable.clone(),
            service_account: self.name.clone(),
            headless_service: self.name.clone(),
            config: self.name.clone(),
            config_hash,
            secret: self.name.clone(),
            priority_class: settings.priority_class(),
            pull_secrets: settings.stack.kubernetes.pull_secrets.clone(),
            image,
            resources,
            user: USER,
            port: self.port,
            storage: self.storage.map(quantity),
            storage_class: settings.stack.kubernetes.storage_class.clone(),
            sentinel: self.sentinel.clone(),
        };
        drafts.add(&path("statefulset"), &path("statefulset"), &set)
    }
}
