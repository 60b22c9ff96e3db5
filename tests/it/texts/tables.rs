//! Tables and progress of a stack on the local target, of its configuration and of its cost.

use appforge_testing::{port, wait::eventually};

use super::{Case, Texts, case};
use crate::stack::Up;
use crate::support::Project;

const COST: &[Case] = &[
    case(&[], "cost --as-of 2026-03-01 -q"),
    case(&[], "cost --as-of 2026-12-01 --users 10000"),
    case(&[], "cost --as-of 2026-03-01 --users 100k -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 -q -o csv"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain total -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain nodes -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain mongodb -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain redis -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain cdn -q"),
    case(&[], "cost --as-of 2026-03-01 --users 10000 --explain tier -q"),
    case(&[], "cost --as-of 2026-03-01 --compare tiers -q"),
    case(&[], "cost --as-of 2026-03-01 --compare providers -q"),
    case(&[], "cost --as-of 2026-03-01 --compare production scale -q"),
    case(&[], "cost --as-of 2026-03-01 --chart -q"),
];

const CONFIG: &[Case] = &[
    case(&[("appforge.yaml", "name: shop\n")], "config show --origin"),
    case(
        &[
            ("appforge.yaml", "name: shop\nservice: {port: 80, env: {A: b}}\n"),
            ("appforge.prod.yaml", "service: {port: 81}\n"),
        ],
        "APPFORGE_REDIS_MEMORY=1GiB config show --env prod --target compose",
    ),
    case(&[("appforge.yaml", "name: shop\n")], "config validate"),
    case(&[], "init --yes --target kubernetes"),
    case(&[], "render --target compose"),
    case(&[], "render --eject compose/haproxy.cfg"),
    case(&[], "doctor --target compose"),
    case(&[], "doctor --target kubernetes"),
];

/// Shows placeholders for what is measured, and columns without the width that follows from it.
fn steady(area: &'static str, port: u16) -> Texts {
    Texts::new(area)
        .mask(&format!(r"\b{port}\b"), "PORT")
        // What replicas measure is there 2 to 4 s after `up`.
        .mask(r"(?s)\n(critical: .*?|warning: .*?)?REPLICA +STATE +REQUESTS .*", "")
        .mask(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT")
        .mask(r"[\d.]+ [GTM]iB", "SIZE")
        .mask(r"which .* set;", "which USER@HOST set;")
        .mask(r"\d+ connections, \d+ of them", "N connections, N of them")
        .mask(r#"time="[\d.]+""#, "time=\"N\"")
        .mask(r"(?m)^(requests|clients|data|generator|status) +.*$", "$1  N")
        .mask(r"(?m)^(health|items) +\d+", "$1  N")
        .mask(r"% of \d+", "% of N")
        .mask(r"\d+(\.\d+)? ?(ms|µs|s)\b", "TIME")
        .mask(r"(\S) {2,}", "$1  ")
        .mask(r"(?m)^\w+  (disk|open files)  .*\n( +fix: .*\n)?", "good  $1  N\n")
}

#[test]
fn tables_of_cost_are_as_in_their_snapshot() {
    Texts::new("cost").cases(COST).compare();
}

#[test]
fn tables_of_configuration_are_as_in_their_snapshot() {
    Texts::new("config").cases(CONFIG).compare();
}

#[test]
fn tables_of_a_local_stack_are_as_in_their_snapshot() {
    let up = Up::new("name: shop\n");
    let mut texts = steady("local", up.port);
    let mut run = |line: &str| texts.run(&up.project, line);
    run("doctor");
    run("diff");
    run("up");
    eventually("MongoDB is connected", || up.request("GET /api/items", "").0 != 503);
    run("up");
    run("status");
    run("doctor");
    run("scale 2");
    run("diff");
    run("up");
    run("up --replicas 3");
    run("logs -n 1 --grep nothing-says-this");
    run("logs weather");
    run("restart");
    run("verify");
    up.project.write(
        "appforge.yaml",
        &format!("service: {{port: {}}}\nname: shop\nrate_limit: {{requests: 7}}\n", up.port),
    );
    run("diff");
    run("verify --check rate-limit --check redis-ping");
    run("verify --check rate-limit -o junit -q");
    run("load --duration 500ms --vus 2 --think-time 50ms --threshold p95<1us --threshold p99<1m -q");
    run("down --volumes");
    run("down --volumes --yes");
    texts.compare();
}

#[test]
fn texts_of_a_taken_port_are_as_in_their_snapshot() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let project = Project::with(&format!("service: {{port: {port}}}\n"));
    let mut texts = steady("port", port);
    texts.run(&project, "up");
    texts.run(&project, "doctor");
    let free = port::reserve();
    project.write("appforge.yaml", &format!("service: {{port: {free}}}\n"));
    texts.run(&project, "up --timeout 1ms -q");
    texts.compare();
}
