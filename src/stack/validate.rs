//! What a stack must mean, beyond having the right shape: a list of rules, each with the path it judges. Pure.

use std::net::{IpAddr, Ipv4Addr};

use appforge_service::contract::variable;
use rust_decimal::Decimal;

use crate::stack::kubernetes::{CpuLimit, RouteApi, is_object_name};
use crate::stack::model::{Persistence, SENTINEL_SERVERS, Stack, StoreMode, TargetKind, Topology};
use crate::stack::values::{Name, Secret};

/// Most replicas on one machine: each holds 10 connections to MongoDB at least.
pub const MAX_LOCAL_REPLICAS: u32 = 64;
/// Most replicas anywhere.
pub const MAX_REPLICAS: u32 = 1000;

/// Variables that appforge sets for each replica itself.
const RESERVED: [&str; 11] = [
    variable::PORT,
    variable::BIND,
    variable::ADMIN_PORT,
    variable::ADMIN_BIND,
    variable::REPLICA_ID,
    variable::MONGODB_URI,
    variable::MONGODB_URI_FILE,
    variable::REDIS_URL,
    variable::REDIS_URL_FILE,
    variable::PROBE_SECRET,
    variable::PROBE_SECRET_FILE,
];

/// Prefixes of the variables with which sockets are handed over.
const HAND_OVER: &str = "LISTEN_";
/// Prefixes of the variables with which the dynamic linker loads other code into a program.
const LINKER: [&str; 2] = ["LD_", "DYLD_"];

type Problems = Vec<(&'static str, String)>;

/// All that is wrong, as `(path, sentence)`.
pub fn validate(stack: &Stack) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let (mongodb, redis) = (&stack.mongodb, &stack.redis);
    let modes = ("mongodb.mode", "mongodb.uri", mongodb.mode, mongodb.uri.as_ref());
    store(stack.target, modes, &["mongodb://", "mongodb+srv://"], &mut problems);
    let modes = ("redis.mode", "redis.url", redis.mode, redis.url.as_ref());
    store(stack.target, modes, &["redis://", "rediss://"], &mut problems);
    let mut all = validate_running(stack);
    all.extend(problems.into_iter().map(|(path, message)| (path.to_owned(), message)));
    all
}

/// The same without the addresses of the stores: a command that shows or stops what runs does not need them, and the
/// variables that hold them may be set in another shell.
pub fn validate_running(stack: &Stack) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    service(stack, &mut problems);
    rate_limit(stack, &mut problems);
    mongodb(stack, &mut problems);
    redis(stack, &mut problems);
    compose(stack, &mut problems);
    kubernetes(stack, &mut problems);
    cost(stack, &mut problems);
    let problems = problems.into_iter().map(|(path, message)| (path.to_owned(), message));
    problems.chain(variables(stack)).collect()
}

/// The most replicas that a target takes.
pub fn max_replicas(target: TargetKind) -> u32 {
    if target == TargetKind::Local { MAX_LOCAL_REPLICAS } else { MAX_REPLICAS }
}

fn service(stack: &Stack, problems: &mut Problems) {
    if stack.version != 1 {
        problems.push(("version", format!("{} is not a version of this format; write 1", stack.version)));
    }
    within("service.replicas", stack.service.replicas, 1, max_replicas(stack.target), problems);
    within("service.port", u32::from(stack.service.port), 1, 65_535, problems);
    if stack.target == TargetKind::Local && !stack.service.image.is_bundled() {
        let message =
            format!("the local target runs `bundled` only, not the image `{}`", stack.service.image);
        problems.push(("service.image", message));
    }
    if stack.service.resources.memory.0 < 64 << 20 {
        problems.push(("service.resources.memory", "less than 64MiB, which one replica needs".into()));
    }
}

fn variables(stack: &Stack) -> Vec<(String, String)> {
    let wrong = |name: &str| {
        let valid = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            return Some((String::new(), format!("`{name}` is not a name of an environment variable")));
        }
        let message = if RESERVED.contains(&name) || name.starts_with(HAND_OVER) {
            format!("`{name}` is set by appforge itself; remove it")
        } else if stack.service.image.is_bundled() && LINKER.iter().any(|prefix| name.starts_with(prefix)) {
            format!("`{name}` would load other code into the bundled service; remove it")
        } else {
            return None;
        };
        Some((format!(".{name}"), message))
    };
    let wrong = stack.service.env.keys().filter_map(|name| wrong(name));
    wrong.map(|(key, message)| (format!("service.env{key}"), message)).collect()
}

fn rate_limit(stack: &Stack, problems: &mut Problems) {
    let limit = &stack.rate_limit;
    within("rate_limit.requests", limit.requests, 1, 1_000_000_000, problems);
    let seconds = limit.window.0.as_secs_f64();
    if !(1.0..=2_678_400.0).contains(&seconds) {
        problems.push(("rate_limit.window", format!("{} is not within 1s to 744h", limit.window)));
    }
    within("rate_limit.ipv6_prefix", limit.ipv6_prefix, 32, 128, problems);
    for network in &limit.trusted_proxies {
        if !is_network(network) {
            let message = format!("`{network}` is no network such as `10.0.0.0/8` or `fd00::/8`");
            problems.push(("rate_limit.trusted_proxies", message));
        }
    }
}

fn mongodb(stack: &Stack, problems: &mut Problems) {
    let mongodb = &stack.mongodb;
    let name = &mongodb.database;
    if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', '"', '$', ' ', '\0']) {
        problems.push(("mongodb.database", format!("`{name}` is no name of a database")));
    }
    if mongodb.memory.0 < 512 << 20 {
        problems.push(("mongodb.memory", "less than 512MiB, which MongoDB needs".into()));
    }
    if let Some(most) = mongodb.max_connections {
        within("mongodb.max_connections", most, 10, 1_000_000, problems);
    }
    let pool = &mongodb.pool;
    within("mongodb.pool.max", pool.max, 1, 10_000, problems);
    if pool.min > pool.max {
        let message = format!("{} is more than pool.max, which is {}", pool.min, pool.max);
        problems.push(("mongodb.pool.min", message));
    }
    for (path, span) in [
        ("mongodb.pool.max_idle", pool.max_idle),
        ("mongodb.pool.server_selection_timeout", pool.server_selection_timeout),
        ("mongodb.pool.socket_timeout", pool.socket_timeout),
    ] {
        if span.0.is_zero() || span.0.as_secs() > 3600 {
            problems.push((path, format!("{span} is not within 1ms to 1h")));
        }
    }
}

fn redis(stack: &Stack, problems: &mut Problems) {
    let redis = &stack.redis;
    if redis.topology == Topology::Sentinel && redis.persistence == Persistence::None {
        let message = "a master that comes back empty would empty the others; write `aof`";
        problems.push(("redis.persistence", message.into()));
    }
    if stack.target == TargetKind::Compose && redis.runs_sentinel() {
        let message = "`sentinel` runs on the target kubernetes only; Compose runs one Redis: write `single`";
        problems.push(("redis.topology", message.into()));
    }
    within("redis.min_replicas", redis.min_replicas, 0, SENTINEL_SERVERS - 1, problems);
    if redis.memory.0 < 64 << 20 {
        problems.push(("redis.memory", "less than 64MiB, which Redis needs to rewrite its file".into()));
    }
}

fn compose(stack: &Stack, problems: &mut Problems) {
    if let Some(subnet) = &stack.compose.subnet {
        let parts = subnet.split_once('/').and_then(|(address, length)| {
            Some((address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?))
        });
        let fits = parts
            .is_some_and(|(address, length)| (16..=28).contains(&length) && address.to_bits() << length == 0);
        if !fits {
            let message = format!("`{subnet}` is no network such as `10.200.4.0/22`, IPv4 and /16 to /28");
            problems.push(("compose.subnet", message));
        }
    }
    for document in stack.patches.keys() {
        if !["compose/", "kubernetes/"].iter().any(|target| document.starts_with(target)) {
            let message = format!("`{document}` is no document such as `compose/docker-compose.yml`");
            problems.push(("patches", message));
        }
    }
}

/// The environment variable that sets a path of the stack.
pub(super) fn variable_of(path: &str) -> String {
    format!("APPFORGE_{}", path.to_uppercase().replace('.', "_"))
}

type Modes<'a> = (&'static str, &'static str, StoreMode, Option<&'a Secret>);

fn store(
    target: TargetKind,
    (mode_at, uri_at, mode, uri): Modes<'_>,
    schemes: &[&str],
    problems: &mut Problems,
) {
    match (mode, uri) {
        (StoreMode::External, None) => {
            problems.push((
                uri_at,
                format!("must be set when {mode_at} is `external`, here or by {}", variable_of(uri_at)),
            ));
        }
        (StoreMode::External, Some(uri)) if uri.reveal().contains("${") => {
            let variable = variable_of(uri_at);
            problems.push((
                uri_at,
                format!("`${{…}}` is not replaced here; set the variable {variable} instead"),
            ));
        }
        (StoreMode::External, Some(uri))
            if !schemes.iter().any(|scheme| uri.reveal().starts_with(scheme)) =>
        {
            problems.push((uri_at, format!("must start with {}", schemes.join(" or "))));
        }
        (StoreMode::Managed, _) if target == TargetKind::Local => {
            problems.push((
                mode_at,
                "`managed` needs compose or kubernetes; local has `embedded` and `external`".into(),
            ));
        }
        (mode, Some(_)) if mode != StoreMode::External => {
            problems.push((uri_at, format!("is read only when {mode_at} is `external`")));
        }
        _ => {}
    }
}

fn kubernetes(stack: &Stack, problems: &mut Problems) {
    let kubernetes = &stack.kubernetes;
    if let Some(scaling) = kubernetes.autoscaling {
        within("kubernetes.autoscaling.min", scaling.min, 1, MAX_REPLICAS, problems);
        within("kubernetes.autoscaling.max", scaling.max, 1, MAX_REPLICAS, problems);
        if scaling.min > scaling.max {
            let message = format!("{} is more than autoscaling.max, which is {}", scaling.min, scaling.max);
            problems.push(("kubernetes.autoscaling.min", message));
        }
        for (path, share) in
            [("kubernetes.autoscaling.cpu", scaling.cpu), ("kubernetes.autoscaling.memory", scaling.memory)]
        {
            if share.0 < 1.0 {
                problems.push((path, format!("{share} is not within 1% to 100%")));
            }
        }
    }
    if let CpuLimit::Cpu(limit) = kubernetes.cpu_limit
        && limit < stack.service.resources.cpu
    {
        let message = format!(
            "{limit} is less than the request service.resources.cpu, which is {}",
            stack.service.resources.cpu
        );
        problems.push(("kubernetes.cpu_limit", message));
    }
    let named = |path, name: &Option<String>, problems: &mut Problems| {
        if let Some(name) = name
            && !is_object_name(name)
        {
            problems.push((path, format!("`{name}` is no name of lower-case letters, digits, `-` and `.`")));
        }
    };
    named("kubernetes.ingress", &kubernetes.ingress, problems);
    named("kubernetes.storage_class", &kubernetes.storage_class, problems);
    for secret in &kubernetes.pull_secrets {
        named("kubernetes.pull_secrets", &Some(secret.clone()), problems);
    }
    let route = &kubernetes.route;
    named("kubernetes.route.class", &route.class, problems);
    named("kubernetes.route.tls_secret", &route.tls_secret, problems);
    named("kubernetes.route.issuer", &route.issuer, problems);
    if let Some(gateway) = &route.gateway {
        let fits = gateway
            .split_once('/')
            .is_some_and(|(namespace, name)| namespace.parse::<Name>().is_ok() && is_object_name(name));
        if !fits {
            problems.push(("kubernetes.route.gateway", format!("`{gateway}` is no `NAMESPACE/NAME`")));
        }
    }
    let by_gateway = kubernetes.ingress.is_some() && route.api == RouteApi::Gateway;
    if by_gateway && route.class.is_some() == route.gateway.is_some() {
        let message = "give either the `gateway` that is there or the `class` of a new one";
        problems.push(("kubernetes.route.api", message.into()));
    }
    for (path, probe) in [
        ("kubernetes.probes.liveness", &kubernetes.probes.liveness),
        ("kubernetes.probes.readiness", &kubernetes.probes.readiness),
    ] {
        if let Some(probe) = probe
            && !(probe.starts_with('/') && probe.chars().all(|c| c.is_ascii_graphic()))
        {
            problems.push((path, format!("`{probe}` is no path such as `/healthz`")));
        }
    }
    if kubernetes.probes.liveness.is_some() && kubernetes.probes.liveness == kubernetes.probes.readiness {
        let message = "is the path of the readiness too: a replica that only is not ready would be killed";
        problems.push(("kubernetes.probes.liveness", message.into()));
    }
    if kubernetes.probes.port == Some(0) {
        problems.push(("kubernetes.probes.port", "0 is not within 1 to 65535".into()));
    }
    for (path, span, low) in [
        ("kubernetes.shutdown.pre_stop", kubernetes.shutdown.pre_stop, 1),
        ("kubernetes.shutdown.grace", kubernetes.shutdown.grace, 2),
    ] {
        let whole = span.millis().is_multiple_of(1000);
        if !whole || !(low..=3600).contains(&span.0.as_secs()) {
            problems.push((path, format!("{span} is not within {low}s to 1h, in whole seconds")));
        }
    }
}

fn cost(stack: &Stack, problems: &mut Problems) {
    within("cost.requests_per_user", stack.cost.requests_per_user, 1, 1_000_000, problems);
    if !(Decimal::ONE..=Decimal::ONE_THOUSAND).contains(&stack.cost.peak_factor.0) {
        problems.push(("cost.peak_factor", format!("{} is not within 1 to 1000", stack.cost.peak_factor)));
    }
}

fn within(path: &'static str, value: u32, low: u32, high: u32, problems: &mut Problems) {
    if !(low..=high).contains(&value) {
        problems.push((path, format!("{value} is not within {low} to {high}")));
    }
}

fn is_network(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn complains(path: &str, change: impl FnOnce(&mut Stack)) {
        let mut stack = Stack::default();
        change(&mut stack);
        let problems = validate(&stack);
        assert_eq!(
            problems.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            [path],
            "{problems:?}"
        );
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(validate(&Stack::default()), []);
    }

    #[test]
    fn each_rule_names_its_path() {
        complains("version", |s| s.version = 2);
        complains("service.replicas", |s| s.service.replicas = 10_000);
        complains("service.port", |s| s.service.port = 0);
        complains("service.env.PORT", |s| drop(s.service.env.insert("PORT".into(), "1".into())));
        complains("service.env", |s| drop(s.service.env.insert("1x".into(), "1".into())));
        complains("rate_limit.requests", |s| s.rate_limit.requests = 0);
        complains("rate_limit.window", |s| s.rate_limit.window.0 = std::time::Duration::ZERO);
        complains("rate_limit.ipv6_prefix", |s| s.rate_limit.ipv6_prefix = 16);
        complains("rate_limit.trusted_proxies", |s| s.rate_limit.trusted_proxies.push("10.0.0.0/33".into()));
        complains("mongodb.database", |s| s.mongodb.database = "a b".into());
        complains("mongodb.pool.min", |s| s.mongodb.pool.min = 51);
        complains("redis.url", |s| {
            (s.redis.mode, s.redis.url) = (StoreMode::External, Some(Secret::new("redis://:${PASSWORD}@h")));
        });
        complains("mongodb.uri", |s| s.mongodb.mode = StoreMode::External);
        complains("mongodb.mode", |s| s.mongodb.mode = StoreMode::Managed);
        complains("redis.url", |s| s.redis.url = Some(Secret::new("redis://h")));
        complains("redis.memory", |s| s.redis.memory.0 = 1);
        complains("redis.persistence", |s| {
            s.redis.topology = Topology::Sentinel;
            s.redis.persistence = Persistence::None;
        });
        complains("redis.topology", |s| {
            s.target = TargetKind::Compose;
            s.redis.topology = Topology::Sentinel;
        });
        complains("redis.min_replicas", |s| s.redis.min_replicas = 3);
        complains("mongodb.memory", |s| s.mongodb.memory.0 = 1);
        complains("compose.subnet", |s| s.compose.subnet = Some("10.0.0.1/22".into()));
        complains("patches", |s| drop(s.patches.insert("docker-compose.yml".into(), Vec::new())));
        complains("mongodb.max_connections", |s| s.mongodb.max_connections = Some(1));
        complains("kubernetes.autoscaling.min", |s| s.kubernetes.autoscaling.as_mut().unwrap().min = 11);
        complains("kubernetes.autoscaling.cpu", |s| s.kubernetes.autoscaling.as_mut().unwrap().cpu.0 = 0.0);
        complains("kubernetes.cpu_limit", |s| s.kubernetes.cpu_limit = "100m".parse().unwrap());
        complains("kubernetes.ingress", |s| s.kubernetes.ingress = Some("*.example.com".into()));
        complains("kubernetes.storage_class", |s| s.kubernetes.storage_class = Some("Fast SSD".into()));
        complains("kubernetes.pull_secrets", |s| s.kubernetes.pull_secrets.push("My Registry".into()));
        complains("kubernetes.route.class", |s| s.kubernetes.route.class = Some("".into()));
        complains("kubernetes.route.tls_secret", |s| s.kubernetes.route.tls_secret = Some("a/b".into()));
        complains("kubernetes.route.issuer", |s| s.kubernetes.route.issuer = Some("A".into()));
        complains("kubernetes.route.gateway", |s| s.kubernetes.route.gateway = Some("public".into()));
        complains("kubernetes.route.api", |s| {
            s.kubernetes.ingress = Some("shop.example.com".into());
            s.kubernetes.route.api = RouteApi::Gateway;
        });
        complains("kubernetes.probes.liveness", |s| s.kubernetes.probes.liveness = Some("healthz".into()));
        complains("kubernetes.probes.liveness", |s| {
            s.kubernetes.probes.liveness = Some("/healthz".into());
            s.kubernetes.probes.readiness = Some("/healthz".into());
        });
        complains("kubernetes.probes.readiness", |s| s.kubernetes.probes.readiness = Some("/a b".into()));
        complains("kubernetes.probes.port", |s| s.kubernetes.probes.port = Some(0));
        complains("kubernetes.shutdown.pre_stop", |s| {
            s.kubernetes.shutdown.pre_stop = "1500ms".parse().unwrap();
        });
        complains("kubernetes.shutdown.grace", |s| s.kubernetes.shutdown.grace = "2h".parse().unwrap());
        complains("cost.peak_factor", |s| s.cost.peak_factor.0 = Decimal::new(5, 1));
    }

    #[test]
    fn a_wrong_uri_is_not_repeated_in_the_message() {
        let mut stack = Stack::default();
        stack.mongodb.mode = StoreMode::External;
        stack.mongodb.uri = Some(Secret::new("postgres://u:hunter2@h"));
        assert!(!format!("{:?}", validate(&stack)).contains("hunter2"));
    }
}
