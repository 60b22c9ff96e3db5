//! The rules of MongoDB and Redis. Pure.

use appforge_service::contract::number;

use crate::stack::model::{Persistence, SENTINEL_SERVERS, Stack, StoreMode, TargetKind, Topology};
use crate::stack::validate::violations::Violations;
use crate::stack::values::{Secret, Span};

/// The keys of a store that say where it is, and the schemes of its URI.
struct Keys {
    mode: &'static str,
    uri: &'static str,
    variable: &'static str,
    schemes: [&'static str; 2],
}

const MONGODB: Keys = Keys {
    mode: "mongodb.mode",
    uri: "mongodb.uri",
    variable: "APPFORGE_MONGODB_URI",
    schemes: ["mongodb://", "mongodb+srv://"],
};
const REDIS: Keys = Keys {
    mode: "redis.mode",
    uri: "redis.url",
    variable: "APPFORGE_REDIS_URL",
    schemes: ["redis://", "rediss://"],
};

pub(super) fn addresses(stack: &Stack, violations: &mut Violations) {
    address(stack.target, &MONGODB, stack.mongodb.mode, stack.mongodb.uri.as_ref(), violations);
    address(stack.target, &REDIS, stack.redis.mode, stack.redis.url.as_ref(), violations);
}

fn address(
    target: TargetKind,
    keys: &Keys,
    mode: StoreMode,
    uri: Option<&Secret>,
    violations: &mut Violations,
) {
    let starts = |uri: &Secret| keys.schemes.iter().any(|scheme| uri.reveal().starts_with(scheme));
    let (at, message) = match (mode, uri) {
        (StoreMode::External, None) => {
            let message =
                format!("must be set when `{}` is `external`, here or as {}", keys.mode, keys.variable);
            (keys.uri, message)
        }
        (StoreMode::External, Some(uri)) if uri.reveal().contains("${") => {
            (keys.uri, format!("`${{…}}` is not expanded here; set {} instead", keys.variable))
        }
        (StoreMode::External, Some(uri)) if !starts(uri) => {
            (keys.uri, format!("must start with `{}`", keys.schemes.join("` or `")))
        }
        (StoreMode::External, Some(uri)) if !names_hosts(uri.reveal()) => {
            (keys.uri, "must name a host, and a port between 1 and 65535 where it names one".to_owned())
        }
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
        (mode, Some(_)) if mode != StoreMode::External => {
            (keys.uri, format!("applies only when `{}` is `external`", keys.mode))
        }
        _ => return,
    };
    violations.add(at, message);
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
    violations.at_least("redis.memory", redis.memory, "64Mi", "Redis to rewrite its file");
}
