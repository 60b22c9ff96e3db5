//! What a stack file, an overlay, a variable or a flag can have wrong.

use super::{Case, Texts};

/// The stack file of a case.
macro_rules! file {
    ($text:literal) => {
        (&[("appforge.yaml", $text)], "config validate -q")
    };
}

/// What the parser refuses.
const YAML: &[Case] = &[
    file!("name: [a"),
    file!("a: 1\n\tb: 2\n"),
    file!("name: 'shop\n"),
    file!("- one\n- two\n"),
    file!("just a text\n"),
    file!("name: a\n---\nname: b\n"),
    file!("name: &x shop\nmongodb: {database: *x}\n"),
    file!("name: a\nservice: {port: 1}\nname: b\n"),
    file!("{? [a, b] : c}\n"),
    file!("kind: Deployment\nmetadata: {name: x}\n"),
    file!(
        "{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{"
    ),
];

/// Keys and kinds of values.
const KEYS: &[Case] = &[
    file!("servise: {}\n"),
    file!("colour: red\n"),
    file!("service: {prot: 80}\n"),
    file!("service: [1, 2]\n"),
    file!("service: {port: ninety}\n"),
    file!("service: {port: 1.5}\n"),
    file!("service: {replicas: -1}\n"),
    file!("service: {replicas: {a: 1}}\n"),
    file!("service: {port: null}\n"),
    file!("service: {env: {A: 1, B: true, C: null}}\n"),
    file!("service: {env: [A]}\n"),
    file!("name: 12\n"),
    file!("target: dokcer\n"),
    file!("target: swarm\n"),
    file!("redis: {eviction: lru, persistence: sometimes}\n"),
    file!("kubernetes: {network_policies: maybe}\n"),
    file!("patches: {compose/docker-compose.yml: [{op: move, path: /a}]}\n"),
    file!("patches: {compose/docker-compose.yml: [{op: add, path: /a}]}\n"),
    file!("rate_limit: {trusted_proxies: 10.0.0.0/8}\n"),
];

/// Values of the right kind that do not fit.
const VALUES: &[Case] = &[
    file!("name: My Stack\n"),
    file!("id: '-'\n"),
    file!("version: 2\n"),
    file!("service: {image: 'my image'}\n"),
    file!("service: {image: 'shop:1'}\n"),
    file!("service: {port: 0, replicas: 0, resources: {cpu: many, memory: 1Mi}}\n"),
    file!("service: {replicas: 65, resources: {memory: much}}\n"),
    file!("service: {env: {1A: x, PORT: '1', LISTEN_FDS: '3', LD_PRELOAD: x.so}}\n"),
    file!("rate_limit: {requests: 0, window: soon, ipv6_prefix: 200, trusted_proxies: [all]}\n"),
    file!("rate_limit: {window: 999h}\n"),
    file!("mongodb: {mode: managed, database: a/b, memory: 1Mi, max_connections: 1}\n"),
    file!("mongodb: {mode: external}\nredis: {mode: external}\n"),
    file!("mongodb: {mode: external, uri: '${URI}'}\nredis: {mode: external, url: 'http://x'}\n"),
    file!("mongodb: {uri: 'mongodb://x'}\n"),
    file!("mongodb: {pool: {max: 0}}\n"),
    file!("mongodb: {pool: {max: 5, min: 10, max_idle: 0s, socket_timeout: 9999h}}\n"),
    file!("redis: {memory: 1Mi, min_replicas: 9}\n"),
    file!("target: kubernetes\nredis: {topology: sentinel, persistence: none}\n"),
    file!("target: compose\nredis: {topology: sentinel}\n"),
    file!("compose: {subnet: everything}\n"),
    file!("patches: {deploy.yml: []}\n"),
    file!("kubernetes: {namespace: A_B, ingress: 'a b', storage_class: 'A!', pull_secrets: ['?']}\n"),
    file!("kubernetes: {autoscaling: {min: 0, max: 9999, cpu: 0, memory: 200%}}\n"),
    file!("kubernetes: {autoscaling: {min: 5, max: 3}}\n"),
    file!("kubernetes: {cpu_limit: 100m, priority_class: '!'}\n"),
    file!("kubernetes: {ingress: a.b, route: {api: gateway}}\n"),
    file!(
        "kubernetes: {ingress: a.b, route: {api: gateway, gateway: x, class: 'A!', tls_secret: '?', issuer: '?'}}\n"
    ),
    file!("kubernetes: {probes: {port: 0, liveness: up, readiness: up}}\n"),
    file!("kubernetes: {probes: {liveness: /up, readiness: /up}}\n"),
    file!("kubernetes: {shutdown: {pre_stop: 100ms, grace: 0s}}\n"),
    file!("load: {think_time: x, thresholds: {p95: fast, error_rate: 200%}}\n"),
    file!("cost: {requests_per_user: 0, peak_factor: 0.5, budget: -1}\n"),
];

/// What else says values, and files that cannot be read.
const SOURCES: &[Case] = &[
    (&[], "config validate"),
    (&[("appforge.yaml", "name: shop\n")], "config validate --env prod"),
    (&[("appforge.prod.yaml", "name: 3\n")], "config validate --env prod -q"),
    (&[], "config validate --config other.yaml"),
    (&[("appforge.yaml/x", "")], "config validate -q --config appforge.yaml"),
    (&[], "APPFORGE_SERVICE_PORT=ninety config validate -q"),
    (&[], "APPFORGE_SERVICE_PORT=[1 config validate -q"),
    (&[], "APPFORGE_SERVICE_ENV_COLOUR=red config validate -q"),
    (&[], "APPFORGE_SERVICE_ENV={A:1} config validate -q"),
    (&[], "APPFORGE_TRUST=. config validate -q --config x.yaml"),
    (&[], "APPFORGE_MONGODB_MODE=external config validate -q"),
    (&[], "scale --replicas 1000 -q"),
    (&[], "up --replicas 0 -q --dry-run"),
];

#[test]
fn texts_of_yaml_are_as_in_their_snapshot() {
    Texts::new("yaml").cases(YAML).compare();
}

#[test]
fn texts_of_keys_and_values_are_as_in_their_snapshot() {
    Texts::new("values").cases(KEYS).cases(VALUES).compare();
}

#[test]
fn texts_of_sources_are_as_in_their_snapshot() {
    Texts::new("sources").cases(SOURCES).compare();
}
