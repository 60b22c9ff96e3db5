//! The environment of a replica that follows from the stack, the same on every target. Pure.
//!
//! What depends on where a stack runs (ports, addresses of the stores, secrets, the replica's name) is the target's.

use appforge_service::contract::{CLOUDFLARE, Environment, LATENCY_BOUNDS_MS, RateLimitKey, variable};

use crate::stack::model::Stack;

/// One variable of the bundled service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where the stack file has it, such as `rate_limit.requests`.
    pub path: String,
}

/// Where the stack file has what a variable of [`typed`] carries.
const PATHS: [(&str, &str); 18] = [
    (variable::LATENCY_BOUNDS_MS, "load.thresholds"),
    (variable::REDIS_KEY_PREFIX, "name"),
    (variable::RATE_LIMIT_KEY, "rate_limit.key"),
    (variable::RATE_LIMIT_KEY_PROXIES, "rate_limit.trusted_proxies"),
    (variable::UPSTREAM_HEALTH_PATH, "service.health"),
    (variable::UPSTREAM_HEALTH_HOST, "service.health.host"),
    (variable::RATE_LIMIT_ENABLED, "rate_limit.enabled"),
    (variable::RATE_LIMIT_REQUESTS, "rate_limit.requests"),
    (variable::RATE_LIMIT_WINDOW_MS, "rate_limit.window"),
    (variable::RATE_LIMIT_ON_REDIS_FAILURE, "rate_limit.on_redis_failure"),
    (variable::RATE_LIMIT_IPV6_PREFIX, "rate_limit.ipv6_prefix"),
    (variable::TRUSTED_PROXIES, "rate_limit.trusted_proxies"),
    (variable::MONGODB_DATABASE, "mongodb.database"),
    (variable::MONGODB_MAX_POOL_SIZE, "mongodb.pool.max"),
    (variable::MONGODB_MIN_POOL_SIZE, "mongodb.pool.min"),
    (variable::MONGODB_MAX_IDLE_TIME_MS, "mongodb.pool.max_idle"),
    (variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS, "mongodb.pool.server_selection_timeout"),
    (variable::MONGODB_SOCKET_TIMEOUT_MS, "mongodb.pool.socket_timeout"),
];

/// The proxies through which the header of `rate_limit.key` counts without the address: those that the file lists one by one. A gateway
/// of ours and a CDN relay what any client sends. None where requests are counted by address.
pub fn key_proxies(stack: &Stack) -> Vec<String> {
    match stack.rate_limit.key {
        RateLimitKey::Address => Vec::new(),
        RateLimitKey::Header(_) => {
            stack.rate_limit.trusted_proxies.iter().filter(|entry| *entry != CLOUDFLARE).cloned().collect()
        }
    }
}

/// What the stack decides about a replica, in the terms of the service.
fn typed(stack: &Stack) -> Environment {
    let (limit, pool) = (&stack.rate_limit, &stack.mongodb.pool);
    Environment {
        // The service counts unless it is set.
        rate_limit_enabled: (!limit.enabled).then_some(false),
        rate_limit_requests: Some(limit.requests),
        rate_limit_window: Some(limit.window.0),
        rate_limit_on_redis_failure: Some(limit.on_redis_failure),
        rate_limit_ipv6_prefix: Some(limit.ipv6_prefix),
        rate_limit_key: (limit.key != RateLimitKey::Address).then(|| limit.key.clone()),
        rate_limit_key_proxies: Some(key_proxies(stack)).filter(|proxies| !proxies.is_empty()),
        trusted_proxies: Some(limit.trusted_proxies.clone()),
        mongodb_database: Some(stack.mongodb.database.clone()),
        mongodb_max_pool_size: Some(pool.max),
        mongodb_min_pool_size: Some(pool.min),
        mongodb_max_idle_time: Some(pool.max_idle.0),
        mongodb_server_selection_timeout: Some(pool.server_selection_timeout.0),
        mongodb_socket_timeout: Some(pool.socket_timeout.0),
        ..Environment::default()
    }
}

/// What the stack decides about the front of an app, in the terms of the service: no MongoDB, and keys in Redis that carry the
/// stack's name, since the app may use the same Redis.
fn of_front(stack: &Stack) -> Environment {
    let health = stack.service.health.as_ref();
    Environment {
        mongodb_database: None,
        mongodb_max_pool_size: None,
        mongodb_min_pool_size: None,
        mongodb_max_idle_time: None,
        mongodb_server_selection_timeout: None,
        mongodb_socket_timeout: None,
        redis_key_prefix: Some(format!("{}:", stack.name)),
        upstream_health_path: health.map(|health| health.path.clone()),
        upstream_health_host: health.map(|health| health.host.clone()),
        ..typed(stack)
    }
}

/// The variables of the front of an app, in the order of the stack file. What `service.env` has is the app's.
pub fn front(stack: &Stack) -> Vec<Variable> {
    of_front(stack).pairs().into_iter().map(variable).collect()
}

fn variable((name, value): (&'static str, String)) -> Variable {
    let path = PATHS.iter().find(|(known, _)| *known == name).map_or("", |(_, path)| path);
    Variable { name: name.to_owned(), value, path: path.to_owned() }
}

/// The variables of each replica of the bundled service, in the order of the stack file. `service.env` comes last and wins.
pub fn environment(stack: &Stack) -> Vec<Variable> {
    let mut variables: Vec<Variable> = typed(stack)
        .pairs()
        .into_iter()
        .filter(|(name, _)| !stack.service.env.contains_key(*name))
        .map(variable)
        .collect();
    for (name, value) in &stack.service.env {
        let path = format!("service.env.{name}");
        variables.push(Variable { name: name.clone(), value: value.clone(), path });
    }
    variables
}

/// The variable that makes the latency thresholds bounds of the replicas' histogram: alerts on them need a count at exactly that
/// duration. None when they are bounds anyway, or when `service.env` sets it.
pub fn latency_bounds(stack: &Stack) -> Option<Variable> {
    let thresholds = &stack.load.thresholds;
    let millis = [thresholds.p95.0, thresholds.p99.0].map(|span| u32::try_from(span.as_millis()).ok());
    let mut bounds: Vec<u32> = millis
        .into_iter()
        .flatten()
        .filter(|bound| *bound > 0 && !LATENCY_BOUNDS_MS.contains(bound))
        .collect();
    bounds.dedup();
    if bounds.is_empty() || stack.service.env.contains_key(variable::LATENCY_BOUNDS_MS) {
        return None;
    }
    let environment = Environment { latency_bounds: Some(bounds), ..Environment::default() };
    environment.pairs().into_iter().next().map(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_counts_alone_only_behind_proxies_of_the_file() {
        let mut stack = Stack::default();
        stack.rate_limit.trusted_proxies =
            ["10.1.0.0/16", CLOUDFLARE, "192.0.2.7"].map(str::to_owned).to_vec();
        let value = |stack: &Stack| {
            let all = front(stack);
            all.into_iter().find(|it| it.name == variable::RATE_LIMIT_KEY_PROXIES).map(|it| it.value)
        };
        assert_eq!(value(&stack), None, "by address");
        stack.rate_limit.key = "header:x-api-key".parse().unwrap();
        assert_eq!(value(&stack).as_deref(), Some("10.1.0.0/16,192.0.2.7"));
        stack.rate_limit.trusted_proxies = vec![CLOUDFLARE.to_owned()];
        assert_eq!(value(&stack), None, "a CDN relays");
    }

    #[test]
    fn the_settings_of_the_brief_are_the_defaults_and_service_env_wins() {
        let mut stack = Stack::default();
        let value = |stack: &Stack, name: &str| {
            environment(stack)
                .into_iter()
                .find(|variable| variable.name == name)
                .map(|variable| variable.value)
        };
        assert_eq!(value(&stack, "MONGODB_MAX_POOL_SIZE").as_deref(), Some("50"));
        assert_eq!(value(&stack, "MONGODB_MAX_IDLE_TIME_MS").as_deref(), Some("30000"));
        assert_eq!(value(&stack, "RATE_LIMIT_WINDOW_MS").as_deref(), Some("900000"));
        assert!(environment(&stack).iter().all(|variable| !variable.path.is_empty()));
        let front = front(&stack);
        assert!(
            front.iter().any(|variable| variable.name == "REDIS_KEY_PREFIX" && variable.value == "appforge:")
        );
        assert!(
            front.iter().all(|variable| !variable.name.starts_with("MONGODB") && !variable.path.is_empty())
        );
        stack.service.env.insert("MONGODB_MAX_POOL_SIZE".into(), "7".into());
        assert_eq!(value(&stack, "MONGODB_MAX_POOL_SIZE").as_deref(), Some("7"));
    }

    #[test]
    fn threshold_that_lacks_a_bound_becomes_one() {
        let mut stack = Stack::default();
        assert_eq!(latency_bounds(&stack), None);
        stack.load.thresholds.p95.0 = std::time::Duration::from_millis(300);
        let variable = latency_bounds(&stack).unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_str()), ("LATENCY_BOUNDS_MS", "300"));
        assert_eq!(variable.path, "load.thresholds");
        stack.service.env.insert("LATENCY_BOUNDS_MS".into(), "7".into());
        assert_eq!(latency_bounds(&stack), None);
    }
}
