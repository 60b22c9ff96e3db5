//! Addresses of external stores are tried before and after replicas depend on them.

use std::process::Command;

use super::{Stack, ask};
use crate::support::Project;

#[test]
#[ignore = "needs docker"]
fn new_address_that_does_not_answer_changes_nothing() {
    let stack = Stack::new("addresses");
    let text = stack.text("image: bundled");
    let dead = text.replace(
        "redis: {image: 'appforge-test-redis:1'}",
        "redis: {mode: external, url: 'redis://host.docker.internal:9'}",
    );
    let project = Project::with(&text);
    project.done(&["up"]);
    let containers = stack.containers();

    project.write("appforge.yaml", &dead);
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    let message =
        "error: the new address does not answer from the containers, so nothing was applied:\n  redis.url: ";
    assert!(refused.stderr.contains(message), "{refused:#?}");
    assert_eq!(stack.containers(), containers, "no container was replaced");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(ask(stack.port, "/api/items", "")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    project.write("appforge.yaml", &text);
    assert_eq!(project.done(&["diff"]).stdout, "nothing to change\n");
    project.done(&["down"]);

    // The first start with it is a warning, an error with `--strict`.
    project.write("appforge.yaml", &dead);
    let first = project.done(&["up"]);
    assert!(first.stderr.contains("redis.url does not answer from the containers: "), "{first:#?}");
    assert_eq!(project.run(&["up", "--strict"]).code, Some(1));
    // As a command leaves it that is killed while it tries an address.
    let left = format!("{}-reach", stack.name);
    let docker =
        |arguments: &[&str]| Command::new("docker").args(arguments).output().unwrap().status.success();
    let label = format!("appforge.stack={}", stack.name);
    assert!(docker(&["create", "--name", &left, "--label", &label, "appforge-test-web:1"]));
    for verb in [&["down"][..], &["logs"]] {
        let run = project.run(verb);
        assert_eq!(run.code, Some(if verb == ["down"] { 0 } else { 4 }), "{run:#?}");
    }
    assert!(!docker(&["inspect", &left]), "it holds an address with its credentials");
    for verb in [&["restart"][..], &["scale", "--replicas", "2"], &["verify"], &["load"]] {
        let run = project.run(verb);
        let message = format!("the stack `{}` is not up on compose", stack.name);
        assert!(run.code == Some(4) && run.stderr.contains(&message), "{run:#?}");
    }
}
