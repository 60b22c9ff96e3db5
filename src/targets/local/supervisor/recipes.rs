//! How each component is run: the program, its arguments, its environment. Starts nothing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use appforge_service::contract::variable;

use crate::secrets::Secrets;
use crate::stack::StoreKind;
use crate::stack::values::Secret;
use crate::targets::compose::{CONFIGURATION, DATA};
use crate::targets::local::parent_death::SELF;
use crate::targets::local::protocol::{Desired, Setting, Store};
use crate::targets::local::stores::REDIS_URL;
use crate::targets::local::supervisor::app::AppProgram;
use crate::targets::local::supervisor::data::DataFolder;
use crate::targets::local::supervisor::managed::{Recipe, Run};
use crate::targets::local::supervisor::probe::Probe;
use crate::targets::local::supervisor::replica_set;

/// How long a replica may take to finish its requests, a little more than its own deadline of 10 s.
const SERVICE_GRACE: Duration = Duration::from_secs(12);
/// How long a store may take to write what it has.
const STORE_GRACE: Duration = Duration::from_secs(30);

/// The files of a Redis with a password.
pub(super) struct Protected {
    /// Its configuration, seen from the state folder.
    pub(super) configuration: PathBuf,
    /// Its URL.
    pub(super) url: Secret,
}

/// How to run a store on the address of `listener`, MongoDB as a replica `set` of one; `None` when someone else does. A server of someone else takes no
/// socket: the address is set free for it.
pub(super) fn store(
    kind: StoreKind,
    store: &Store,
    protected: Option<Protected>,
    set: bool,
    data: Arc<DataFolder>,
    listener: TcpListener,
) -> Option<Recipe> {
    let name = kind.as_str();
    let address = listener.local_addr().ok()?;
    let port = address.port();
    let (program, data_flag, sockets) = match store {
        Store::External { .. } => return None,
        Store::Embedded { settings } => {
            let mut program =
                vec![SELF.into(), "store".into(), name.into(), "--socket".into(), address.to_string()];
            program.extend(settings.iter().filter_map(|(path, value)| flag(path, "--", value)).flatten());
            (program, "--data", vec![("store", Arc::new(listener))])
        }
        Store::Container { image, name, memory, settings, .. } => {
            let configuration = protected.as_ref().map(|files| files.configuration.as_path());
            let words = container_words(kind, port, settings, set);
            let mut program: Vec<String> =
                [SELF, "store-container", "--name", name, "--image", image].map(Into::into).into();
            program.extend(["--port".into(), port.to_string(), "--memory".into(), memory.to_string()]);
            if let Some(path) = configuration {
                program.extend(["--configuration".into(), path.display().to_string()]);
            }
            program.extend(words.into_iter().map(|word| format!("--word={word}")));
            (program, "--data", Vec::new())
        }
        Store::Found { program, settings, .. } => {
            let program = program.display().to_string();
            let port = port.to_string();
            let mut words: Vec<String> = match kind {
                StoreKind::Mongodb => {
                    let set = ["--replSet", replica_set::NAME].into_iter().filter(|_| set);
                    let fixed = [&*program, "--port", &port, "--bind_ip", "127.0.0.1"];
                    fixed.into_iter().chain(set).map(Into::into).collect()
                }
                StoreKind::Redis => {
                    let fixed = ["--port", &port, "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""];
                    let configuration =
                        protected.as_ref().map(|files| files.configuration.display().to_string());
                    let first = std::iter::once(program).chain(configuration);
                    first.chain(fixed.map(Into::into)).collect()
                }
            };
            if kind == StoreKind::Redis {
                words.extend(settings.iter().filter_map(|(path, value)| flag(path, "--", value)).flatten());
            }
            (words, if kind == StoreKind::Mongodb { "--dbpath" } else { "--dir" }, Vec::new())
        }
    };
    let environment = match store {
        Store::Container { engine, .. } => BTreeMap::from([("DOCKER_HOST".to_owned(), engine.clone())]),
        _ => BTreeMap::new(),
    };
    let probe = match (kind, protected) {
        (StoreKind::Mongodb, _) if set => Probe::MongodbSet(address),
        (StoreKind::Mongodb, _) => Probe::Mongodb(address),
        (StoreKind::Redis, Some(files)) => Probe::Redis(files.url),
        (StoreKind::Redis, None) => Probe::Redis(Secret::new(format!("redis://{address}/"))),
    };
    Some(Recipe {
        name: name.into(),
        run: Run::Same { program, environment, probe },
        sockets,
        data: Some((data_flag, data)),
        grace: STORE_GRACE,
    })
}

/// The server in a container and its arguments. It listens on all addresses of the container; one is published.
fn container_words(
    kind: StoreKind,
    port: u16,
    settings: &BTreeMap<String, String>,
    set: bool,
) -> Vec<String> {
    let port = port.to_string();
    match kind {
        StoreKind::Mongodb => {
            let fixed = ["mongod", "--port", &port, "--bind_ip_all", "--dbpath", DATA];
            let set = ["--replSet", replica_set::NAME].into_iter().filter(|_| set);
            fixed.into_iter().chain(set).map(Into::into).collect()
        }
        StoreKind::Redis => {
            let fixed = [
                "redis-server",
                CONFIGURATION,
                "--port",
                &port,
                "--bind",
                "0.0.0.0",
                "--dir",
                DATA,
                "--appendonly",
                "yes",
                "--save",
                "",
            ];
            let flags = settings.iter().filter_map(|(path, value)| flag(path, "--", value)).flatten();
            fixed.map(Into::into).into_iter().chain(flags).collect()
        }
    }
}

/// The flags that the embedded Redis and a real one share.
fn flag(path: &str, dashes: &str, value: &str) -> Option<[String; 2]> {
    let name = match path {
        "redis.memory" => "maxmemory",
        "redis.eviction" => "maxmemory-policy",
        _ => return None,
    };
    Some([format!("{dashes}{name}"), value.to_owned()])
}

/// The whole environment of a replica in the state folder `root`, with where each value comes from.
pub(crate) fn environment(
    root: &Path,
    desired: &Desired,
    mongodb: Option<u16>,
    redis: Option<u16>,
) -> BTreeMap<String, Setting> {
    let mut all = desired.environment.clone();
    let mut set = |name: &str, value: String, path: &str| {
        all.insert(name.to_owned(), Setting { value, path: path.to_owned() });
    };
    set(variable::PROBE_SECRET_FILE, desired.probe_secret.display().to_string(), "the probe secret");
    match (&desired.mongodb, mongodb) {
        // A front asks no MongoDB.
        _ if desired.app.is_some() => {}
        (Store::External { uri, fingerprint }, _) => {
            set(variable::MONGODB_URI_FILE, uri.display().to_string(), "mongodb.mode");
            set("APPFORGE_MONGODB_FINGERPRINT", fingerprint.clone(), "mongodb.uri");
        }
        (_, Some(port)) => set(variable::MONGODB_URI, format!("mongodb://127.0.0.1:{port}/"), "mongodb.mode"),
        (_, None) => {}
    }
    match (&desired.redis, redis) {
        (Store::External { uri, fingerprint }, _) => {
            set(variable::REDIS_URL_FILE, uri.display().to_string(), "redis.mode");
            set("APPFORGE_REDIS_FINGERPRINT", fingerprint.clone(), "redis.url");
        }
        (
            Store::Found { password: Some(fingerprint), .. }
            | Store::Container { password: Some(fingerprint), .. },
            Some(port),
        ) => {
            let url = Secrets::of(root).path(REDIS_URL);
            set(variable::REDIS_URL_FILE, url.display().to_string(), "redis.mode");
            // The file keeps its name when the port or the password in it changes.
            set("APPFORGE_REDIS_FINGERPRINT", format!("{port}-{fingerprint}"), "redis.mode");
        }
        (_, Some(port)) => set(variable::REDIS_URL, format!("redis://127.0.0.1:{port}/"), "redis.mode"),
        (_, None) => {}
    }
    all
}

/// How to run a replica on the public sockets and its admin socket: the bundled service or, with `upstream`, the front of the
/// app that listens there.
///
/// # Errors
/// When a socket has no address.
pub(super) fn replica(
    number: u32,
    replicas: u32,
    environment: &BTreeMap<String, Setting>,
    public: &[Arc<TcpListener>],
    admin: Arc<TcpListener>,
    upstream: Option<u16>,
) -> std::io::Result<Recipe> {
    let name = format!("service-{number}");
    let admin_address = admin.local_addr()?;
    let mut program = vec![SELF.to_owned(), "serve".to_owned()];
    let mut sockets = Vec::new();
    for socket in public {
        program.extend(["--public".to_owned(), socket.local_addr()?.to_string()]);
        sockets.push(("public", socket.clone()));
    }
    program.extend(["--admin".to_owned(), admin_address.to_string()]);
    sockets.push(("admin", admin));
    if let Some(port) = upstream {
        program.extend(["--upstream".to_owned(), format!("http://127.0.0.1:{port}")]);
    }
    let mut variables: BTreeMap<String, String> =
        environment.iter().map(|(name, setting)| (name.clone(), setting.value.clone())).collect();
    variables.insert(variable::REPLICA_ID.into(), name.clone());
    // The log adds the time.
    variables.entry(variable::LOG_FORMAT.into()).or_insert_with(|| "bare".into());
    variables.insert(variable::RATE_LIMIT_REPLICAS.into(), replicas.to_string());
    Ok(Recipe {
        name,
        run: Run::Same { program, environment: variables, probe: Probe::Service(admin_address) },
        sockets,
        data: None,
        grace: SERVICE_GRACE,
    })
}

/// How to run the app behind a replica.
pub(super) fn app(number: u32, app: Arc<AppProgram>) -> Recipe {
    Recipe {
        name: format!("service-{number}/app"),
        run: Run::App(app),
        sockets: Vec::new(),
        data: None,
        grace: SERVICE_GRACE,
    }
}

/// The values that differ, as `path: old -> new`. Values that are files or fingerprints are not shown.
pub(crate) fn differences(old: &BTreeMap<String, Setting>, new: &BTreeMap<String, Setting>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before.map(|setting| &setting.value) == after.map(|setting| &setting.value) {
            continue;
        }
        let path = after.or(before).map(|setting| setting.path.clone()).unwrap_or_default();
        let opaque = name.ends_with("_FILE") || name.ends_with("_FINGERPRINT");
        let shown =
            |setting: Option<&Setting>| setting.map_or("unset".to_owned(), |setting| setting.value.clone());
        lines.push(if opaque {
            format!("{path}: changed")
        } else {
            format!("{path}: {} -> {}", shown(before), shown(after))
        });
    }
    lines.dedup();
    lines
}
