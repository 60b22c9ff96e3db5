//! `doctor` as a user runs it: on a machine that is well, and on one that is not.

use std::net::TcpListener;

use appforge_testing::port;
use serde_json::Value;

use crate::support::Project;

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("{name} in {report:#}"))
}

fn report(project: &Project, args: &[&str], code: i32) -> Value {
    let run = project.run(&[&["doctor", "-q", "-o", "json"], args].concat());
    assert_eq!(run.code, Some(code), "{run:#?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_machine_that_is_well_can_run_the_stack_and_nothing_is_changed() {
    let port = port::reserve();
    let project = Project::with(&format!("service: {{port: {port}}}\n"));
    let found = report(&project, &[], 0);
    assert_eq!(found["fit"], true);
    assert_eq!(finding(&found, &format!("port {port}"))["observed"], "free");
    assert_eq!(finding(&found, "leftovers")["verdict"], "good");
    assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), 1, "only the stack file");

    project.done(&["up"]);
    let found = report(&project, &[], 0);
    assert_eq!(finding(&found, &format!("port {port}"))["observed"], "used by this stack");
    assert_eq!(finding(&found, "supervisor")["observed"], "running");
    project.done(&["down", "--volumes", "--yes"]);
}

#[test]
fn a_taken_port_comes_with_its_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = Project::with(&format!("service: {{port: {port}}}\n"));
    let found = report(&project, &[], 1);
    let finding = finding(&found, &format!("port {port}"));
    assert_eq!(finding["verdict"], "bad");
    assert!(finding["fix"].as_str().unwrap().contains("service.port"), "{finding}");
    let text = project.run(&["doctor"]).stdout;
    assert!(text.ends_with("the target local cannot run this stack yet\n"), "{text}");
}

#[test]
fn store_in_a_container_needs_an_engine_of_this_machine() {
    let file = format!("service: {{port: {}}}\nredis: {{mode: container}}\n", port::reserve());
    let project = Project::with(&file);
    for (host, why) in
        [("unix:///nonexistent/docker.sock", "unix:///nonexistent"), ("tcp://127.0.0.1:1", "127.0.0.1:1")]
    {
        let mut command = project.command(&["doctor", "-q", "-o", "json"]);
        let output = command.env("DOCKER_HOST", host).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{host}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let engine = finding(&found, "docker engine");
        assert_eq!(engine["verdict"], "bad");
        assert!(engine["observed"].as_str().unwrap().contains(why), "{engine}");
    }
}

#[test]
fn without_an_engine_compose_cannot_run_and_says_what_to_do() {
    let project = Project::new();
    let output = project
        .command(&["doctor", "--target", "compose", "-q", "-o", "json"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(finding(&found, "docker engine")["verdict"], "bad");
    assert!(finding(&found, "docker engine")["fix"].as_str().unwrap().contains("install Docker"));
}
