//! Stacks with data of an earlier build, as it left them after `down` and after `kill -9`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use appforge_testing::tcp;

use crate::stack::{Up, lives};
use crate::support::Run;

/// A stack with the state folder of `fixtures/local-a950d35`, which everybody may enter as the build made it.
fn old(how: &str) -> Up {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/local-a950d35").join(how);
    let state = up.project.path().join(".appforge");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    for file in ["state.json", "run/processes.json", "data/mongodb/mongodb.redb", "data/redis/redis.redb"] {
        let path = state.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(fixture.join(file), &path).unwrap();
    }
    for folder in ["run", "data", "data/mongodb", "data/redis"] {
        fs::set_permissions(state.join(folder), PermissionsExt::from_mode(0o700)).unwrap();
    }
    up
}

fn names(up: &Up) -> Vec<String> {
    let items: serde_json::Value = serde_json::from_str(&up.request("GET /api/items", "").1).unwrap();
    items["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

fn serves(how: &str, items: &[&str]) {
    let up = old(how);
    let status = up.json(&["up"]);
    assert_eq!(status["status"]["replicas"]["ready"], 2, "what `scale` set is kept");
    up.connected();
    assert_eq!(names(&up), items);
    let status = up.json(&["status"]);
    let redis = status["components"][1]["endpoint"].as_str().unwrap().to_owned();
    let answer = tcp::exchange(redis, b"GET kept\r\nQUIT\r\n").unwrap();
    assert_eq!(answer, "$3\r\nold\r\n+OK\r\n");
    // It is data like any other: it can be changed, and it survives the next start.
    assert_eq!(up.request("POST /api/items", r#"{"name": "new"}"#).0, 201);
    up.done(&["down"]);
    up.done(&["up"]);
    up.connected();
    assert_eq!(names(&up), [items, &["new"]].concat());
}

#[test]
fn data_of_an_earlier_build_is_served_after_down() {
    serves("down", &["old-1", "old-2-changed"]);
}

#[test]
fn data_of_an_earlier_build_is_served_after_kill() {
    serves("killed", &["old-1", "old-2-changed", "old-4"]);
}

/// A copy is another build: what tells them apart is the file.
#[test]
fn stack_that_another_build_runs_is_replaced_by_up() {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    let program = up.project.path().join("older");
    fs::copy(up.project.command(&[]).get_program(), &program).unwrap();
    let mut command = Command::new(program);
    command.args(["up", "--replicas", "2"]).current_dir(up.project.path()).env_clear().env("PATH", &up.path);
    let run = Run::of(&mut command);
    assert_eq!(run.code, Some(0), "{run:#?}");
    up.connected();
    assert_eq!(up.request("POST /api/items", r#"{"name": "kept"}"#).0, 201);
    let (supervisor, pids) = (up.supervisor(), up.pids());
    let diff = up.run(&["diff"]);
    assert_eq!(diff.code, Some(5), "{diff:#?}");
    let lines = ["mongodb", "redis", "service-1", "service-2"]
        .map(|name| format!("~ restart {name}\n    appforge: another build\n"));
    assert_eq!(diff.stdout, lines.concat());
    up.done(&["up"]);
    assert!(!lives(supervisor) && !pids.iter().any(|pid| lives(*pid)));
    up.connected();
    assert_eq!(names(&up), ["kept"]);
    assert_eq!(up.run(&["diff"]).code, Some(0));
}
