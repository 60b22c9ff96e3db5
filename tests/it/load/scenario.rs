use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::server::{Reply, Server, ok};
use super::{count, limiting, load, number};
use crate::support::Project;

#[test]
fn a_scenario_file_is_played_with_its_steps_bodies_and_checks() {
    let names = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&names);
    let server = Server::start(move |request| match request.method.as_str() {
        "POST" => {
            let fresh = seen.lock().expect("lock").insert(request.body.clone());
            let json = request.headers.get("content-type").is_some_and(|kind| kind == "application/json");
            let known = request.headers.get("authorization").is_some_and(|value| value == "Bearer t0ken");
            Reply::Answer(if fresh && json && known { 201 } else { 400 }, "{}", Duration::ZERO)
        }
        _ => ok(),
    });
    let project = Project::new();
    project.write(
        "shop.yaml",
        "think_time: 10ms\n\
         stages: [{duration: 500ms, users: 4}, {duration: 1s, users: 4}]\n\
         steps:\n\
         - {name: list, weight: 3, path: /api/items, checks: [{status: 200}, {body_contains: '\"ok\"'}, {header: {content-type: json}}]}\n\
         - name: create\n  \
           path: /api/items\n  \
           headers: {authorization: 'Bearer ${env:SHOP_TOKEN}'}\n  \
           body: {name: 'item ${n}'}\n  \
           expect: 201\n\
         thresholds: ['checks>=100%', 'p99{create}<5s']\n",
    );
    let url = server.url();
    let args = ["load", "--url", &url, "--scenario", "shop.yaml", "-o", "json"];
    let output = project.command(&args).env("SHOP_TOKEN", "t0ken").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["scenario"], "shop");
    let routes: BTreeMap<&str, u64> = report["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| (route["name"].as_str().unwrap(), count(route, "/requests")))
        .collect();
    assert_eq!(routes["create"], names.lock().unwrap().len() as u64);
    assert!(routes["list"] > routes["create"], "{routes:?}");
    assert!(!report.to_string().contains("t0ken"), "a secret in the report");
}

#[test]
fn a_malformed_scenario_file_is_exit_3_with_every_place_and_nothing_is_sent() {
    let server = Server::start(|_| ok());
    let project = Project::new();
    project.write(
        "bad.yaml",
        "stages: [{duration: 1s, usres: 4}]\nsteps:\n- {path: /, headers: {authorization: '${env:NO_SUCH_TOKEN}'}}\n",
    );
    let run = project.run(&["load", "--url", &server.url(), "--scenario", "bad.yaml", "-q"]);
    assert_eq!(
        run.stderr,
        "error: the scenario has 3 problems\n  \
         bad.yaml:1:10: stages[0]: requires exactly one of `users` and `rate`\n  \
         bad.yaml:1:25: stages[0]: unknown key `usres`; did you mean `users`?\n  \
         bad.yaml:3:38: steps[0].headers.authorization: the variable `NO_SUCH_TOKEN` is not set\n"
    );
    assert_eq!((run.stdout.as_str(), run.code, server.requests()), ("", Some(3), 0));
}

#[test]
fn the_capacity_is_found_and_kept_for_cost() {
    // One request at a time, 10 ms each: no more than 100 a second, whatever machine this is.
    let busy = Mutex::new(());
    let server = Server::start(move |_| {
        let _turn = busy.lock().expect("lock");
        std::thread::sleep(Duration::from_millis(10));
        ok()
    });
    let project = Project::new();
    let args = ["--scenario", "capacity", "--rate", "25", "--duration", "500ms", "--replicas", "2"];
    let more = ["--threshold", "p95<100ms", "--threshold", "p99<10s"];
    let reports = ["--report", "x.html", "--report", "x.md"];
    let (report, run) = load(&project, &server, &[args.as_slice(), &more, &reports].concat());
    assert_eq!(run.code, Some(0), "{run:#?}");
    let plan =
        "searching for the capacity: 500ms for each of up to 20 rates, then 2s of proof; about 12s at most\n";
    assert!(run.stderr.contains(plan), "{}", run.stderr);
    let text = std::fs::read_to_string(project.path().join(".appforge/capacity.json")).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["capacity"], kept);
    let rate = number(&kept, "/requests_per_second");
    let steps = kept["trials"].as_array().unwrap().len();
    let (page, markdown) = (project.read("x.html"), project.read("x.md"));
    assert!(page.contains("<h2>Capacity: ") && page.contains("per replica (2 replicas)"), "{page}");
    assert!(page.contains("<td>25</td><td>held</td>"), "{page}");
    let (_, table) = markdown.split_once("| requests per second | result |").unwrap();
    assert_eq!(table.lines().skip(2).take_while(|line| line.starts_with("| ")).count(), steps, "{markdown}");
    assert!((1.0..=105.0).contains(&rate), "{kept:#}");
    assert!((number(&kept, "/requests_per_second_per_replica") - rate / 2.0).abs() < 0.1, "{kept:#}");
    assert_eq!((number(&kept, "/replicas"), kept["thresholds"][2].as_str()), (2.0, Some("p95<100ms")));
    for key in ["measured_at", "machine", "commit"] {
        assert!(kept.get(key).is_some(), "{key} in {kept:#}");
    }
}

#[test]
fn one_client_cannot_measure_capacity_past_the_limiter() {
    let (server, _) = limiting();
    let args = ["--scenario", "capacity", "--duration", "500ms"];
    let (_, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("hint: with --url, add the service's probe secret"), "{}", run.stderr);
}
