//! What the processes of a stack see of the caller's environment, and which verbs need the variables of the stores.

use crate::stack::Up;
use crate::support::Run;

/// A URI with a password, of a server that is not there.
const URI: &str = "mongodb://someone:hunter2@127.0.0.1:1/";

fn with_variables(up: &Up, args: &[&str]) -> Run {
    let mut command = up.project.command(args);
    command.env("PATH", &up.path).env("APPFORGE_MONGODB_URI", URI).env("CLOUD_TOKEN", "hunter3");
    Run::of(&mut command)
}

#[test]
fn processes_of_a_stack_hold_no_secret_of_the_caller() {
    let up = Up::new("mongodb: {mode: external}\n");
    let run = with_variables(&up, &["up"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let mut pids = up.pids();
    pids.push(up.supervisor());
    assert_eq!(pids.len(), 3, "Redis, a replica and the supervisor");
    for pid in pids {
        for file in ["environ", "cmdline"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hunter"), "{file}: {text}");
        }
    }
}

#[test]
fn verbs_on_a_running_stack_need_no_store_variables() {
    let up = Up::new("mongodb: {mode: external}\n");
    assert_eq!(with_variables(&up, &["up"]).code, Some(0));
    let said = up.run(&["up"]);
    assert_eq!(said.code, Some(3), "a change needs the address: {said:#?}");
    assert_eq!(up.json(&["status"])["replicas"]["ready"], 1);
    up.done(&["restart"]);
    up.done(&["logs"]);
    assert_eq!(up.json(&["status"])["components"][0]["state"], "external");
    let uri = up.project.path().join(".appforge/secrets/mongodb-uri");
    assert_eq!(std::fs::read_to_string(&uri).unwrap(), URI);
    assert_eq!(up.done(&["down"]).stderr.lines().last(), Some("the stack is down; its data is kept"));
    assert!(uri.exists(), "without --volumes nothing is removed");
    up.done(&["down", "--volumes", "--yes"]);
    assert!(!uri.exists());
    assert!(up.project.path().join(".appforge/secrets/probe").exists());
    // Elsewhere too the variables are not what is missing.
    for args in [["down", "--target", "kubernetes"], ["status", "--target", "kubernetes"]] {
        let run = Run::of(up.project.command(&args).env("KUBECONFIG", "/nonexistent"));
        assert_eq!(run.code, Some(4), "{run:#?}");
    }
}

#[test]
fn a_wrong_file_still_stops_verbs_on_a_running_stack() {
    let up = Up::new("mongodb: {mode: external, ur: x}\n");
    assert_eq!(up.run(&["status"]).code, Some(3));
    assert_eq!(up.run(&["down"]).code, Some(3));
}

#[test]
fn address_of_a_store_is_removed_once_it_is_not_external() {
    let up = Up::new("");
    let external = |args: &[&str]| {
        Run::of(up.project.command(args).env("PATH", &up.path).envs([
            ("APPFORGE_REDIS_MODE", "external"),
            ("APPFORGE_REDIS_URL", "redis://:hunter2@127.0.0.1:1"),
        ]))
    };
    let run = external(&["up"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let file = up.project.path().join(".appforge/secrets/redis-uri");
    assert!(file.exists());
    up.done(&["up"]);
    assert!(!file.exists());
}
