//! One test a row of the README's table of exit codes.

use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;

use appforge_testing::port;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::Project;

#[track_caller]
fn ends_with(code: i32, project: &Project, args: &[&str]) -> String {
    let run = project.run(args);
    assert_eq!(run.code, Some(code), "{args:?}: {run:#?}");
    run.stderr
}

/// A stack file with a port that nobody has.
fn free() -> Project {
    let port = port::reserve();
    Project::with(&format!("service: {{port: {port}}}\n"))
}

#[test]
fn done_is_0() {
    ends_with(0, &Project::new(), &["config", "validate"]);
}

#[test]
fn failed_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = Project::with(&format!("service: {{port: {port}}}\n"));
    let said = ends_with(1, &project, &["up"]);
    assert!(said.starts_with(&format!("error: port {port} is taken by another program\n")), "{said}");
}

#[test]
fn usage_is_2() {
    ends_with(2, &Project::new(), &["scale"]);
    ends_with(2, &Project::new(), &["verify", "--drill", "nothing"]);
}

#[test]
fn age_beyond_the_calendar_is_2_as_other_invalid_times() {
    for age in ["9999999999999h", "600000000000000m", "36000000000000000s", "yesterday"] {
        let said = ends_with(2, &Project::new(), &["logs", "-q", "--since", age]);
        assert!(said.starts_with(&format!("error: invalid time `{age}`\n")), "{said}");
    }
}

#[test]
fn unknown_check_is_2_before_the_stack_is_asked() {
    for check in ["rate-limits", "redis", "weather"] {
        let said = ends_with(2, &Project::new(), &["verify", "-q", "--check", check]);
        assert!(said.starts_with(&format!("error: unknown check `{check}`\n\nhint: ")), "{said}");
    }
    ends_with(4, &Project::new(), &["verify", "-q", "--check", "rate-limit"]);
}

#[test]
fn an_invalid_configuration_is_3() {
    let project = Project::with("service:\n  prot: 80\n");
    let said = ends_with(3, &project, &["up"]);
    assert!(said.contains("appforge.yaml:2:3") && said.contains("`port`"), "{said}");
    assert!(!project.path().join(".appforge").exists());
}

#[test]
fn an_unreachable_target_is_4() {
    let project = free();
    assert_eq!(
        ends_with(4, &project, &["verify"]),
        "error: the stack `appforge` is not up\n\nhint: appforge up\n"
    );
    ends_with(4, &project, &["status"]);
}

#[test]
fn differences_are_5() {
    ends_with(5, &free(), &["diff"]);
}

#[test]
fn a_failed_check_is_6() {
    let project = free();
    project.done(&["up"]);
    let stack = project.read("appforge.yaml");
    project.write("appforge.yaml", &format!("{stack}rate_limit: {{requests: 7}}\n"));
    ends_with(6, &project, &["verify", "--check", "rate-limit"]);
    project.done(&["down", "--volumes", "--yes"]);
}

#[test]
fn a_missed_threshold_is_7() {
    let project = free();
    project.done(&["up"]);
    ends_with(7, &project, &["load", "--duration", "500ms", "--threshold", "p95<1us"]);
    project.done(&["down", "--volumes", "--yes"]);
}

#[test]
fn over_budget_is_8() {
    ends_with(8, &Project::new(), &["cost", "--users", "10000", "--max", "1"]);
}

#[test]
fn a_passed_deadline_is_9_and_leaves_nothing_behind() {
    let project = free();
    let said = ends_with(9, &project, &["up", "--timeout", "1ms"]);
    assert!(said.contains("is not ready after 1ms"), "{said}");
    ends_with(4, &project, &["status"]);
}

#[test]
fn interrupted_is_130() {
    let project = free();
    project.done(&["up"]);
    let mut watch = project.command(&["status", "--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    // The first line says that it watches.
    watch.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
    let pid = Pid::from_raw(i32::try_from(watch.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(130));
    project.done(&["down", "--volumes", "--yes"]);
}
