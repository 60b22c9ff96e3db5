//! The environment of a replica that follows from the stack, the same on every target. Pure.
//!
//! What depends on where a stack runs (ports, addresses of the stores, secrets, the replica's name) is the target's.

use appforge_service::contract::variable;

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

/// The variables of each replica, in the order of the stack file. `service.env` comes last and wins.
pub fn environment(stack: &Stack) -> Vec<Variable> {
    let (limit, pool) = (&stack.rate_limit, &stack.mongodb.pool);
    let mut variables: Vec<Variable> = [
        (variable::RATE_LIMIT_REQUESTS, "rate_limit.requests", limit.requests.to_string()),
        (variable::RATE_LIMIT_WINDOW_MS, "rate_limit.window", limit.window.millis().to_string()),
        (
            variable::RATE_LIMIT_ON_REDIS_FAILURE,
            "rate_limit.on_redis_failure",
            limit.on_redis_failure.as_str().to_owned(),
        ),
        (variable::RATE_LIMIT_IPV6_PREFIX, "rate_limit.ipv6_prefix", limit.ipv6_prefix.to_string()),
        (variable::TRUSTED_PROXIES, "rate_limit.trusted_proxies", limit.trusted_proxies.join(",")),
        (variable::MONGODB_DATABASE, "mongodb.database", stack.mongodb.database.clone()),
        (variable::MONGODB_MAX_POOL_SIZE, "mongodb.pool.max", pool.max.to_string()),
        (variable::MONGODB_MIN_POOL_SIZE, "mongodb.pool.min", pool.min.to_string()),
        (variable::MONGODB_MAX_IDLE_TIME_MS, "mongodb.pool.max_idle", pool.max_idle.millis().to_string()),
        (
            variable::MONGODB_SERVER_SELECTION_TIMEOUT_MS,
            "mongodb.pool.server_selection_timeout",
            pool.server_selection_timeout.millis().to_string(),
        ),
        (
            variable::MONGODB_SOCKET_TIMEOUT_MS,
            "mongodb.pool.socket_timeout",
            pool.socket_timeout.millis().to_string(),
        ),
    ]
    .into_iter()
    .map(|(name, path, value)| Variable { name: name.to_owned(), value, path: path.to_owned() })
    .collect();
    for (name, value) in &stack.service.env {
        variables.retain(|variable| variable.name != *name);
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
        stack.service.env.insert("MONGODB_MAX_POOL_SIZE".into(), "7".into());
        assert_eq!(value(&stack, "MONGODB_MAX_POOL_SIZE").as_deref(), Some("7"));
    }
}
