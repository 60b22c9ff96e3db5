//! Who runs a store on this machine: someone else, a server found on PATH, or the one within this program.
//!
//! A store that has data stays what it was, so that a server installed later does not seem to lose everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::secrets::Secrets;
use crate::stack::model::StoreMode;
use crate::stack::values::Secret;
use crate::stack::{Stack, StoreKind};
use crate::targets::compose::engine_host;
use crate::targets::local::layout::Layout;
use crate::targets::local::protocol::{Desired, Store};
use crate::targets::plan::{Action, Plan};
use crate::targets::status::{Component, ComponentState, Status};

/// Of `redis.memory` this share is for keys; the rest is for what a server needs besides.
const KEYS_SHARE: (u64, u64) = (3, 4);

/// The password of a Redis that was found on PATH.
pub(super) const REDIS_PASSWORD: &str = "redis-password";
/// The configuration with the password; the arguments of a process can be read by every user.
pub(super) const REDIS_CONFIGURATION: &str = "redis.conf";
/// The URL of that Redis, password included.
pub(super) const REDIS_URL: &str = "redis-url";

/// The document store.
pub(super) fn mongodb(stack: &Stack, layout: &Layout) -> Result<Store> {
    store(stack, StoreKind::Mongodb, BTreeMap::new(), layout)
}

/// The counter and cache store.
pub(super) fn redis(stack: &Stack, layout: &Layout) -> Result<Store> {
    let memory = stack.redis.memory.0 / KEYS_SHARE.1 * KEYS_SHARE.0;
    let settings = BTreeMap::from([
        ("redis.memory".to_owned(), memory.to_string()),
        ("redis.eviction".to_owned(), stack.redis.eviction.as_str().to_owned()),
    ]);
    store(stack, StoreKind::Redis, settings, layout)
}

fn store(
    stack: &Stack,
    kind: StoreKind,
    settings: BTreeMap<String, String>,
    layout: &Layout,
) -> Result<Store> {
    if let Some(uri) = stack.external_text(kind) {
        // The file is written by `keep_addresses`, when the change is made and not when it is looked at.
        let path = Secrets::of(layout.root()).path(&secret_name(kind));
        return Ok(Store::External { uri: layout.within(&path), fingerprint: fingerprint(uri) });
    }
    Ok(match runner(kind, stack.store_mode(kind), layout) {
        Runner::Found(program) => {
            let password = match kind {
                StoreKind::Redis => {
                    Some(fingerprint(&Secrets::of(layout.root()).get_or_make(REDIS_PASSWORD)?))
                }
                StoreKind::Mongodb => None,
            };
            Store::Found { program, settings, password }
        }
        Runner::Container => {
            let secrets = Secrets::of(layout.root());
            let (image, memory) = match kind {
                StoreKind::Mongodb => (&stack.mongodb.image, stack.mongodb.memory),
                StoreKind::Redis => (&stack.redis.image, stack.redis.memory),
            };
            let password = match kind {
                StoreKind::Redis => Some(fingerprint(&secrets.get_or_make(REDIS_PASSWORD)?)),
                StoreKind::Mongodb => None,
            };
            Store::Container {
                image: image.to_string(),
                name: container_name(stack, kind, layout),
                memory: memory.0,
                engine: engine_host(),
                settings,
                password,
            }
        }
        Runner::Embedded { .. } => Store::Embedded { settings },
    })
}

/// One for each folder: two stacks may have the same name.
pub(super) fn container_name(stack: &Stack, kind: StoreKind, layout: &Layout) -> String {
    let folder = Sha256::digest(layout.root().as_os_str().as_encoded_bytes());
    format!("{}-local-{}-{}", stack.name, kind.as_str(), hex::encode(&folder[..4]))
}

/// Distinguishes secrets without showing them.
fn fingerprint(secret: &Secret) -> String {
    hex::encode(&Sha256::digest(secret.reveal().as_bytes())[..8])
}

/// The secret in which the address of an external store is kept for the replicas.
pub(super) fn secret_name(kind: StoreKind) -> String {
    format!("{}-uri", kind.as_str())
}

/// Writes the addresses of external stores to the files that replicas read when they start.
pub(super) fn keep_addresses(stack: &Stack, secrets: &Secrets) -> Result<()> {
    for kind in StoreKind::ALL {
        if let Some(address) = stack.external_text(kind) {
            secrets.keep(&secret_name(kind), address)?;
        }
    }
    Ok(())
}

/// Who runs a store that is not external.
pub(super) enum Runner {
    /// A server found on PATH.
    Found(PathBuf),
    /// A server in a container: the stack asks for it.
    Container,
    /// The store within this program: the stack asks for it, no server is on PATH, or one came after this store had data.
    Embedded { instead_of: Option<PathBuf> },
}

/// Only `auto` looks on PATH.
pub(super) fn runner(kind: StoreKind, mode: StoreMode, layout: &Layout) -> Runner {
    if mode == StoreMode::Embedded {
        return Runner::Embedded { instead_of: None };
    }
    if mode == StoreMode::Container {
        return Runner::Container;
    }
    let programs: &[&str] = match kind {
        StoreKind::Mongodb => &["mongod"],
        StoreKind::Redis => &["redis-server", "valkey-server"],
    };
    let found = programs.iter().find_map(|program| on_path(program));
    let name = kind.as_str();
    let has_data = layout.data().join(name).join(format!("{name}.redb")).exists();
    match found {
        Some(program) if !has_data => Runner::Found(program),
        instead_of => Runner::Embedded { instead_of },
    }
}

/// A program on PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The password of a Redis that was found on PATH, as its configuration has it.
pub(super) fn redis_configuration(password: &Secret) -> Secret {
    Secret::new(format!("requirepass {}\n", password.reveal()))
}

/// Where that Redis is, for its clients.
pub(super) fn redis_url(port: u16, password: &Secret) -> Secret {
    Secret::new(format!("redis://:{}@127.0.0.1:{port}/", password.reveal()))
}

/// What `up` does while another build of appforge runs the stack as `status` shows it: it replaces everything.
pub(super) fn plan_from_another_build(desired: &Desired, status: &Status) -> Plan {
    let mut plan = Plan::default();
    let running = |name: &str| status.components.iter().find(|component| component.name == name);
    for step in plan_from_nothing(desired).steps {
        match running(&step.component) {
            Some(component) if component.state == ComponentState::External => {}
            Some(_) => plan.push(Action::Restart, step.component, vec!["appforge: another build".to_owned()]),
            None => plan.push(Action::Create, step.component, step.causes),
        }
    }
    let extra = |component: &&Component| {
        let number = component.name.strip_prefix("service-").and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number > desired.replicas)
    };
    for component in status.components.iter().filter(extra) {
        plan.push(Action::Remove, component.name.clone(), Vec::new());
    }
    plan
}

/// Lets the embedded stores that have data continue with less than they acknowledged.
pub(super) async fn accept_loss(layout: &Layout) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for kind in StoreKind::ALL {
        let name = kind.as_str();
        let data = layout.data().join(name);
        // Without it there is nothing that could be less; and the folder may be that of a server found on PATH.
        if !data.join(format!("{name}.commit")).exists() {
            continue;
        }
        let accepted = match kind {
            StoreKind::Mongodb => appforge_embedded::mongodb::accept_loss(&data).await?,
            StoreKind::Redis => appforge_embedded::redis::accept_loss(&data).await?,
        };
        let done =
            if accepted { "continues with what its data holds" } else { "is running and lost nothing" };
        lines.push(format!("{name} {done}"));
    }
    Ok(lines)
}

/// What `up` does while nothing runs.
pub(super) fn plan_from_nothing(desired: &Desired) -> Plan {
    let mut plan = Plan::default();
    for kind in StoreKind::ALL {
        plan.push(Action::Create, kind.as_str(), vec![desired.store(kind).described()]);
    }
    for number in 1..=desired.replicas {
        plan.push(Action::Create, format!("service-{number}"), Vec::new());
    }
    plan
}
