//! Each finding on a stack that has it, and none on one that has not.

use super::*;
use crate::render::{Overrides, lint, render};
use crate::stack::TargetKind;
use crate::stack::model::Patch;
use crate::stack::values::Secret;

fn findings(change: impl FnOnce(&mut Stack)) -> Vec<Finding> {
    let mut stack = Stack::default();
    change(&mut stack);
    let documents = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap();
    lint::lint(&stack, TargetKind::Kubernetes, &documents)
}

#[track_caller]
fn finds(level: Level, path: &str, words: &[&str], change: impl FnOnce(&mut Stack)) {
    let findings = findings(change);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.level, finding.path), (level, path), "{finding}");
    for word in words {
        assert!(finding.message.contains(word), "{finding}");
    }
}

fn replace(stack: &mut Stack, document: &str, path: &str, value: Value) {
    let patch = Patch::Replace { path: path.into(), value };
    stack.patches.insert(format!("kubernetes/{document}"), vec![patch]);
}

#[test]
fn the_defaults_are_in_order() {
    assert_eq!(findings(|_| {}), []);
    assert_eq!(findings(|stack| stack.kubernetes.autoscaling = None), []);
}

#[test]
fn connections_are_counted_over_all_replicas() {
    let sum = ["(20 replicas + 1 during", "(pool of 50 + 2) = 1092", "room for 1024"];
    finds(Level::Error, "mongodb.pool.max", &sum, |stack| {
        stack.kubernetes.autoscaling.as_mut().unwrap().max = 20;
    });
    finds(Level::Warning, "mongodb.pool.max", &["= 884", "80% of the 1024"], |stack| {
        stack.kubernetes.autoscaling.as_mut().unwrap().max = 16;
    });
    finds(Level::Error, "mongodb.pool.max", &["(pool of 200 + 2)"], |stack| {
        stack.service.env.insert("MONGODB_MAX_POOL_SIZE".into(), "200".into());
    });
    finds(Level::Error, "mongodb.pool.max", &["572", "allows 500"], |stack| {
        stack.mongodb.max_connections = Some(500);
    });
}

#[test]
fn an_external_server_is_judged_by_its_own_number_or_that_of_atlas() {
    let external = |stack: &mut Stack, uri: &str, max| {
        stack.mongodb.mode = StoreMode::External;
        stack.mongodb.uri = Some(Secret::new(uri).into());
        stack.kubernetes.autoscaling.as_mut().unwrap().max = max;
    };
    assert_eq!(findings(|stack| external(stack, "mongodb://h", 500)), []);
    let words = ["1508", "1490 that an Atlas M10 takes"];
    finds(Level::Warning, "mongodb.pool.max", &words, |stack| {
        external(stack, "mongodb+srv://a.mongodb.net", 28);
    });
    finds(Level::Error, "mongodb.pool.max", &["allows 1500"], |stack| {
        external(stack, "mongodb+srv://a.mongodb.net", 28);
        stack.mongodb.max_connections = Some(1500);
    });
}

#[test]
fn a_replica_has_the_time_to_drain() {
    finds(Level::Error, "kubernetes.shutdown.grace", &["5 s", "drain 60 s", "70 s", "30 s"], |stack| {
        stack.service.env.insert("SHUTDOWN_TIMEOUT_MS".into(), "60000".into());
    });
    finds(Level::Error, "kubernetes.shutdown.grace", &["killed"], |stack| {
        stack.kubernetes.shutdown.pre_stop = "28s".parse().unwrap();
    });
}

#[test]
fn a_share_of_the_cpu_is_warned_of() {
    finds(Level::Warning, "kubernetes.cpu_limit", &["500m", "50 ms of every 100 ms"], |stack| {
        stack.kubernetes.cpu_limit = "500m".parse().unwrap();
    });
    assert_eq!(findings(|stack| stack.kubernetes.cpu_limit = "none".parse().unwrap()), []);
}

#[test]
fn the_autoscaler_fits_the_deployment() {
    let scaling = |min, max| {
        move |stack: &mut Stack| {
            let scaling = stack.kubernetes.autoscaling.as_mut().unwrap();
            (scaling.min, scaling.max) = (min, max);
        }
    };
    finds(Level::Warning, "kubernetes.autoscaling.min", &["2 or more"], scaling(1, 10));
    finds(Level::Warning, "kubernetes.autoscaling.max", &["both 4"], scaling(4, 4));
    finds(Level::Warning, "service.replicas", &["12", "between 3 and 10"], |stack| {
        stack.service.replicas = 12;
    });
    finds(Level::Error, "kubernetes.autoscaling", &["no memory request"], |stack| {
        let requests = "/spec/template/spec/containers/0/resources/requests";
        replace(stack, "deployment.yaml", requests, serde_json::json!({"cpu": "500m"}));
    });
    finds(Level::Error, "kubernetes.autoscaling", &["undo"], |stack| {
        let patch = Patch::Add { path: "/spec/replicas".into(), value: 3.into() };
        stack.patches.insert("kubernetes/deployment.yaml".into(), vec![patch]);
    });
}

#[test]
fn a_patched_limit_below_maxmemory_is_an_error() {
    let words = ["maxmemory 1365 MiB", "1536 MiB", "1.5 times"];
    finds(Level::Error, "redis.memory", &words, |stack| {
        let limit = "/spec/template/spec/containers/0/resources/limits/memory";
        replace(stack, "redis-statefulset.yaml", limit, "1536Mi".into());
    });
}

#[test]
fn more_connections_than_memory_are_warned_of() {
    finds(Level::Warning, "mongodb.max_connections", &["3000", "512 MiB", "3512 MiB", "2048"], |stack| {
        stack.mongodb.max_connections = Some(3000);
    });
}

#[test]
fn the_shell_of_the_probes_needs_room_too() {
    finds(Level::Warning, "mongodb.memory", &["512MiB is shared", "set at least 1GiB"], |stack| {
        stack.mongodb.memory = ByteSize(512 << 20);
        stack.kubernetes.autoscaling = None;
    });
}

#[test]
fn behind_an_ingress_the_proxies_must_be_known() {
    finds(Level::Error, "rate_limit.trusted_proxies", &["share one limit of 100"], |stack| {
        stack.kubernetes.ingress = Some("shop.example.com".into());
    });
}

#[test]
fn key_that_an_ingress_relays_is_warned_of() {
    finds(Level::Warning, "rate_limit.key", &["`x-api-key`", "a fresh limit"], |stack| {
        stack.kubernetes.ingress = Some("shop.example.com".into());
        stack.rate_limit.trusted_proxies = vec!["10.244.0.0/16".into()];
        stack.rate_limit.key = "header:x-api-key".parse().unwrap();
    });
}

#[test]
fn moving_tags_and_plain_secrets_are_warned_of() {
    finds(Level::Warning, "redis.image", &["`redis`"], |stack| {
        stack.redis.image = "redis".parse().unwrap();
    });
    finds(Level::Warning, "runtime.image", &["`registry.example.com/appforge`"], |stack| {
        stack.runtime.image = Some("registry.example.com/appforge".parse().unwrap());
    });
    finds(Level::Warning, "service.env", &["`STRIPE_API_KEY`"], |stack| {
        stack.service.env.insert("STRIPE_API_KEY".into(), "x".into());
    });
}

fn own(stack: &mut Stack) {
    stack.service.image = "shop:1".parse().unwrap();
}

#[test]
fn app_of_the_users_own_is_in_order() {
    assert_eq!(findings(own), []);
}

#[test]
fn each_process_of_an_app_has_a_pool() {
    let sum = ["(10 replicas + 1 during", "4 processes x (pool of 50 + 2) = 2288", "room for 1024"];
    finds(Level::Error, "mongodb.pool.max", &sum, |stack| {
        own(stack);
        stack.service.processes = 4;
    });
}

#[test]
fn app_has_the_time_to_end_after_its_front() {
    finds(Level::Error, "kubernetes.shutdown.grace", &["after 29 s", "after 30 s"], |stack| {
        own(stack);
        stack.kubernetes.shutdown.pre_stop = "28s".parse().unwrap();
    });
}

#[test]
fn share_of_the_cpu_is_that_of_the_front() {
    finds(Level::Warning, "kubernetes.cpu_limit", &["500m"], |stack| {
        own(stack);
        stack.kubernetes.cpu_limit = "500m".parse().unwrap();
    });
}
