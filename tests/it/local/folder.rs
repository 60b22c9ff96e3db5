//! The project folder is renamed, or its state folder is removed, while the stack runs.

use std::net::TcpListener;

use appforge_testing::wait::eventually;

use crate::stack::{Up, kill, lives};
use crate::support::Project;

fn up_with_an_item() -> Up {
    let up = Up::new("rate_limit: {requests: 100000}\n");
    up.done(&["up"]);
    up.connected();
    assert_eq!(up.request("POST /api/items", r#"{"name": "kept"}"#).0, 201);
    up
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// The stack that runs, its supervisor included.
fn processes(up: &Up) -> Vec<u64> {
    let mut pids = up.pids();
    pids.push(up.supervisor());
    pids
}

#[test]
fn renamed_project_keeps_its_data_when_a_store_restarts() {
    let mut up = up_with_an_item();
    let before = up.project.path().to_owned();
    up.project.rename();
    let now = up.project.path();
    for component in ["mongodb", "service-1"] {
        kill(up.pid(component));
    }
    eventually("the store and the replica are ready again", || {
        let status = up.json(&["status"]);
        let components = status["components"].as_array().unwrap();
        components.iter().all(|component| component["state"] == "ready")
            && components.iter().filter(|component| component["restarts"] == 1).count() == 2
    });
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("kept"));
    assert!(!before.exists(), "nothing is made at the old path");

    let diff = up.run(&["diff"]);
    assert_eq!(diff.code, Some(5), "{diff:#?}");
    let (old, new) = (before.display(), now.display());
    for (component, path) in [("mongodb", "data/mongodb"), ("redis", "data/redis"), ("service-1", "")] {
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let line =
            format!("restart {component}\n    folder: {old}/.appforge{path} -> {new}/.appforge{path}\n");
        assert!(diff.stdout.contains(&line), "{line}: {}", diff.stdout);
    }
    up.done(&["up"]);
    assert_eq!(up.run(&["diff"]).code, Some(0));
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("kept"));
    assert!(!before.exists(), "nothing is made at the old path");
    up.done(&["down"]);
    assert!(is_free(up.port));
}

#[test]
fn supervisor_ends_when_its_state_folder_is_removed() {
    let up = up_with_an_item();
    let processes = processes(&up);
    std::fs::remove_dir_all(up.project.path().join(".appforge")).unwrap();
    eventually("the stack has ended", || !processes.iter().any(|pid| lives(*pid)));
    assert!(is_free(up.port));
    assert!(!up.project.path().join(".appforge").exists(), "nothing is made again");
    assert_eq!(up.run(&["status"]).code, Some(4));
}

#[test]
fn up_replaces_a_stack_whose_state_folder_was_removed() {
    let up = up_with_an_item();
    let processes = processes(&up);
    std::fs::remove_dir_all(up.project.path().join(".appforge")).unwrap();
    up.done(&["up"]);
    assert!(!processes.iter().any(|pid| lives(*pid)), "the old stack has ended");
    up.connected();
    assert!(!up.request("GET /api/items", "").1.contains("kept"), "the data is gone with the folder");
    assert_eq!(up.done(&["up"]).stderr, "nothing to change: the stack is up to date\n");
}

#[test]
fn down_ends_a_stack_whose_state_folder_was_removed() {
    let up = up_with_an_item();
    let processes = processes(&up);
    std::fs::remove_dir_all(up.project.path().join(".appforge")).unwrap();
    let status = up.run(&["status"]);
    assert!(status.stderr.contains(&format!("(pid {})", processes.last().unwrap())), "{status:#?}");
    up.done(&["down"]);
    assert!(!processes.iter().any(|pid| lives(*pid)));
    assert!(is_free(up.port));
}

#[test]
fn up_keeps_the_data_when_only_the_run_folder_was_removed() {
    let up = up_with_an_item();
    let processes = processes(&up);
    std::fs::remove_dir_all(up.project.path().join(".appforge/run")).unwrap();
    up.done(&["up"]);
    assert!(!processes.iter().any(|pid| lives(*pid)), "the old stack has ended");
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("kept"));
}

#[test]
fn up_restarts_a_store_whose_data_folder_was_removed() {
    let up = up_with_an_item();
    std::fs::remove_dir_all(up.project.path().join(".appforge/data/mongodb")).unwrap();
    let diff = up.run(&["diff"]);
    assert!(diff.stdout.starts_with("~ restart mongodb\n    the data folder `"), "{diff:#?}");
    up.done(&["up"]);
    up.connected();
    assert_eq!(up.request("POST /api/items", r#"{"name": "new"}"#).0, 201);
    up.done(&["down"]);
    up.done(&["up"]);
    up.connected();
    assert!(up.request("GET /api/items", "").1.contains("new"));
}

#[test]
fn state_folder_that_is_moved_away_ends_its_stack() {
    for elsewhere in [".appforge.old", "other/.appforge"] {
        let up = up_with_an_item();
        let path = up.project.path();
        let processes = processes(&up);
        std::fs::create_dir(path.join("other")).unwrap();
        std::fs::rename(path.join(".appforge"), path.join(elsewhere)).unwrap();
        eventually("the stack ends", || processes.iter().all(|pid| !lives(*pid)));
        std::fs::rename(path.join(elsewhere), path.join(".appforge")).unwrap();
        up.done(&["up"]);
        up.connected();
        assert!(up.request("GET /api/items", "").1.contains("kept"), "{elsewhere}");
    }
}

#[test]
fn taken_port_names_the_stack_that_has_it() {
    let up = up_with_an_item();
    let other = Project::with(&format!("service: {{port: {}}}\n", up.port));
    let refused = other.run(&["up"]);
    let folder = up.project.path().canonicalize().unwrap();
    let message = format!("error: port {} is taken by the stack in `{}`\n", up.port, folder.display());
    assert!(refused.code == Some(1) && refused.stderr.starts_with(&message), "{refused:#?}");
    assert!(refused.stderr.contains(&format!("cd {} && appforge down", folder.display())), "{refused:#?}");
}

#[test]
fn removed_data_is_seen_in_status_and_diff() {
    let up = up_with_an_item();
    std::fs::remove_dir_all(up.project.path().join(".appforge/data/mongodb")).unwrap();
    let status = up.done(&["status"]).stdout;
    assert!(
        status.contains("/.appforge/data/mongodb` was removed; `appforge up` starts the store empty"),
        "{status}"
    );
    assert_eq!(up.run(&["diff"]).code, Some(5));
    up.done(&["up"]);
    up.connected();
    assert!(!up.request("GET /api/items", "").1.contains("kept"));
    assert!(!up.done(&["status"]).stdout.contains("was removed"));
}
