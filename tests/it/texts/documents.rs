//! What stands in the way of rendered documents, of `init`, `cost` and `image`.

use super::{Case, Texts};

const EMPTY: &[(&str, &str)] = &[];
const HAPROXY: &str = "global\n";

/// A stack file with patches of a rendered document.
macro_rules! patched {
    ($text:literal) => {
        (&[("appforge.yaml", $text)], "render --target compose --stdout -q")
    };
}

const RENDER: &[Case] = &[
    (EMPTY, "render --target local"),
    (EMPTY, "render --eject compose/haproxi.cfg"),
    (EMPTY, "render --eject nothing"),
    (&[("templates/compose/haproxy.cfg.tera", HAPROXY)], "render --eject compose/haproxy.cfg"),
    (&[("templates/compose/other.yml.tera", "")], "render --target compose --stdout -q"),
    (&[("templates/compose/haproxy.cfg.tera", "{% if %}")], "render --target compose --stdout -q"),
    (&[("templates/compose/haproxy.cfg.tera", "{{ nothing }}")], "render --target compose --stdout -q"),
    (&[("templates/compose/docker-compose.yml.tera", "a: [")], "render --target compose --stdout -q"),
    (&[("templates/compose/.env.example.tera", "not a variable\n")], "render --target compose --stdout -q"),
    (&[("deploy/docker-compose.yml", "mine\n")], "render --target compose -q"),
    (&[("deploy/docker-compose.yml/x", "")], "render --target compose -q"),
    (&[("deploy", "a file\n")], "render --target compose -q"),
    patched!("patches: {compose/nothing.yml: []}\n"),
    patched!("patches: {compose/haproxy.cfg: [{op: remove, path: /a}]}\n"),
    patched!("patches: {compose/docker-compose.yml: [{op: remove, path: /gone}]}\n"),
    patched!("patches: {compose/docker-compose.yml: [{op: remove, path: services}]}\n"),
    (&[("appforge.yaml", "mongodb: {mode: embedded}\n")], "render --target kubernetes --stdout -q"),
    (&[("appforge.yaml", "redis: {topology: sentinel}\ntarget: kubernetes\n")], "render --target all -q"),
    (&[("appforge.yaml", "service: {env: {A: \"a\\0b\"}}\n")], "render --target compose --stdout -q"),
    (&[("appforge.yaml", "service: {env: {A: \"a\\0b\"}}\n")], "render --target kubernetes --stdout -q"),
];

/// What is rendered, but cannot work or may not.
const FINDINGS: &[Case] = &[
    (
        &[("appforge.yaml", "mongodb: {max_connections: 100}\n")],
        "render --target kubernetes --out out --check -q",
    ),
    (
        &[("appforge.yaml", "kubernetes: {shutdown: {pre_stop: 25s, grace: 30s}, ingress: a.example}\n")],
        "render --target kubernetes -q",
    ),
    (
        &[(
            "appforge.yaml",
            "kubernetes: {autoscaling: {min: 1, max: 1}, cpu_limit: 600m}\nservice: {replicas: 5, env: {API_TOKEN: x}}\nmongodb: {memory: 600Mi}\n",
        )],
        "render --target kubernetes",
    ),
    (
        &[(
            "appforge.yaml",
            "service: {image: 'shop:latest'}\nredis: {topology: sentinel}\nmongodb: {max_connections: 700}\n",
        )],
        "render --target kubernetes",
    ),
    (
        &[(
            "appforge.yaml",
            "target: kubernetes\nservice: {image: 'shop:1'}\nmongodb: {mode: external, uri: {secret: atlas, key: uri}}\nredis: {mode: external, url: 'rediss+sentinel://h/main'}\n",
        )],
        "render",
    ),
];

const INIT: &[Case] = &[
    (&[("appforge.yaml", "name: shop\n")], "init --yes"),
    (EMPTY, "init"),
    (EMPTY, "init --yes --port 0"),
    (EMPTY, "init --yes --replicas 100 --rate-limit 0/15m"),
    (EMPTY, "init --yes --mongodb embedded --target compose"),
    (EMPTY, "init --yes --name My_Shop"),
    (EMPTY, "init --yes --rate-limit 100"),
    (EMPTY, "init --yes --autoscaling 3"),
    (EMPTY, "init --yes --autoscaling 5..3"),
    (EMPTY, "init --yes --redis cluster"),
    (EMPTY, "init --yes --config gone/appforge.yaml"),
    (EMPTY, "init --yes"),
    (&[(".appforge", "a file\n")], "init --yes"),
];

/// A catalogue.
macro_rules! catalogue {
    ($text:literal) => {
        (&[("prices.yaml", $text)], "cost --users 10000 --catalogue prices.yaml -q")
    };
}

const COST: &[Case] = &[
    (EMPTY, "cost --users many"),
    (EMPTY, "cost --users -1"),
    (EMPTY, "cost --max 100"),
    (EMPTY, "cost --users 10k --max free -q"),
    (EMPTY, "cost --as-of today"),
    (EMPTY, "cost --peak-factor 0 -q"),
    (EMPTY, "cost --users 10k --explain nods -q"),
    (EMPTY, "cost --users 10k --explain weather -q"),
    (EMPTY, "cost --explain nodes"),
    (EMPTY, "cost --compare nothing -q"),
    (EMPTY, "cost --compare scale other -q"),
    (EMPTY, "cost --compare tiers --chart -q"),
    (EMPTY, "cost --chart=x.svg -o json -q"),
    (EMPTY, "cost --chart=gone/x.svg -q"),
    (EMPTY, "cost --users 10k --max 1 --as-of 2026-03-01 -q -o csv"),
    (EMPTY, "cost --users 10k --max 300 --as-of 2026-03-01 -q -o csv"),
    (EMPTY, "cost --catalogue gone.yaml -q"),
    (&[("prices.yaml/x", "")], "cost --catalogue prices.yaml -q"),
    catalogue!("{}\n"),
    catalogue!("version: 2\nextends: defaults\n"),
    catalogue!("version: 1\nextends: default\ncurrency: dollars\ntier: []\n"),
    catalogue!("version: 1\nextends: default\ntiers: [{name: scale, up_to: 5, items: [{id: mongodb}]}]\n"),
    catalogue!("version: 1\nextends: default\ntiers: [{name: production, up_to: 1}]\n"),
    catalogue!(
        "version: 1\nextends: default\ntiers:\n  - name: scale\n    node: {cpu: 0, memory: 0}\n    items:\n      - {id: a, name: A, unit: a, quantity: 1, low: 9, high: 1, as_of: soon, source: x, confidence: sure}\n"
    ),
    catalogue!(
        "version: 1\nextends: default\ntiers:\n  - name: scale\n    items:\n      - {id: a, name: A, unit: a, quantity: 1, low: -1, source: x, confidence: good}\n      - {id: a, name: A, unit: a, quantity: 1, low: 1, as_of: 2026-01-01, source: x, confidence: good}\n"
    ),
    (
        &[
            ("prices.yaml", "version: 1\nextends: default\ncurrency: EUR\n"),
            ("other.yaml", "cost: {catalogue: prices.yaml}\n"),
        ],
        "cost --compare scale other.yaml -q",
    ),
    (&[(".appforge/capacity.json", "{}\n")], "cost -q"),
    (
        &[(
            ".appforge/capacity.json",
            "{\"requests_per_second_per_replica\": 0, \"measured_at\": \"2026-02-01T10:00:00Z\"}\n",
        )],
        "cost -q",
    ),
    (
        &[(
            ".appforge/capacity.json",
            "{\"requests_per_second_per_replica\": 50, \"measured_at\": \"yesterday\"}\n",
        )],
        "cost -q",
    ),
];

const IMAGE: &[Case] = &[
    (EMPTY, "image push service"),
    (EMPTY, "image push Registry.example/Service"),
    (EMPTY, "image push localhost:1/team/service"),
    (&[(".docker/config.json", "{")], "image push localhost:1/team/service"),
    (
        &[(".docker/config.json", "{\"auths\": {\"localhost:1\": {\"auth\": \"?\"}}}")],
        "image push localhost:1/team/service",
    ),
    (
        &[(".docker/config.json", "{\"auths\": {\"localhost:1\": {\"auth\": \"YQ==\"}}}")],
        "image push localhost:1/team/service",
    ),
    (&[(".docker/config.json", "{\"credsStore\": \"gone\"}")], "image push localhost:1/team/service"),
    (EMPTY, "image build"),
    (EMPTY, "image save --out gone/service.tar"),
];

#[test]
fn texts_of_render_are_as_in_their_snapshot() {
    Texts::new("render").cases(RENDER).cases(FINDINGS).compare();
}

#[test]
fn texts_of_init_are_as_in_their_snapshot() {
    Texts::new("init").cases(INIT).compare();
}

#[test]
fn texts_of_cost_are_as_in_their_snapshot() {
    Texts::new("cost-errors").cases(COST).compare();
}

#[test]
fn texts_of_image_are_as_in_their_snapshot() {
    Texts::new("image").cases(IMAGE).compare();
}
