//! The rules of MongoDB and Redis. Pure.

use appforge_service::contract::{REDIS_SCHEMES, RedisHosts, number};

use crate::stack::StoreKind;
use crate::stack::model::{Persistence, SENTINEL_SERVERS, Stack, StoreMode, TargetKind, Topology};
use crate::stack::validate::violations::Violations;
use crate::stack::values::{SecretKey, Span, StoreAddress};

/// The keys of a store that say where it is, and the schemes of its URI.
struct Keys {
    mode: &'static str,
    uri: &'static str,
    variable: &'static str,
    schemes: &'static [&'static str],
}

const MONGODB: Keys = Keys {
    mode: "mongodb.mode",
    uri: "mongodb.uri",
    variable: "APPFORGE_MONGODB_URI",
    schemes: &["mongodb://", "mongodb+srv://"],
};
const REDIS: Keys =
    Keys { mode: "redis.mode", uri: "redis.url", variable: "APPFORGE_REDIS_URL", schemes: &REDIS_SCHEMES };

pub(super) fn addresses(stack: &Stack, violations: &mut Violations) {
    address(stack, &MONGODB, stack.mongodb.mode, stack.mongodb.uri.as_ref(), violations);
    address(stack, &REDIS, stack.redis.mode, stack.redis.url.as_ref(), violations);
}

fn address(
    stack: &Stack,
    keys: &Keys,
    mode: StoreMode,
    address: Option<&StoreAddress>,
    violations: &mut Violations,
) {
    let uri = address.and_then(StoreAddress::text);
    if let (StoreMode::External, Some(key)) = (mode, address.and_then(StoreAddress::key)) {
        return reference(stack, keys.uri, key, violations);
    }
    let target = stack.target;
    let (at, message) = match (mode, uri) {
        (StoreMode::External, None) => {
            let message =
                format!("must be set when `{}` is `external`, here or as {}", keys.mode, keys.variable);
            (keys.uri, message)
        }
        (StoreMode::External, Some(uri)) if uri.reveal().contains("${") => {
            (keys.uri, format!("`${{…}}` is not expanded here; set {} instead", keys.variable))
        }
        (StoreMode::External, Some(uri)) => match fault(keys, uri.reveal()) {
            Some(what) => (keys.uri, what),
            None => return,
        },
        (StoreMode::Managed, _) if target == TargetKind::Local => {
            let message = "`managed` requires the target compose or kubernetes; local takes `embedded`, `container` and `external`";
            (keys.mode, message.to_owned())
        }
        (StoreMode::Embedded, _) if target != TargetKind::Local => {
            let message =
                "`embedded` runs on the target local only; write `managed`, or `external` with a URI";
            (keys.mode, message.to_owned())
        }
        (StoreMode::Container, _) if target != TargetKind::Local => {
            let message =
                "`container` runs on the target local only; write `managed`, which is one in a container too";
            (keys.mode, message.to_owned())
        }
        (mode, _) if address.is_some() && mode != StoreMode::External => {
            (keys.uri, format!("applies only when `{}` is `external`", keys.mode))
        }
        _ => return,
    };
    violations.add(at, message);
}

/// A Secret of the user's own in the cluster: where its name fits, and whose it is.
fn reference(stack: &Stack, path: &str, key: &SecretKey, violations: &mut Violations) {
    if stack.target != TargetKind::Kubernetes {
        let message = "a `secret` with its `key` requires the target kubernetes; write the URI itself";
        violations.add(path, message);
        return;
    }
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    let name = &key.secret;
    let fits = name.len() <= 253 && name.split('.').all(part);
    violations.expect(&format!("{path}.secret"), name, fits, "the name of a Secret");
    if *name == format!("{}-app", stack.name) {
        violations
            .add(format!("{path}.secret"), format!("must be a Secret of your own; `{name}` is the stack's"));
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=253).contains(&key.key.len()) && key.key.bytes().all(inner);
    violations.expect(&format!("{path}.key"), &key.key, fits, "the key of a Secret");
}

/// What is wrong with the address of a store, without its text.
pub(crate) fn address_fault(kind: StoreKind, uri: &str) -> Option<String> {
    match kind {
        StoreKind::Mongodb => fault(&MONGODB, uri),
        StoreKind::Redis => fault(&REDIS, uri),
    }
}

fn fault(keys: &Keys, uri: &str) -> Option<String> {
    if !keys.schemes.iter().any(|scheme| uri.starts_with(scheme)) {
        let (last, others) = keys.schemes.split_last()?;
        return Some(format!("must start with `{}` or `{last}`", others.join("`, `")));
    }
    if !names_hosts(uri) {
        return Some("must name a host, and a port between 1 and 65535 where it names one".to_owned());
    }
    RedisHosts::parse(uri).err().map(str::to_owned)
}

/// Whether each host of a URI has a name and, where one is written, a port. The rest is the driver's to judge.
fn names_hosts(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    hosts.split(',').all(|host| {
        let (name, port) = match host.rsplit_once(']') {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
        };
        !name.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    })
}

pub(super) fn mongodb(stack: &Stack, violations: &mut Violations) {
    let mongodb = &stack.mongodb;
    let name = &mongodb.database;
    let fits =
        (1..=63).contains(&name.len()) && !name.contains(|c: char| r#"/\."$ "#.contains(c) || c.is_control());
    let what = "a database name of 1 to 63 bytes without `/`, `\\`, `.`, `\"`, `$` and spaces";
    violations.expect("mongodb.database", name, fits, what);
    violations.at_least("mongodb.memory", mongodb.memory, "512Mi", "MongoDB");
    violations.at_least("mongodb.storage", mongodb.storage, "512Mi", "MongoDB");
    if let Some(most) = mongodb.max_connections {
        violations.within("mongodb.max_connections", most, 10, 1_000_000);
    }
    let pool = &mongodb.pool;
    let number = number::MONGODB_MAX_POOL_SIZE;
    violations.within("mongodb.pool.max", pool.max, number.least, number.most);
    if pool.min > pool.max {
        let message = format!("must be at most mongodb.pool.max, which is {}, got {}", pool.max, pool.min);
        violations.add("mongodb.pool.min", message);
    }
    for (path, span) in [
        ("mongodb.pool.max_idle", pool.max_idle),
        ("mongodb.pool.server_selection_timeout", pool.server_selection_timeout),
        ("mongodb.pool.socket_timeout", pool.socket_timeout),
    ] {
        violations.within(path, span, Span::of_millis(1), Span::of_secs(3600));
    }
}

pub(super) fn redis(stack: &Stack, violations: &mut Violations) {
    let redis = &stack.redis;
    if redis.topology == Topology::Sentinel && redis.persistence == Persistence::None {
        let message =
            "must be `aof` with `sentinel`: a master that restarts without its data would clear its replicas";
        violations.add("redis.persistence", message);
    }
    if stack.target == TargetKind::Compose && redis.runs_sentinel() {
        let message = "`sentinel` runs on the target kubernetes only; Compose runs one Redis: write `single`";
        violations.add("redis.topology", message);
    }
    violations.within("redis.min_replicas", redis.min_replicas, 0, SENTINEL_SERVERS - 1);
    if let Some(storage) = redis.storage.filter(|storage| *storage < redis.memory) {
        let message = format!("must be at least redis.memory, which is {}, got {storage}", redis.memory);
        violations.add("redis.storage", message);
    }
    violations.at_least("redis.memory", redis.memory, "64Mi", "Redis to rewrite its file");
}
