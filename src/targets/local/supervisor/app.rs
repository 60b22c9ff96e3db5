//! How an app of the user's own is run: the port, the words and the environment of each start. Starts nothing.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use appforge_service::contract::variable;
use appforge_service::redis::Forward;

use crate::stack::app::words;
use crate::stack::template::Reference;
use crate::stack::values::Secret;
use crate::targets::local::protocol::{App, Setting, Surroundings};
use crate::targets::local::supervisor::start::Start;

/// From this port on the kernel takes the ports of outgoing connections, unless the machine says otherwise.
const EPHEMERAL: u16 = 32_768;
/// Ports below are often a service of the machine.
const LOWEST: u16 = 10_000;

/// An app and all that one start of it needs.
#[derive(Debug)]
pub(in crate::targets::local) struct AppProgram {
    pub(super) app: App,
    pub(super) surroundings: Arc<Surroundings>,
    /// Where MongoDB is, with the settings of the pool.
    pub(super) mongodb: Secret,
    /// Where Redis is.
    pub(super) redis: Secret,
    /// What leads from there to the master that sentinels name, as long as the app is kept.
    pub(super) _forward: Option<Forward>,
    /// The files that hold the two, by variable.
    pub(super) files: [(&'static str, PathBuf); 2],
    /// The port of the first start, which the front is given at its own start.
    pub(super) first: Mutex<Option<u16>>,
}

impl AppProgram {
    /// What the next start is.
    ///
    /// # Errors
    /// When no port is free.
    pub(super) fn next(&self) -> Result<Start> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let port = first.map_or_else(|| self.port(), Ok)?;
        Ok(Start {
            program: words(&self.app.command, port),
            environment: self.environment(port),
            place: Some((self.app.folder.clone(), port)),
        })
    }

    /// The port for a start: the one that the app always takes, or one that is free and was not the last.
    pub(super) fn port(&self) -> Result<u16> {
        self.app.port.map_or_else(free_port, Ok)
    }

    /// The environment of an app that listens on `port`. What the stack file says wins over the file of variables, and that
    /// over the shell.
    pub(super) fn environment(&self, port: u16) -> BTreeMap<String, String> {
        let Surroundings { shell, file } = &*self.surroundings;
        let mut all: BTreeMap<String, String> =
            shell.iter().chain(file).map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, path) in &self.files {
            all.insert((*name).to_owned(), path.display().to_string());
        }
        for variable in &self.app.variables {
            let value = variable.value.fill(|reference| match reference {
                Reference::Port => port.to_string(),
                Reference::MongodbUri => self.mongodb.reveal().to_owned(),
                Reference::RedisUrl => self.redis.reveal().to_owned(),
            });
            all.insert(variable.name.clone(), value);
        }
        all
    }
}

/// What differs between two forms of an app, by name; its values as the stack file has them.
pub(super) fn settings(app: &App) -> BTreeMap<String, Setting> {
    let mut all = app.decisive.clone();
    let mut set = |name: &str, value: String, path: &str| {
        all.insert(name.to_owned(), Setting { value, path: path.to_owned() });
    };
    set("command", app.command.texts().join(" "), "service.command");
    set("folder", app.folder.display().to_string(), "service.workdir");
    if let Some(port) = app.port {
        set("port", port.to_string(), "service.app_port");
    }
    if let Some(file) = &app.file {
        set("ENV_FILE_FINGERPRINT", file.clone(), "service.env_file");
    }
    let pool = &app.pool;
    for (path, value) in [
        ("mongodb.database", app.database.clone()),
        ("mongodb.pool.max", pool.max.to_string()),
        ("mongodb.pool.min", pool.min.to_string()),
        ("mongodb.pool.max_idle", pool.max_idle.to_string()),
        ("mongodb.pool.server_selection_timeout", pool.server_selection_timeout.to_string()),
        ("mongodb.pool.socket_timeout", pool.socket_timeout.to_string()),
    ] {
        set(path, value, path);
    }
    for variable in &app.variables {
        set(&format!("env {}", variable.name), variable.value.to_string(), &variable.path);
    }
    all
}

/// The ports that were given last: an app listens some time after it got its port, and meanwhile it is free.
static GIVEN: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());
/// Twice the most replicas of this target.
const REMEMBERED: usize = 128;

/// The variables that name the files of [`AppProgram::files`].
pub(super) const FILES: [&str; 2] = [variable::MONGODB_URI_FILE, variable::REDIS_URL_FILE];

/// A port on which nothing listens, below those of outgoing connections: one of these could take it before the app does.
fn free_port() -> Result<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_ascii_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(EPHEMERAL);
    let end = if end > LOWEST { end } else { EPHEMERAL };
    let span = end - LOWEST;
    let mut random = [0; 2];
    getrandom::fill(&mut random).context("the system gave no randomness")?;
    let start = u16::from_le_bytes(random) % span;
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_free =
        |port: &u16| !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = (0..span)
        .map(|step| LOWEST + (start.wrapping_add(step) % span))
        .find(is_free)
        .with_context(|| format!("no port from {LOWEST} to {} is free", end - 1))?;
    if given.len() == REMEMBERED {
        given.pop_front();
    }
    given.push_back(port);
    Ok(port)
}
