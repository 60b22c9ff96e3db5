//! `service.release` of the Compose target: once for a change, whoever runs `up`.

use std::process::{Command, Stdio};

use appforge_testing::wait::eventually;

use super::Stack;
use super::own::{app, docker, get, tokio_request};
use crate::support::Project;

/// The id of the container in which a release command runs.
fn under_way(name: &str) -> Option<String> {
    let ask = ["ps", "--quiet", "--no-trunc", "--filter", &format!("name=^{name}-release$")];
    let output = Command::new("docker").args(ask).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().next().map(str::to_owned)
}

#[test]
#[ignore = "needs docker"]
fn release_runs_once_though_two_commands_want_it() {
    let stack = Stack::new("ownrel");
    let release = "release: ['sh', '-c', 'echo began on $$HOSTNAME; sleep 8; echo ended']";
    let project = Project::with(&stack.text(&app(release)));
    // A container of another owner that has the name.
    let name = format!("{}-release", stack.name);
    docker(&["run", "--detach", "--name", &name, "appforge-test-web:1", "sleep", "600"]);
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let expected = format!("the container `{name}` is not of the stack `{}`", stack.name);
    assert!(refused.stderr.contains(&expected), "{refused:#?}");
    project.done(&["down"]);
    assert!(under_way(&stack.name).is_some(), "`down` leaves it alone");
    docker(&["rm", "--force", &name]);

    // A command that is killed leaves its release running; the next one waits for that.
    let mut first = project.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut began = None;
    eventually("the release runs", || {
        began = under_way(&stack.name);
        began.is_some()
    });
    first.kill().unwrap();
    first.wait().unwrap();
    let began = began.unwrap();
    let up = project.done(&["up"]);
    let line = format!("began on {}", &began[..12]);
    assert!(up.stderr.contains(&line) && up.stderr.contains("\nended\n"), "{began}: {}", up.stderr);
    assert_eq!(up.stderr.matches("\nbegan on").count(), 1, "{}", up.stderr);
    assert_eq!(under_way(&stack.name), None);
    assert!(!project.done(&["up"]).stderr.contains("running the release command"));
    project.done(&["down", "--volumes", "--yes"]);
}

/// A command that is killed while the release of a new version runs has written the files of that version.
#[test]
#[ignore = "needs docker"]
fn restart_keeps_the_version_whose_successor_was_not_released() {
    let stack = Stack::new("owncut");
    let of = |version: &str, wait: &str| {
        let more = format!("env: {{VERSION: '{version}'}}, release: ['sh', '-c', 'sleep {wait}']");
        stack.text(&app(&more))
    };
    let project = Project::with(&of("1", "0"));
    project.done(&["up"]);
    let documents = || project.read(".appforge/compose/docker-compose.yml");
    let before = documents();
    project.write("appforge.yaml", &of("2", "600"));
    let mut cut = project.command(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the release runs", || under_way(&stack.name).is_some());
    cut.kill().unwrap();
    cut.wait().unwrap();
    assert_ne!(documents(), before);
    project.done(&["restart"]);
    assert_eq!(documents(), before);
    assert_eq!(get(stack.port, "/env?VERSION", "").1, "1");
    let late = project.run(&["up", "--timeout", "10s"]);
    assert_eq!(late.code, Some(9), "{late:#?}");
    assert!(late.stderr.contains("the release command `sh -c sleep 600` is still running"), "{late:#?}");
    assert!(tokio_request(stack.port).starts_with("HTTP/1.1 200 "));
    assert_eq!(documents(), before);
    project.done(&["down", "--volumes", "--yes"]);
    assert_eq!(under_way(&stack.name), None);
}

#[test]
#[ignore = "needs docker"]
fn mongodb_says_why_it_makes_no_users() {
    let stack = Stack::new("ownuser");
    let project = Project::with(&stack.text(&app("")));
    project.done(&["up"]);
    project.done(&["down"]);
    let path = ".appforge/compose/secrets/mongodb_password";
    let password = project.read(path);
    project.write(path, "another");
    let refused = project.run(&["up", "--timeout", "45s"]);
    assert_eq!(refused.code, Some(9), "{refused:#?}");
    assert!(refused.stderr.contains("last health answer: MongoServerError: "), "{refused:#?}");
    // With the right one the next start continues.
    project.write(path, &password);
    project.done(&["up"]);
    project.done(&["down", "--volumes", "--yes"]);
}
