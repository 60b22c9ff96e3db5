//! What a stack must mean, beyond having the right shape: a list of rules, each with the path it judges. Pure.

mod app;
mod kubernetes;
pub(crate) mod monitoring;
pub(crate) mod stores;
mod violations;

use std::net::Ipv4Addr;

use appforge_service::contract::{number, variable};
use rust_decimal::Decimal;

use crate::stack::app::GIVEN;
use crate::stack::model::{Stack, TargetKind};
use crate::stack::validate::violations::Violations;
use crate::stack::values::{Amount, Span};

/// Most replicas on one machine: each holds 10 connections to MongoDB at least.
pub(crate) const MAX_LOCAL_REPLICAS: u32 = 64;
/// Most replicas anywhere.
pub(crate) const MAX_REPLICAS: u32 = 1000;

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

/// What Linux passes to a program as one variable, in bytes: `NAME=`, the value and a NUL (execve(2), `MAX_ARG_STRLEN`).
const LONGEST_VARIABLE: usize = 128 << 10;
/// All variables together, in bytes. Linux takes 2 MiB with the usual limit of the stack, a Kubernetes object has 1.5 MiB.
const MOST_VARIABLES: usize = 1 << 20;

/// Prefixes of the variables with which sockets are handed over.
const HAND_OVER: &str = "LISTEN_";
/// Prefixes of the variables with which the dynamic linker loads other code into a program.
const LINKER: [&str; 2] = ["LD_", "DYLD_"];

/// All that is wrong, as `(path, message)`.
pub(crate) fn validate(stack: &Stack) -> Vec<(String, String)> {
    let mut violations = Violations(validate_running(stack));
    stores::addresses(stack, &mut violations);
    monitoring::target(stack, &mut violations);
    violations.0
}

/// The same without the addresses of the stores: a command that shows or stops what runs does not need them, and the
/// variables that hold them may be set in another shell.
pub(crate) fn validate_running(stack: &Stack) -> Vec<(String, String)> {
    let mut violations = Violations::default();
    service(stack, &mut violations);
    app::app(stack, &mut violations);
    rate_limit(stack, &mut violations);
    stores::mongodb(stack, &mut violations);
    stores::redis(stack, &mut violations);
    compose(stack, &mut violations);
    kubernetes::kubernetes(stack, MAX_REPLICAS, &mut violations);
    cost(stack, &mut violations);
    monitoring::monitoring(stack, &mut violations);
    environment(stack, &mut violations);
    violations.0
}

/// The most replicas that a target takes.
pub(crate) fn max_replicas(target: TargetKind) -> u32 {
    if target == TargetKind::Local { MAX_LOCAL_REPLICAS } else { MAX_REPLICAS }
}

fn service(stack: &Stack, violations: &mut Violations) {
    let service = &stack.service;
    if stack.version != 1 {
        violations.add("version", format!("must be 1, got {}", stack.version));
    }
    violations.within("service.replicas", service.replicas, 1, max_replicas(stack.target));
    violations.within("service.port", service.port, 1, u16::MAX);
    violations.at_least("service.resources.memory", service.resources.memory, "64Mi", "one replica");
    if let (Some(address), Some(bind)) = (service.address, stack.compose.bind)
        && address != bind
    {
        let message =
            format!("is the former name of service.address, which is {address}, got {bind}; remove it");
        violations.add("compose.bind", message);
    }
}

fn environment(stack: &Stack, violations: &mut Violations) {
    let mut total = 0;
    for (name, value) in &stack.service.env {
        let size = name.len() + value.len() + 2;
        total += size;
        if size > LONGEST_VARIABLE {
            let message = format!("must be at most {LONGEST_VARIABLE} bytes with its name, got {size}");
            violations.add(format!("service.env.{name}"), message);
        } else if value.contains('\0') {
            violations.add(format!("service.env.{name}"), "must not contain a NUL character");
        }
        let valid = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let own = stack.service.is_own();
        let reserved: &[&str] = if own { &GIVEN } else { &RESERVED };
        if !valid {
            violations.expect("service.env", name, valid, "the name of an environment variable");
        } else if reserved.contains(&name.as_str()) || name.starts_with(HAND_OVER) {
            let message = format!("`{name}` is set by appforge itself; remove it");
            violations.add(format!("service.env.{name}"), message);
        } else if !own && LINKER.iter().any(|prefix| name.starts_with(prefix)) {
            let message = format!("`{name}` would load other code into the bundled service; remove it");
            violations.add(format!("service.env.{name}"), message);
        }
    }
    if total > MOST_VARIABLES {
        let message = format!("all variables together must be at most {MOST_VARIABLES} bytes, got {total}");
        violations.add("service.env", message);
    }
}

fn rate_limit(stack: &Stack, violations: &mut Violations) {
    let limit = &stack.rate_limit;
    let number = number::RATE_LIMIT_REQUESTS;
    violations.within("rate_limit.requests", limit.requests, number.least, number.most);
    violations.within("rate_limit.window", limit.window, Span::of_secs(1), Span::of_secs(744 * 3600));
    let number = number::RATE_LIMIT_IPV6_PREFIX;
    violations.within("rate_limit.ipv6_prefix", limit.ipv6_prefix, number.least, number.most);
    for network in &limit.trusted_proxies {
        app::trusted_proxy(network, violations);
    }
}

fn compose(stack: &Stack, violations: &mut Violations) {
    if let Some(subnet) = &stack.compose.subnet {
        let parts = subnet.split_once('/').and_then(|(address, length)| {
            Some((address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?))
        });
        let fits = parts
            .is_some_and(|(address, length)| (16..=28).contains(&length) && address.to_bits() << length == 0);
        let what = "an IPv4 network of /16 to /28 such as `10.200.4.0/22`";
        violations.expect("compose.subnet", subnet, fits, what);
    }
    if let Some(tls) = &stack.compose.tls {
        for (path, file) in [("compose.tls.cert", &tls.cert), ("compose.tls.key", &tls.key)] {
            violations.expect(path, file, !file.is_empty() && !file.contains('\0'), "a path");
        }
        if let Some(port) = tls.http_port {
            violations.within("compose.tls.http_port", port, 1, u16::MAX);
            if port == stack.service.port {
                violations.add("compose.tls.http_port", "must differ from service.port, which serves HTTPS");
            }
        }
    }
    for document in stack.patches.keys() {
        let fits = ["compose/", "kubernetes/"].iter().any(|target| document.starts_with(target));
        let path = format!("patches.{document}");
        violations.expect(&path, document, fits, "a document such as `compose/docker-compose.yml`");
    }
}

/// The environment variable that sets a path of the stack.
pub(crate) fn variable_of(path: &str) -> String {
    format!("APPFORGE_{}", path.to_uppercase().replace('.', "_"))
}

fn cost(stack: &Stack, violations: &mut Violations) {
    violations.within("cost.requests_per_user", stack.cost.requests_per_user, 1, 1_000_000);
    let (low, high) = (Amount(Decimal::ONE), Amount(Decimal::ONE_THOUSAND));
    violations.within("cost.peak_factor", stack.cost.peak_factor, low, high);
}

#[cfg(test)]
mod tests;
