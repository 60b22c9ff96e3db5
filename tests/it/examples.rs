//! The apps of `examples/`, each as its README runs it: on this machine, with the drivers of its language.

use std::path::{Path, PathBuf};

use appforge_testing::{http, need};
use serde_json::Value;

use crate::stack::Up;
use crate::support::Project;

/// A copy of an example. `edits` are replacements in its files, each of which has to take place.
pub(crate) fn copy(name: &str, edits: &[(&str, &str, &str)]) -> Project {
    let project = Project::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    for entry in std::fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::write(project.path().join(entry.file_name()), std::fs::read(entry.path()).unwrap())
                .unwrap();
        }
    }
    if !project.path().join("appforge.yaml").exists() {
        // Its README makes one with `appforge init`.
        project.write("appforge.yaml", include_str!("fixtures/own/python.yaml"));
    }
    for (file, old, new) in edits {
        let text = project.read(file);
        assert!(text.contains(old), "{file} of {name} has no `{old}`:\n{text}");
        project.write(file, &text.replace(old, new));
    }
    project
}

/// The app behind `port` creates items, lists them, and takes the list from the cache.
pub(crate) fn items_are_written_and_read(port: u16) {
    let ask = |request: &str, body: &str| {
        let (status, head, body) =
            http::exchange(("127.0.0.1", port), request, "content-type: application/json\r\n", body);
        (status, head.to_lowercase(), body)
    };
    for name in ["tea", "caf\u{e9}"] {
        let (status, _, body) = ask("POST /items", &format!("{{\"name\": \"{name}\"}}"));
        assert_eq!(status, 201, "{body}");
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["name"], name);
    }
    for (number, cache) in [(1, "x-cache: miss"), (2, "x-cache: hit")] {
        let (status, head, body) = ask("GET /items", "");
        let listed: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200, "{body}");
        assert!(head.contains(cache) && head.contains("ratelimit-remaining: "), "answer {number}: {head}");
        // Ids of two replicas within one second have no order.
        let items = listed["items"].as_array().unwrap();
        let has = |name: &str| items.iter().any(|item| item["name"] == name && item["id"].is_string());
        assert!(items.len() == 2 && has("tea") && has("caf\u{e9}"), "{listed}");
    }
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(101));
    for body in ["no JSON", "{}", "[]", "null", "{\"name\": 7}", "{\"name\": \"\"}", &long] {
        assert_eq!(ask("POST /items", body).0, 400, "{body}");
    }
    assert_eq!(ask("DELETE /items", "").0, 405);
    assert_eq!(ask("GET /nothing", "").0, 404);
    assert_eq!(ask("GET /healthz", "").0, 200);
}

/// A copy that runs on this machine, with more edits; programs are looked for in `folders` first.
fn local(name: &str, folders: &[PathBuf], edits: &[(&str, &str, &str)]) -> Up {
    let mut up = Up::new("");
    let port = format!("port: {}", up.port);
    up.project = copy(name, &[&[("appforge.yaml", "port: 5000", port.as_str())], edits].concat());
    let system = ["/usr/bin", "/bin"].map(PathBuf::from);
    let path = std::env::join_paths(folders.iter().chain(&system)).unwrap();
    up.path = path.into_string().unwrap();
    up
}

fn folder_of(program: &Path) -> PathBuf {
    program.parent().unwrap().to_owned()
}

fn runs_on_local(up: &Up) {
    up.done(&["up", "--replicas", "2"]);
    items_are_written_and_read(up.port);
    let limit = up.json(&["verify", "--check", "rate-limit", "--check", "service-health"]);
    assert_eq!(limit["passed"], true, "{limit:#}");
    // What was written is still there after each process is another one.
    up.done(&["restart"]);
    let listed = up.request("GET /items", "");
    assert!(listed.0 == 200 && listed.1.contains("tea"), "{listed:?}");
    up.done(&["down"]);
    let lines = up.done(&["logs", "--tail", "10000"]).stdout;
    assert!(lines.contains("service-1/app"), "{lines}");
    assert!(!lines.contains("did not end in time"), "SIGTERM ends the app: {lines}");
}

fn python(edits: &[(&str, &str, &str)]) -> Up {
    local("python", &[folder_of(&need::program("APPFORGE_PEER_PYTHON", &[]))], edits)
}

fn node(edits: &[(&str, &str, &str)]) -> Up {
    let up = local("node", &[folder_of(&need::program("APPFORGE_PEER_NODE", &["node"]))], edits);
    let modules = need::folder("APPFORGE_PEER_NODE_MODULES");
    std::os::unix::fs::symlink(modules, up.project.path().join("node_modules")).unwrap();
    up
}

fn go(edits: &[(&str, &str, &str)]) -> Up {
    let up = local("go", &[], edits);
    std::fs::copy(need::program("APPFORGE_PEER_GO_APP", &[]), up.project.path().join("app-go")).unwrap();
    up
}

/// What `verify` asks: the list of items, which each app looks for in its cache first.
const ITEMS: [(&str, &str, &str); 1] = [("appforge.yaml", "health: /healthz", "health: /items")];

/// Neither errors nor long waits while the cache of an app is away, too.
fn lives_without_redis(up: &Up) {
    up.give_redis_a_port();
    up.done(&["up", "--replicas", "2"]);
    let drill = up.json(&["verify", "--check", "replicas", "--drill", "redis-down"]);
    assert_eq!(drill["passed"], true, "{drill:#}");
    let made = up.request("POST /items", "{\"name\": \"tea\"}");
    assert_eq!(made.0, 201, "{made:?}");
}

#[test]
fn init_proposes_the_command_of_each_example() {
    for name in ["python", "node", "go"] {
        let project = copy(name, &[]);
        let command = |project: &Project| {
            let shown = project.done(&["config", "show", "-o", "json"]).stdout;
            serde_json::from_str::<Value>(&shown).unwrap()["service"]["command"].clone()
        };
        let written = command(&project);
        assert!(written.is_string(), "{name}: {written}");
        project.done(&["init", "--yes", "--force"]);
        assert_eq!(command(&project), written, "{name}");
    }
}

#[test]
#[ignore = "needs python"]
fn example_in_python_runs_on_local() {
    runs_on_local(&python(&[]));
}

#[test]
#[ignore = "needs node"]
fn example_in_node_runs_on_local() {
    runs_on_local(&node(&[]));
}

#[test]
#[ignore = "needs go"]
fn example_in_go_runs_on_local() {
    runs_on_local(&go(&[]));
}

#[test]
#[ignore = "needs python"]
fn example_in_python_answers_while_redis_is_away() {
    lives_without_redis(&python(&ITEMS));
}

#[test]
#[ignore = "needs node"]
fn example_in_node_answers_while_redis_is_away() {
    lives_without_redis(&node(&ITEMS));
}

#[test]
#[ignore = "needs go"]
fn example_in_go_answers_while_redis_is_away() {
    lives_without_redis(&go(&ITEMS));
}
