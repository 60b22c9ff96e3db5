//! The environment of a replica that follows from the stack, the same on every target. Pure.
//!
//! What depends on where a stack runs (ports, addresses of the stores, secrets, the replica's name) is the target's.

use appforge_service::contract::{Environment, variable};

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
const PATHS: [(&str, &str); 11] = [
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

/// What the stack decides about a replica, in the terms of the service.
fn typed(stack: &Stack) -> Environment {
    let (limit, pool) = (&stack.rate_limit, &stack.mongodb.pool);
    Environment {
        rate_limit_requests: Some(limit.requests),
        rate_limit_window: Some(limit.window.0),
        rate_limit_on_redis_failure: Some(limit.on_redis_failure),
        rate_limit_ipv6_prefix: Some(limit.ipv6_prefix),
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

/// The variables of each replica, in the order of the stack file. `service.env` comes last and wins.
pub fn environment(stack: &Stack) -> Vec<Variable> {
    let path = |name: &str| PATHS.iter().find(|(known, _)| *known == name).map_or("", |(_, path)| path);
    let mut variables: Vec<Variable> = typed(stack)
        .pairs()
        .into_iter()
        .filter(|(name, _)| !stack.service.env.contains_key(*name))
        .map(|(name, value)| Variable { name: name.to_owned(), value, path: path(name).to_owned() })
        .collect();
    for (name, value) in &stack.service.env {
        let path = format!("service.env.{name}");
        variables.push(Variable { name: name.clone(), value: value.clone(), path });
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

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
        stack.service.env.insert("MONGODB_MAX_POOL_SIZE".into(), "7".into());
        assert_eq!(value(&stack, "MONGODB_MAX_POOL_SIZE").as_deref(), Some("7"));
    }
}
