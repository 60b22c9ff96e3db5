//! The local target as a user runs it: real processes, real sockets, one project folder a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use appforge_testing::wait::{DEADLINE, eventually};

use crate::stack::{Up, kill, lives};

mod address;
mod environment;
mod folder;
mod open_files;
mod orphans;
pub(crate) mod own;
mod proof;
mod sockets;
mod stopped;
mod stores;
mod upgrade;

/// `status --watch -o yaml` printed a table.
#[test]
fn status_watch_prints_yaml_documents_when_asked() {
    let up = Up::new("");
    let mut command = up.project.command(&["status", "--watch", "-o", "yaml"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<String> = lines.take(3).collect();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(first, ["---", "stack: appforge", "target: local"]);
}

/// They were dated 1970, so that `--since` left them out.
#[test]
fn lines_of_the_supervisor_have_their_time() {
    let up = Up::new("");
    up.done(&["up"]);
    let said = up.done(&["logs", "supervisor", "--since", "10m"]).stdout;
    assert!(said.lines().count() > 0, "nothing of the last minutes");
    assert!(
        said.lines().all(|line| line.starts_with("supervisor | 20") && line.contains(" INFO ")),
        "{said}"
    );
}

#[test]
fn of_150_requests_exactly_100_pass_over_three_replicas_and_up_twice_changes_nothing() {
    let up = Up::new("");
    let status = up.json(&["up", "--replicas", "3"]);
    assert_eq!(status["status"]["replicas"]["ready"], 3);
    let passed = (0..150).filter(|_| up.request("GET /health", "").0 == 200).count();
    assert_eq!(passed, 100);
    let again = up.done(&["up"]);
    assert_eq!(again.stderr, "nothing to change: the stack is up to date\n");
    assert_eq!(up.run(&["diff"]).code, Some(0));
}

#[test]
fn scale_is_remembered_and_restart_replaces_every_replica() {
    let up = Up::new("");
    up.done(&["up"]);
    assert_eq!(up.json(&["scale", "--replicas", "3"])["changed"], true);
    let before = up.pids();
    up.done(&["restart"]);
    let after = up.pids();
    assert_eq!(after.len(), 5, "two stores and three replicas");
    assert_eq!(after.iter().filter(|pid| before.contains(pid)).count(), 2, "only the stores are the same");
    up.done(&["down"]);
    assert!(after.iter().all(|pid| !lives(*pid)));
    assert_eq!(up.run(&["status"]).code, Some(4));
    assert_eq!(up.json(&["up"])["status"]["replicas"]["desired"], 3);
    assert_eq!(up.json(&["scale", "--replicas", "1"])["status"]["replicas"]["ready"], 1);
    up.done(&["scale", "--replicas", "2"]);
    up.done(&["down", "--volumes", "--yes"]);
    assert_eq!(up.json(&["up"])["status"]["replicas"]["desired"], 1, "the number went with the data");
}

#[test]
fn following_the_logs_of_a_stack_that_is_down_ends() {
    let up = Up::new("");
    let none = up.run(&["logs", "-f"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(4), ""), "{none:#?}");
    up.done(&["up"]);
    up.done(&["down"]);
    for args in [&["logs", "-f"][..], &["logs", "-f", "--tail", "3"], &["logs", "service", "-f"]] {
        let old = up.done(args);
        assert!(!old.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn scale_and_restart_under_load_fail_no_request() {
    let up = Up::new("rate_limit: {requests: 100000000}\n");
    up.done(&["up"]);
    up.no_client_notices(|| {
        up.done(&["scale", "--replicas", "3"]);
        up.done(&["restart"]);
        up.done(&["scale", "--replicas", "1"]);
    });
}

#[test]
fn items_survive_down_and_a_killed_supervisor_but_not_volumes() {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    up.done(&["up"]);
    up.connected();
    assert_eq!(up.request("POST /api/items", r#"{"name": "kept"}"#).0, 201);
    up.done(&["down"]);
    up.done(&["up"]);
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("kept"));

    let children = up.pids();
    kill(up.supervisor());
    eventually("nothing outlives the supervisor", || !children.iter().any(|pid| lives(*pid)));
    up.done(&["up"]);
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("kept"));

    up.done(&["down", "--volumes", "--yes"]);
    up.done(&["up"]);
    up.connected();
    assert!(!up.request("GET /api/items", "").1.contains("kept"));
}

#[test]
fn a_killed_replica_is_replaced_and_no_connection_is_refused_meanwhile() {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    up.done(&["up"]);
    kill(up.pid("service-1"));
    // The supervisor keeps the socket: this connection waits for the next replica.
    assert_eq!(up.request("GET /health", "").0, 200);
    let restarts = || {
        up.json(&["status"])["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["restarts"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(restarts(), 1);
}

#[test]
fn a_taken_port_is_a_clear_error_and_leaves_nothing() {
    let up = Up::new("");
    let _taken = TcpListener::bind(("127.0.0.1", up.port)).unwrap();
    let run = up.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(
        run.stderr.starts_with(&format!("error: port {} is taken by another program\n", up.port)),
        "{}",
        run.stderr
    );
    assert_eq!(up.run(&["status"]).code, Some(4));
}

#[test]
fn a_change_of_the_file_is_planned_with_its_cause_and_done_without_a_gap() {
    let up = Up::new("");
    up.done(&["up"]);
    up.project
        .write("appforge.yaml", &format!("service: {{port: {}}}\nrate_limit: {{requests: 7}}\n", up.port));
    let plan = up.run(&["diff"]);
    assert_eq!(plan.stdout, "~ restart service-1\n    rate_limit.requests: 100 -> 7\n");
    assert_eq!(plan.code, Some(5));
    up.done(&["up"]);
    assert_eq!((0..10).filter(|_| up.request("GET /health", "").0 == 200).count(), 7);
}

#[test]
fn what_is_down_says_so_with_the_next_command() {
    let up = Up::new("");
    let run = up.run(&["scale", "--replicas", "2"]);
    assert_eq!(run.stderr, "error: the stack `appforge` is not up\n\nhint: appforge up\n");
    assert_eq!(run.code, Some(4));
    assert_eq!(up.run(&["up", "--replicas", "0"]).code, Some(3));
    assert_eq!(up.done(&["down"]).stderr, "nothing to stop: the stack is down\n");
}

#[test]
fn verify_proves_the_stack_and_fails_when_it_is_not_what_the_file_says() {
    let up = Up::new("");
    up.give_redis_a_port();
    up.done(&["up", "--replicas", "3"]);
    up.connected();
    let report = up.json(&["verify", "--drill", "redis-down"]);
    assert_eq!(report["passed"], true, "{report:#}");
    let names: Vec<&str> =
        report["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["service-health", "mongodb-connections", "redis-ping", "rate-limit", "replicas", "redis-down"]
    );
    assert_eq!(report["checks"][3]["evidence"]["concurrent_passed"], 100);
    let junit = up.done(&["verify", "--check", "replicas", "-o", "junit"]).stdout;
    assert!(junit.contains("tests=\"1\" failures=\"0\""), "{junit}");
    assert_eq!(up.run(&["verify", "--check", "replica"]).code, Some(2));
    // The file changes, the stack does not.
    up.project
        .write("appforge.yaml", &format!("service: {{port: {}}}\nrate_limit: {{requests: 50}}\n", up.port));
    let run = up.run(&["verify", "--check", "rate-limit"]);
    assert_eq!(run.code, Some(6), "{run:#?}");
    up.done(&["down"]);
    assert_eq!(up.run(&["verify"]).code, Some(4));
}

/// The supervisor goes on with it; what `up` finds then is about to end, and must not take the new stack with it.
#[test]
fn up_after_a_down_that_was_cut_off_brings_the_stack_that_stays() {
    let up = Up::new("");
    up.done(&["up"]);
    // An idle client keeps the replica for a while.
    let mut idle = TcpStream::connect(("127.0.0.1", up.port)).unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    idle.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(idle.read(&mut [0; 4096]).unwrap() > 0);
    let mut down = up.project.command(&["down"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(down.stderr.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "stopping service-1");
    down.kill().unwrap();
    down.wait().unwrap();
    up.done(&["up"]);
    assert_eq!(idle.read(&mut [0; 4096]).unwrap(), 0, "the first stack has ended");
    assert_eq!(up.json(&["status"])["replicas"]["ready"], 1);
    assert_eq!(up.request("GET /health", "").0, 200);
    assert_eq!(up.done(&["up"]).stderr, "nothing to change: the stack is up to date\n");
}
