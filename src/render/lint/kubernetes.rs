//! The rules for the Kubernetes target.

use appforge_service::contract::{RateLimitKey, variable};
use serde_json::Value;

use super::documents::{Objects, bytes, container, cpu, program, variable, word_after};
use super::{Finding, Level};
use crate::float;
use crate::render::Document;
use crate::render::context::kubernetes::{MARGIN, names};
use crate::render::context::stores::{mongodb_cache_gb, mongodb_max_connections, runs_here};
use crate::stack::Stack;
use crate::stack::model::StoreMode;
use crate::stack::values::{ByteSize, ImageRef, MilliCpu, StoreAddress};

/// What the driver holds beside the pool: one connection to watch the server, one to measure the way to it.
const MONITORING: u64 = 2;
/// What the smallest dedicated Atlas cluster takes on each node, its own connections apart.
const ATLAS_M10: u64 = 1490;
/// The CPU with which a replica, which runs on one thread, is never stopped.
const WHOLE: MilliCpu = MilliCpu(1000);

/// The least memory of a MongoDB beside whose cache and connections a shell fits.
const SHELL_ROOM: ByteSize = ByteSize(1 << 30);

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, path: &'static str, message: String) {
        self.0.push(Finding { level: Level::Error, path, message });
    }

    fn warn(&mut self, path: &'static str, message: String) {
        self.0.push(Finding { level: Level::Warning, path, message });
    }
}

pub(super) fn lint(stack: &Stack, documents: &[Document]) -> Vec<Finding> {
    let objects = Objects::of(documents);
    let mut findings = Findings(Vec::new());
    let service = names::service(stack);
    let deployment = objects.find("Deployment", &service);
    if let Some(deployment) = deployment {
        connections(stack, container(deployment), &mut findings);
        ending(deployment, &mut findings);
        cpu_share(program(deployment, names::FRONT_CONTAINER), &mut findings);
        if let Some(autoscaler) = objects.find("HorizontalPodAutoscaler", &service) {
            autoscaling(stack, deployment, autoscaler, &mut findings);
        }
    }
    redis_memory(stack, &objects, &mut findings);
    mongodb_memory(stack, &mut findings);
    proxies(stack, &mut findings);
    images(stack, &mut findings);
    plain_secrets(stack, &mut findings);
    findings.0
}

/// Every replica, and one more while they are replaced, may fill its pool.
fn connections(stack: &Stack, container: &Value, findings: &mut Findings) {
    let mongodb = &stack.mongodb;
    let most = stack.kubernetes.autoscaling.map_or(stack.service.replicas, |scaling| scaling.max);
    let pool = variable(container, variable::MONGODB_MAX_POOL_SIZE).unwrap_or(u64::from(mongodb.pool.max));
    let processes = u64::from(stack.service.processes);
    let total = (u64::from(most) + 1) * processes * (pool + MONITORING);
    let here = runs_here("mongodb.mode", mongodb.mode).unwrap_or(false);
    let atlas = mongodb.mode == StoreMode::External
        && mongodb
            .uri
            .as_ref()
            .and_then(StoreAddress::text)
            .is_some_and(|uri| uri.reveal().contains(".mongodb.net"));
    let (limit, whose) = match (mongodb.max_connections, here) {
        (Some(limit), _) => (u64::from(limit), "mongodb.max_connections allows"),
        (None, true) => {
            (u64::from(mongodb_max_connections(mongodb.memory)), "mongodb.memory leaves room for")
        }
        (None, false) if atlas => (ATLAS_M10, "an Atlas M10 takes"),
        (None, false) => return,
    };
    let each = if processes == 1 { String::new() } else { format!("{processes} processes x ") };
    let sum =
        format!("({most} replicas + 1 during a rollout) x {each}(pool of {pool} + {MONITORING}) = {total}");
    if total > limit && !(atlas && mongodb.max_connections.is_none()) {
        let message = format!(
            "{sum} connections, but {whose} {limit}; reduce the replicas or the pool, or raise the limit"
        );
        findings.error("mongodb.pool.max", message);
    } else if total * 10 > limit * 8 {
        findings.warn(
            "mongodb.pool.max",
            format!("{sum} connections, more than 80% of the {limit} that {whose}"),
        );
    }
}

/// The wait before the end counts against the time after which a replica is killed.
fn ending(deployment: &Value, findings: &mut Findings) {
    let pod = &deployment["spec"]["template"]["spec"];
    let (front, container) = (program(deployment, names::FRONT_CONTAINER), container(deployment));
    let grace = pod["terminationGracePeriodSeconds"].as_u64();
    let wait = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
    let drain = variable(front, variable::SHUTDOWN_TIMEOUT_MS).map(|millis| millis.div_ceil(1000));
    if !std::ptr::eq(front, container) {
        // The drain of the front is within the wait of the app.
        if let (Some(grace), Some(wait)) = (grace, wait)
            && wait + MARGIN >= grace
        {
            let message = format!(
                "the app gets SIGTERM after {wait} s (pre_stop and the drain of its front), but is killed after {grace} s"
            );
            findings.error("kubernetes.shutdown.grace", message);
        }
        return;
    }
    if let (Some(grace), Some(wait), Some(drain)) = (grace, wait, drain)
        && wait + drain + MARGIN > grace
    {
        let message = format!(
            "pre_stop {wait} s + drain {drain} s (SHUTDOWN_TIMEOUT_MS) + margin {MARGIN} s = {} s, but a replica is killed \
             after {grace} s",
            wait + drain + MARGIN
        );
        findings.error("kubernetes.shutdown.grace", message);
    }
}

fn cpu_share(container: &Value, findings: &mut Findings) {
    let limit = cpu(&container["resources"]["limits"]["cpu"]);
    if let Some(limit) = limit.filter(|limit| *limit < WHOLE) {
        let still = 100 - limit.0 / 10;
        let message = format!(
            "at {limit} a busy replica is throttled for up to {still} ms of every 100 ms; after waiting 50 ms for Redis \
             it counts the rate limit alone; set 1 or more, or `none`"
        );
        findings.warn("kubernetes.cpu_limit", message);
    }
}

fn autoscaling(stack: &Stack, deployment: &Value, autoscaler: &Value, findings: &mut Findings) {
    if deployment["spec"]["replicas"].is_number() {
        let message =
            "deployment.yaml also sets `replicas`, so each `up` would undo the autoscaler's changes";
        findings.error("kubernetes.autoscaling", message.to_owned());
    }
    let requests = &container(deployment)["resources"]["requests"];
    for metric in autoscaler["spec"]["metrics"].as_array().into_iter().flatten() {
        let of = ["resource", "containerResource"].map(|kind| metric[kind]["name"].as_str());
        let Some(name) = of.into_iter().flatten().next() else { continue };
        if requests[name].is_null() {
            let message = format!("scales on {name}, but the replicas have no {name} request");
            findings.error("kubernetes.autoscaling", message);
        }
    }
    let bound = |name: &str| autoscaler["spec"][name].as_u64();
    let (Some(min), Some(max)) = (bound("minReplicas"), bound("maxReplicas")) else { return };
    if min < 2 {
        let message = "1 replica leaves none while its node fails or drains; set 2 or more";
        findings.warn("kubernetes.autoscaling.min", message.to_owned());
    }
    if min == max {
        let message =
            format!("min and max are both {max}, so the autoscaler never scales; set `autoscaling: null`");
        findings.warn("kubernetes.autoscaling.max", message);
    }
    if u64::from(stack.service.replicas) > max {
        let message = format!(
            "{} has no effect: the autoscaler keeps the number of replicas between {min} and {max}",
            stack.service.replicas
        );
        findings.warn("service.replicas", message);
    }
}

fn redis_memory(stack: &Stack, objects: &Objects<'_>, findings: &mut Findings) {
    let name = names::redis(stack);
    let config = objects.find("ConfigMap", &name).and_then(|config| config["data"]["redis.conf"].as_str());
    let maxmemory = config.and_then(|config| word_after(config, "maxmemory")?.parse::<u64>().ok());
    let set = objects.find("StatefulSet", &name);
    let limit = set.and_then(|set| bytes(&container(set)["resources"]["limits"]["memory"]));
    // Rewriting the append-only file copies pages that are written meanwhile.
    if let (Some(maxmemory), Some(limit)) = (maxmemory, limit)
        && limit < maxmemory / 2 * 3
    {
        let message = format!(
            "maxmemory {} in a container of {}: Redis runs out of memory when it rewrites its append-only file; the limit \
             must be 1.5 times maxmemory",
            mib(maxmemory),
            mib(limit)
        );
        findings.error("redis.memory", message);
    }
}

/// A connection costs about 1 MiB.
fn mongodb_memory(stack: &Stack, findings: &mut Findings) {
    let mongodb = &stack.mongodb;
    if !runs_here("mongodb.mode", mongodb.mode).unwrap_or(false) {
        return;
    }
    if mongodb.memory < SHELL_ROOM {
        let message = format!(
            "{} is shared by mongod and the shell of the probes, which takes 100 MiB or more; set at least {SHELL_ROOM}",
            mongodb.memory
        );
        findings.warn("mongodb.memory", message);
    }
    let Some(most) = mongodb.max_connections else { return };
    let cache = float::to_u64(mongodb_cache_gb(mongodb.memory) * 1024.0);
    let need = ByteSize((cache + u64::from(most)) << 20);
    if need > mongodb.memory {
        let message = format!(
            "{most} connections of about 1 MiB each and the cache of {cache} MiB need {}, but the container has {}",
            mib(need.0),
            mib(mongodb.memory.0)
        );
        findings.warn("mongodb.max_connections", message);
    }
}

/// Behind an ingress every client has the address of the ingress, unless that is believed.
fn proxies(stack: &Stack, findings: &mut Findings) {
    if stack.kubernetes.ingress.is_some() && stack.rate_limit.trusted_proxies.is_empty() {
        let message = format!(
            "must not be empty behind an ingress, or all clients share one limit of {}; set the network of the ingress controller's \
             pods (`kubectl get nodes -o jsonpath='{{.items[*].spec.podCIDR}}'`)",
            stack.rate_limit.requests
        );
        findings.error("rate_limit.trusted_proxies", message);
    }
    if stack.kubernetes.ingress.is_some()
        && let RateLimitKey::Header(name) = &stack.rate_limit.key
    {
        let message = format!(
            "`{name}` counts without the client's address behind `rate_limit.trusted_proxies`: configure the ingress controller to check or \
             overwrite the header, or each new value gives a client a fresh limit"
        );
        findings.warn("rate_limit.key", message);
    }
}

fn images(stack: &Stack, findings: &mut Findings) {
    let here = |mode| runs_here("", mode).unwrap_or(false);
    let images: [(&'static str, &ImageRef, bool); 4] = [
        ("service.image", &stack.service.image, !stack.service.image.is_bundled()),
        (
            "runtime.image",
            stack.runtime.image.as_ref().unwrap_or(&stack.service.image),
            stack.runtime.image.is_some(),
        ),
        ("mongodb.image", &stack.mongodb.image, here(stack.mongodb.mode)),
        ("redis.image", &stack.redis.image, here(stack.redis.mode)),
    ];
    for (path, image, used) in images {
        let reference = image.to_string();
        if used && names::version(image) == "latest" && !names::is_pinned(&reference) {
            let message = format!("the image of `{reference}` changes over time; set a version tag");
            findings.warn(path, message);
        }
    }
}

/// `service.env` stands in the documents as it is.
fn plain_secrets(stack: &Stack, findings: &mut Findings) {
    const WORDS: [&str; 7] =
        ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "CREDENTIAL"];
    for name in stack.service.env.keys() {
        let upper = name.to_uppercase();
        if WORDS.iter().any(|word| upper.contains(word)) && !upper.ends_with("_FILE") {
            let message = format!(
                "`{name}` looks like a secret, and deployment.yaml would contain it as plain text; put it in \
                 `service.env_file`, or use a patch with `valueFrom.secretKeyRef`"
            );
            findings.warn("service.env", message);
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests;
