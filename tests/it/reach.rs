//! `reach`, and what `up` makes of it on this machine: a new address is tried before replicas get it.

use appforge_testing::port;
use serde_json::Value;

use crate::support::Project;

#[test]
fn reach_prints_why_a_store_does_not_answer() {
    let project = Project::new();
    project.write("redis", &format!("redis://someone:hunter22@{}\n", port::closed()));
    let output =
        project.command(&["reach", "--timeout", "500ms"]).env("REDIS_URL_FILE", "redis").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["redis"].is_string() && answer["mongodb"].is_null(), "{answer}");
    assert!(!text.contains("hunter22"), "{text}");
    project.done(&["reach"]);
}

#[test]
fn dead_address_is_refused_while_the_local_stack_runs() {
    let port = port::reserve();
    let file = |more: &str| format!("target: local\nservice: {{port: {port}}}\n{more}");
    let project = Project::with(&file(""));
    project.done(&["up"]);
    for address in [
        format!("redis: {{mode: external, url: 'redis://someone:hunter22@{}'}}\n", port::closed()),
        format!("mongodb: {{mode: external, uri: 'mongodb://someone:hunter22@{}'}}\n", port::closed()),
    ] {
        project.write("appforge.yaml", &file(&address));
        // To look at a change does not make it.
        assert_eq!(project.run(&["diff"]).code, Some(5));
        let refused = project.run(&["up"]);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(
            refused.stderr.contains(
                "error: the new address does not answer from this machine, so nothing was applied:\n"
            ),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("hunter22"), "{}", refused.stderr);
        project.write("appforge.yaml", &file(""));
        project.done(&["diff"]);
    }
    project.done(&["down"]);
}

#[test]
fn first_dead_address_warns_on_local_and_strict_fails() {
    let project = Project::with(&format!(
        "target: local\nservice: {{port: {}}}\nredis: {{mode: external, url: 'redis://{}'}}\n",
        port::reserve(),
        port::closed()
    ));
    let first = project.done(&["up"]);
    assert!(
        first.stderr.contains("warning: redis.url does not answer from this machine: "),
        "{}",
        first.stderr
    );
    let strict = project.run(&["up", "--strict"]);
    assert_eq!(strict.code, Some(1), "{strict:#?}");
    assert!(
        strict.stderr.contains("error: the stack is up, but external stores do not answer:\n"),
        "{}",
        strict.stderr
    );
    project.done(&["down"]);
}
