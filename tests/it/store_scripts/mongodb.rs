//! The scripts that start MongoDB and make its replica set, without a MongoDB: what they start is recorded, and their shell runs
//! against a server that is only its state. `docs/tested-against.md` lists what that leaves open.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use appforge_testing::need;
use appforge_testing::wait::eventually;
use serde_json::{Value, json};

use crate::support::Project;

/// The rendered scripts of a stack on Compose, with all paths below the project.
fn scripts() -> Project {
    let project = Project::with("target: compose\n");
    project.done(&["render"]);
    for folder in ["data/db", "tmp", "run/secrets", "etc", "bin"] {
        std::fs::create_dir_all(project.path().join(folder)).unwrap();
    }
    let root = project.path().display().to_string();
    let text = project.read("deploy/mongodb-start.sh");
    // In two steps: the project itself may be below `/tmp`.
    let text = ["/data/db", "/tmp", "/run/secrets"]
        .iter()
        .fold(text, |text, path| text.replace(path, &format!("\0{path}")))
        .replace('\0', &root);
    project.write("etc/start.sh", &text);
    project.write("run/secrets/mongodb_keyfile", "key");
    project.write("run/secrets/mongodb_password", "secret\n");
    project
}

fn program(project: &Project, name: &str, script: &str) {
    let path = format!("bin/{name}");
    project.write(&path, &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(project.path().join(path), PermissionsExt::from_mode(0o755)).unwrap();
}

/// The start of MongoDB with this server, shell of MongoDB, and test of its port.
fn start(project: &Project, mongod: &str, mongosh: &str, port: &str) -> Command {
    let root = project.path().display().to_string();
    program(project, "mongod", &format!("echo \"$*\" > {root}/words; {mongod}"));
    program(project, "mongosh", mongosh);
    program(project, "bash", port);
    program(project, "sleep", "exec /bin/sleep 0.01");
    let path = format!("{root}/bin:{}", std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(project.path().join("etc/start.sh")).env("PATH", path);
    command
}

/// What the script gives to `mongod`, which stays for as long as the shell of the script works.
fn started(project: &Project, mongosh: &str) -> String {
    assert!(start(project, "/bin/sleep 0.5", mongosh, "exit 1").status().unwrap().success());
    project.read("words")
}

/// A server that ends when it is asked to, with an exit code that no signal has.
const SERVER: &str = "trap 'exit 5' TERM; while :; do /bin/sleep 0.05; done";

#[test]
fn new_data_becomes_a_replica_set_that_is_ready_once_its_shell_succeeds() {
    let project = scripts();
    let root = project.path().display().to_string();
    // The server does not take connections at first.
    let mongosh = format!(
        "echo \"$MEMBER $USER_NAME $REPLICA_SET\" >> {root}/asked; [ $(wc -l < {root}/asked) -ge 3 ]"
    );
    let words = started(&project, &mongosh);
    assert!(words.contains("--replSet rs0 --keyFile") && !words.contains("--auth"), "{words}");
    eventually("it is ready", || project.path().join("tmp/ready").exists());
    assert_eq!(project.read("asked"), "mongodb:27017 appforge rs0\n".repeat(3));
    let key = std::fs::metadata(project.path().join("tmp/keyfile")).unwrap().permissions().mode();
    assert_eq!(key & 0o777, 0o400);
    // With its data the next start is the same.
    project.write("data/db/WiredTiger", "");
    assert!(started(&project, "true").contains("--replSet rs0"));
}

#[test]
fn data_without_a_replica_set_stays_without_one() {
    let project = scripts();
    project.write("data/db/WiredTiger", "");
    let asked = format!("echo \"<$REPLICA_SET>\" > {}/asked", project.path().display());
    let words = started(&project, &asked);
    assert!(words.contains("--auth") && !words.contains("--replSet"), "{words}");
    assert!(project.path().join("tmp/ready").exists());
    assert_eq!(project.read("asked"), "<>\n");
}

#[test]
fn start_that_never_reaches_its_server_is_not_ready() {
    let project = scripts();
    started(&project, "exit 1");
    assert!(!project.path().join("tmp/ready").exists());
}

#[test]
fn start_fails_with_the_reason_when_users_cannot_be_made() {
    let project = scripts();
    let root = project.path().display().to_string();
    // 40 s pass between two looks at the clock.
    let clock = format!("echo x >> {root}/looks; echo $(($(wc -l < {root}/looks) * 40))");
    program(&project, "date", &clock);
    let run = start(&project, SERVER, "echo no luck >&2; exit 1", "exit 0").output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(said, "cannot make the replica set and its users within 90s:\nno luck\n");
    assert!(!project.path().join("tmp/ready").exists());
    // A server that still recovers its data has all the time that it takes.
    let tries = format!("echo x >> {root}/tries; [ $(wc -l < {root}/tries) -gt 5 ]");
    assert!(start(&project, "/bin/sleep 1", &tries, "exit 1").status().unwrap().success());
    assert!(project.path().join("tmp/ready").exists());
}

#[test]
fn server_ends_by_itself_when_its_container_is_stopped() {
    for mongosh in ["exit 0", "exit 1"] {
        let project = scripts();
        let mut start = start(&project, SERVER, mongosh, "exit 1").spawn().unwrap();
        eventually("the server runs", || project.path().join("words").exists());
        eventually("the shell was asked", || project.path().join("tmp/init.log").exists());
        let stopped = Command::new("kill").arg(start.id().to_string()).status().unwrap();
        assert!(stopped.success());
        assert_eq!(start.wait().unwrap().code(), Some(5), "{mongosh}");
    }
}

/// The script of every target, from each state that a crash can leave.
#[test]
#[ignore = "needs node"]
fn shell_makes_replica_set_and_user_from_every_state() {
    let node = need::program("APPFORGE_PEER_NODE", &["node"]);
    let project = scripts();
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/mongosh.js");
    let run_for = |state: Value, app: &[(&str, &str)]| {
        project.write("state.json", &state.to_string());
        let output = Command::new(&node)
            .arg(&fixture)
            .args([project.path().join("deploy/mongodb-init.js"), project.path().join("state.json")])
            .envs([
                ("MEMBER", "mongodb:27017"),
                ("PORT", "27017"),
                ("REPLICA_SET", "rs0"),
                ("USER_NAME", "appforge"),
            ])
            .env("PASSWORD_FILE", project.path().join("run/secrets/mongodb_password"))
            .env("APP_PASSWORD_FILE", project.path().join("run/secrets/mongodb_keyfile"))
            .envs(app.iter().copied())
            .output()
            .unwrap();
        let state: Value = serde_json::from_str(&project.read("state.json")).unwrap();
        (output.status.success(), state, String::from_utf8(output.stderr).unwrap())
    };
    let run = |state: Value| run_for(state, &[]);
    let made = json!({"set": "rs0", "member": "mongodb:27017", "user": "appforge:secret"});
    for state in [
        json!({}),
        json!({"set": "rs0", "member": "mongodb:27017"}),
        json!({"user": "appforge:secret"}),
        made.clone(),
    ] {
        let (done, now, said) = run(state.clone());
        assert!(done && now == made, "{state} -> {now}: {said}");
    }
    // Data without a replica set gets none.
    let (done, now, said) = run_for(json!({"alone": true}), &[("REPLICA_SET", "")]);
    assert!(done && now == json!({"alone": true, "user": "appforge:secret"}), "{now}: {said}");
    // An app may have a user, which follows the stack file.
    for database in ["shop", "other"] {
        let (done, now, said) = run_for(made.clone(), &[("APP_USER", "app"), ("APP_DATABASE", database)]);
        assert!(
            done && now["app"] == json!(["app", "key", [{"role": "readWrite", "db": database}]]),
            "{now}: {said}"
        );
    }
    // Data of another password is left alone.
    let other = json!({"set": "rs0", "member": "mongodb:27017", "user": "appforge:other"});
    let (done, now, said) = run(other.clone());
    assert!(!done && now == other && said.contains("requires authentication"), "{now}: {said}");
}
