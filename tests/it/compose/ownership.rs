//! Whose a stack on Docker is: two folders with one name, a folder that moves, and what an earlier build left.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use appforge::stack::{Layer, resolve};
use sha2::{Digest, Sha256};

use super::{LONG, Stack, ready, redis};
use crate::compose::target::Compose;
use crate::support::Project;

/// Every volume whose name begins as the stack's, with its labels.
fn volumes(stack: &Stack) -> BTreeSet<String> {
    let filter = format!("name={}_", stack.name);
    let arguments = ["volume", "ls", "--filter", &filter, "--format", "{{.Name}} {{.Labels}}"];
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn second_folder_is_refused_when_the_name_is_owned() {
    let stack = Stack::new("owned");
    let text = stack.text("image: 'appforge-test-web:1'");
    let (one, other) = (Project::with(&text), Project::with(&text));
    one.done(&["up"]);
    let (containers, data) = (stack.containers(), volumes(&stack));
    let verbs: [&[&str]; 11] = [
        &["status"],
        &["up"],
        &["down"],
        &["down", "--volumes", "--yes"],
        &["scale", "--replicas", "2"],
        &["restart"],
        &["diff"],
        &["logs"],
        &["verify"],
        &["up", "--replicas", "2"],
        &["status", "-o", "json"],
    ];
    for verb in verbs {
        let run = other.run(verb);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{verb:?}: {run:#?}");
        let refused = format!("error: the stack `{}` on compose belongs to another project\n", stack.name);
        assert!(run.stderr.contains(&refused), "{verb:?}: {}", run.stderr);
        let folder = format!("\n  folder: {}\n", one.path().display());
        assert!(run.stderr.contains(&folder) && run.stderr.contains("\n  user: "), "{}", run.stderr);
        assert!(!run.stderr.contains("--volumes"), "no hint removes the data of another: {}", run.stderr);
    }
    // Taking it over changes whose it is, and no password: this folder does not have the one of the data.
    let taken = other.run(&["up", "--take-over"]);
    assert_eq!(taken.code, Some(1), "{taken:#?}");
    assert!(taken.stderr.contains("mongodb_password` with its password does not\n"), "{}", taken.stderr);
    assert!(!taken.stderr.contains("--volumes"), "{}", taken.stderr);
    assert_eq!(stack.containers(), containers, "nothing of what runs was touched");
    // So it stays the first folder's, and no later hint is given to the other as its owner.
    one.done(&["status"]);
    let again = other.run(&["up"]);
    assert!(again.stderr.contains("belongs to another project"), "{}", again.stderr);
    one.done(&["up", "--take-over"]);
    assert_eq!(stack.containers(), containers, "an owner is in no container");
    let names = |volumes: &BTreeSet<String>| {
        volumes.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&volumes(&stack)), names(&data));
    one.done(&["down", "--volumes", "--yes"]);
    assert_eq!(volumes(&stack), BTreeSet::new());
    assert_eq!(other.run(&["status"]).code, Some(4), "where nothing is, nobody owns it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn clone_is_refused_while_the_first_folder_exists() {
    let stack = Stack::new("moved");
    let text = format!("{}id: moved2clone3\n", stack.text("image: 'appforge-test-web:1'"));
    let parent = Project::new();
    let folder = |name: &str| {
        std::fs::create_dir(parent.path().join(name)).unwrap();
        parent.write(&format!("{name}/appforge.yaml"), &text);
    };
    let run = |name: &str, arguments: &[&str]| {
        let mut command = parent.command(arguments);
        crate::support::Run::of(command.current_dir(parent.path().join(name)))
    };
    folder("one");
    folder("clone");
    let up = run("one", &["up"]);
    assert_eq!(up.code, Some(0), "{up:#?}");
    let refused = run("clone", &["down"]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("is run from another folder of this project\n"), "{}", refused.stderr);
    let scaled = run("one", &["scale", "--replicas", "2"]);
    assert_eq!(scaled.code, Some(0), "{scaled:#?}");
    assert!(!parent.path().join("one/.appforge/state.json").exists(), "the number lives with the stack");
    // Lost state is no lost stack: the stack file has the identity.
    std::fs::remove_file(parent.path().join("one/.appforge/id")).unwrap();
    assert_eq!(run("one", &["status"]).code, Some(0));
    std::fs::rename(parent.path().join("one"), parent.path().join("two")).unwrap();
    assert_eq!(run("two", &["status"]).code, Some(0));
    // Containers read their files from the old path, which is gone: one that starts again would not find them.
    let diff = run("two", &["diff"]);
    assert_eq!(diff.code, Some(5), "{diff:#?}");
    let folder = |name: &str| parent.path().join(name).join(".appforge/compose").display().to_string();
    let cause = format!("folder: {} -> {}", folder("one"), folder("two"));
    assert_eq!(
        diff.stdout.matches(&cause).count(),
        5,
        "gateway, both stores, the fronts and the service: {}",
        diff.stdout
    );
    let up = run("two", &["up", "-o", "json"]);
    assert_eq!(up.code, Some(0), "{up:#?}");
    let status: serde_json::Value = serde_json::from_str(&up.stdout).unwrap();
    assert_eq!(status["status"]["replicas"]["ready"], 2, "{status}");
    let shown = run("two", &["config", "show", "--origin"]).stdout;
    assert!(shown.contains("appforge scale by "), "{shown}");
    assert_eq!(run("two", &["diff"]).code, Some(0));
    for container in stack.containers() {
        let restart = Command::new("docker").args(["restart", &container]).output().unwrap();
        assert!(restart.status.success(), "{}", String::from_utf8_lossy(&restart.stderr));
    }
    let down = run("two", &["down", "--volumes", "--yes"]);
    assert_eq!(down.code, Some(0), "{down:#?}");
    assert_eq!(volumes(&stack), BTreeSet::new(), "no record is left");
}

/// The documents and secrets of build a950d35, started as that build did.
fn earlier(stack: &Stack) {
    let folder = stack.web().folder().clone();
    std::fs::create_dir_all(folder.join("secrets")).unwrap();
    let layer = Layer::File { name: "x".into(), text: stack.text("image: x") };
    let subnet = appforge::render::context::compose::subnet(&resolve(&[layer]).unwrap().stack);
    let octets: Vec<u8> = subnet.split(['.', '/']).take(3).map(|part| part.parse().unwrap()).collect();
    let network = |third: u8| format!("10.{}.{third}.", octets[1]);
    let fill = |text: &str| {
        text.replace("old-name", &stack.name)
            .replace("54321", &stack.port.to_string())
            .replace("10.222.4.", &network(octets[2]))
            .replace("10.222.7.", &network(octets[2] + 3))
    };
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("docker-compose.yml", &fill(include_str!("../fixtures/earlier/docker-compose.yml")));
    write("haproxy.cfg", &fill(include_str!("../fixtures/earlier/haproxy.cfg")));
    let hash = hex::encode(Sha256::digest("redispassword"));
    write("secrets/mongodb_password", "mongodbpassword");
    write("secrets/redis_password", "redispassword");
    write("secrets/probe_secret", &"5".repeat(64));
    write("secrets/mongodb_uri", "mongodb://appforge:mongodbpassword@mongodb:27017/?authSource=admin");
    write("secrets/redis_url", "redis://appforge:redispassword@redis:6379");
    let acl = format!("user default on nopass -@all +ping +info\nuser appforge on #{hash} ~* &* +@all\n");
    write("secrets/redis_acl", &acl);
    let up = stack.by_hand(&["up", "-d", "--no-build", "--wait"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
}

/// The addresses of a stack that has no fronts yet are those of the bundled service.
fn without_fronts(stack: &Stack) -> Compose {
    stack.compose("image: bundled")
}

async fn items(stack: &Stack, write: bool) -> u64 {
    let uri = without_fronts(stack).subject(1).await.unwrap().mongodb_uri.reveal().to_owned();
    let client = mongodb::Client::with_uri_str(&uri).await.unwrap();
    let items = client.database("appforge").collection::<bson::Document>("items");
    if write {
        items.insert_one(bson::doc! {"name": "kept"}).await.unwrap();
    }
    items.count_documents(bson::doc! {"name": "kept"}).await.unwrap()
}

async fn comes_up_from_an_earlier_build(stack: &Stack, running: bool) {
    let say = |line: &str| eprintln!("{line}");
    earlier(stack);
    redis(&without_fronts(stack), redis::cmd("SET").arg("kept").arg("yes")).await;
    assert_eq!(items(stack, true).await, 1);
    let data: Vec<String> = stack.web().volumes().await.unwrap();
    if !running {
        let down = stack.by_hand(&["down"]);
        assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    }
    let compose = stack.web();
    assert_eq!(ready(&compose.up(1, LONG, &say).await.unwrap()), (1, 1));
    assert_eq!(redis(&compose, redis::cmd("GET").arg("kept")).await.as_deref(), Some("yes"));
    assert_eq!(items(stack, false).await, 1);
    let log = Command::new("docker").args(["logs", &format!("{}-mongodb", stack.name)]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(log.contains("the data was made without a replica set and stays so"), "{log}");
    assert_eq!(compose.volumes().await.unwrap(), data);
    assert_eq!(compose.diff(1).await.unwrap().text(), "", "adopted once");
    let id = std::fs::read_to_string(stack.folder.path().join(".appforge/id")).unwrap();
    let marker = volumes(stack).into_iter().find(|line| line.contains("_appforge-owner ")).unwrap();
    assert!(marker.contains(&format!("appforge.id={}", id.trim())), "{marker}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn running_stack_of_an_earlier_build_keeps_its_data() {
    let stack = Stack::new("earlier-up");
    // While its folder is there, another one of the name does not get it.
    let text = stack.text("image: 'appforge-test-web:1'");
    earlier(&stack);
    let other = Project::with(&text);
    let run = other.run(&["down"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains(&format!("\n  folder: {}\n", real(stack.folder.path()))), "{}", run.stderr);
    comes_up_from_an_earlier_build(&stack, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn stopped_stack_of_an_earlier_build_keeps_its_data() {
    let stack = Stack::new("earlier-down");
    comes_up_from_an_earlier_build(&stack, false).await;
}

fn real(path: &Path) -> String {
    path.canonicalize().unwrap().display().to_string()
}
