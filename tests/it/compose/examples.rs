//! The apps of `examples/` in containers, built from their Dockerfiles on bases that hold what these would download.

use super::{Stack, front_image};
use crate::examples::{copy, items_are_written_and_read};

fn runs_on_compose(example: &str, base: &str) {
    let stack = Stack::new(example);
    let images = format!(
        "redis: {{image: 'appforge-test-redis:1'}}\nruntime: {{image: '{}'}}\n\
         compose: {{gateway_image: 'appforge-test-haproxy:1'}}\nmongodb:\n  image: appforge-test-mongodb:4",
        front_image()
    );
    let project = copy(
        example,
        &[
            ("appforge.yaml", &format!("name: app-{example}\n"), &format!("name: {}\n", stack.name)),
            ("appforge.yaml", "target: local", "target: compose"),
            ("appforge.yaml", "port: 5000", &format!("port: {}", stack.port)),
            ("appforge.yaml", "mongodb:", &images),
            // The list of items: what the drill asks is then in the cache that goes away.
            ("appforge.yaml", "health: /healthz", "health: /items"),
            ("Dockerfile", base, &format!("ARG BASE=appforge-test-{example}:1\n")),
        ],
    );
    project.done(&["up", "--replicas", "2"]);
    items_are_written_and_read(stack.port);
    project.done(&["verify", "--check", "rate-limit", "--drill", "redis-down"]);
    project.done(&["down", "--volumes", "--yes"]);
}

#[test]
#[ignore = "needs docker"]
fn example_in_python_runs_on_compose() {
    runs_on_compose("python", "ARG BASE=python:3.13-slim\n");
}

#[test]
#[ignore = "needs docker and node"]
fn example_in_node_runs_on_compose() {
    runs_on_compose("node", "ARG BASE=node:22-slim\n");
}
