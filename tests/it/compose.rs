//! The Compose target on a real engine, with the images of `cargo xtask images`. BusyBox serves in place of the service.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use appforge::error::{ExitStatus, hints, render, status_of};
use appforge::stack::{Layer, resolve};
use appforge::targets::finding::Verdict;
use appforge::targets::logs::{Line, LogsRequest};
use appforge::targets::plan::Plan;
use appforge::targets::status::Status;
use appforge_testing::{port, tcp};
use tempfile::TempDir;

use crate::compose::target::Compose;
use crate::support::Project;

mod addresses;
mod edge;
mod examples;
mod monitoring;
mod own;
mod ownership;
mod release;
mod target;
mod tls;
mod verbs;

const LONG: Duration = Duration::from_secs(120);

/// A project of one test; its containers, networks and volumes go with it.
struct Stack {
    name: String,
    folder: TempDir,
    port: u16,
}

impl Stack {
    fn new(name: &str) -> Self {
        // Containers are named after the stack, and several runs may share the engine.
        let name = format!("it-{name}-{}", std::process::id());
        Self { name, folder: tempfile::tempdir().unwrap(), port: port::reserve() }
    }

    fn text(&self, service: &str) -> String {
        self.of_service(service, "rate_limit: {enabled: false}\n")
    }

    /// The same with a limit that counts.
    fn of_service(&self, service: &str, limit: &str) -> String {
        let front = if service.contains("image: bundled") {
            String::new()
        } else {
            format!("runtime: {{image: '{}'}}\n{limit}", front_image())
        };
        format!(
            "target: compose\nname: {}\nservice: {{port: {}, {service}}}\n{front}\
             mongodb: {{image: 'appforge-test-mongodb:4'}}\nredis: {{image: 'appforge-test-redis:1'}}\n\
             compose: {{gateway_image: 'appforge-test-haproxy:1'}}\n",
            self.name, self.port
        )
    }

    fn compose(&self, service: &str) -> Compose {
        self.of_file(self.text(service))
    }

    fn of_file(&self, text: String) -> Compose {
        let layer = Layer::File { name: "appforge.yaml".into(), text };
        Compose::new(
            &self.folder.path().join(".appforge"),
            &resolve(&[layer]).unwrap().stack,
            BTreeMap::new(),
        )
    }

    /// The stand-in listens on the port that the file names, as a service of the user does.
    fn web(&self) -> Compose {
        self.compose("image: 'appforge-test-web:1'")
    }

    /// The one address that the fronts trust.
    fn trusted(&self) -> String {
        let file = self.web().folder().join("docker-compose.yml");
        let text = std::fs::read_to_string(file).unwrap();
        let line = text.lines().find(|line| line.contains("TRUSTED_PROXIES")).unwrap();
        line.split('"').nth(3).unwrap().strip_suffix("/32").unwrap().to_owned()
    }

    /// Compose without appforge, on the documents of the last `up`.
    fn by_hand(&self, arguments: &[&str]) -> Output {
        let works = Command::new("docker").args(["compose", "version"]).output().unwrap().status.success();
        let program: &[&str] = if works { &["docker", "compose"] } else { &["docker-compose"] };
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(["-p", &self.name]).args(arguments);
        command.current_dir(self.web().folder()).output().unwrap()
    }

    fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let output =
            Command::new("docker").args(["ps", "-aq", "--no-trunc", "--filter", &filter]).output().unwrap();
        let mut ids: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let ids = self.containers();
        let trials = ["release", "reach", "gateway-check"].map(|trial| format!("{}-{trial}", self.name));
        let _ = Command::new("docker").args(["rm", "-fv"]).args(ids).args(trials).output();
        for network in ["edge", "app", "data", "monitor"] {
            let _ =
                Command::new("docker").args(["network", "rm", &format!("{}_{network}", self.name)]).output();
        }
        // Data, and the records of the owner, of `scale` and of releases.
        let filter = format!("name=^{}_", self.name);
        if let Ok(volumes) =
            Command::new("docker").args(["volume", "ls", "--quiet", "--filter", &filter]).output()
        {
            let volumes = String::from_utf8_lossy(&volumes.stdout).into_owned();
            let _ = Command::new("docker").args(["volume", "rm"]).args(volumes.lines()).output();
        }
        // That of `service.build`.
        let _ = Command::new("docker").args(["rmi", &format!("{}-app", self.name)]).output();
    }
}

/// The image of the fronts: of the program under test, by its content, so that no other build takes its place.
fn front_image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let built = Project::new().done(&["image", "build", "-o", "json"]);
        let answer: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
        answer["reference"].as_str().unwrap().to_owned()
    })
}

async fn request(port: u16) -> std::io::Result<String> {
    ask(port, "/health", "").await
}

async fn ask(port: u16, path: &str, headers: &str) -> std::io::Result<String> {
    send(port, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n")).await
}

async fn send(port: u16, request: &str) -> std::io::Result<String> {
    let request = request.to_owned();
    let exchange =
        tokio::task::spawn_blocking(move || tcp::exchange(("127.0.0.1", port), request.as_bytes()));
    tokio::time::timeout(Duration::from_secs(10), exchange).await?.unwrap()
}

/// Asks for the page again and again until told to end; gives what was answered well, and what was not.
fn load(port: u16, ended: Arc<AtomicBool>) -> tokio::task::JoinHandle<(usize, Vec<String>)> {
    tokio::spawn(async move {
        let (mut good, mut bad) = (0, Vec::new());
        while !ended.load(Ordering::Relaxed) {
            match request(port).await {
                Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => good += 1,
                Ok(answer) => bad.push(answer),
                Err(error) => bad.push(error.to_string()),
            }
        }
        (good, bad)
    })
}

async fn redis(compose: &Compose, command: &mut redis::Cmd) -> Option<String> {
    let url = compose.subject(1).await.unwrap().redis_url;
    let client = redis::Client::open(url.reveal()).unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(10), client.get_multiplexed_async_connection());
    command.query_async(&mut connected.await.unwrap().unwrap()).await.unwrap()
}

fn ready((_, status): &(Plan, Status)) -> (u32, u32) {
    (status.replicas.desired, status.replicas.ready)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn no_request_and_no_data_is_lost_when_the_stack_changes() {
    let stack = Stack::new("life");
    let compose = stack.web();
    let say = |line: &str| eprintln!("{line}");
    assert_eq!(ready(&compose.up(1, LONG, &say).await.unwrap()), (1, 1));
    redis(&compose, redis::cmd("SET").arg("kept").arg("yes")).await;

    // A client cannot name itself: the gateway does, whose address is the one that the fronts trust.
    let spoofed = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n";
    let answer = ask(stack.port, "/cgi-bin/who", spoofed).await.unwrap();
    let seen = answer.lines().find(|line| line.starts_with("for=")).unwrap();
    let gateway = stack.trusted();
    assert!(!seen.contains("6.6.6.6") && seen.contains(&format!(", {gateway} ")), "{seen}");

    let ended = Arc::new(AtomicBool::new(false));
    let loads: Vec<_> = (0..4).map(|_| load(stack.port, ended.clone())).collect();
    assert_eq!(ready(&compose.up(5, LONG, &say).await.unwrap()), (5, 5));
    assert_eq!(ready(&compose.up(2, LONG, &say).await.unwrap()), (2, 2));
    let before = stack.containers();
    assert_eq!(ready(&compose.restart(LONG, &say).await.unwrap()), (2, 2));
    let after = stack.containers();
    assert_eq!(
        before.iter().filter(|id| !after.contains(id)).count(),
        4,
        "both replicas and both fronts are new"
    );
    ended.store(true, Ordering::Relaxed);
    for load in loads {
        let (good, bad) = load.await.unwrap();
        assert!(good > 0 && bad.is_empty(), "{good} good, bad: {bad:?}");
    }

    assert_eq!(compose.diff(2).await.unwrap().text(), "", "up again would change nothing");
    compose.up(2, LONG, &say).await.unwrap();
    assert_eq!(stack.containers(), after, "up again changed nothing");
    let by_hand = stack.by_hand(&["up", "-d"]);
    assert!(by_hand.status.success(), "{}", String::from_utf8_lossy(&by_hand.stderr));
    assert_eq!(stack.containers(), after, "Compose by hand sees the same stack");

    compose.down(false, LONG, &say).await.unwrap();
    assert_eq!(stack.containers(), Vec::<String>::new());
    assert_eq!(compose.status(2).await.unwrap().url, None);
    compose.up(1, LONG, &say).await.unwrap();
    assert_eq!(redis(&compose, redis::cmd("GET").arg("kept")).await.as_deref(), Some("yes"));
    assert_eq!(compose.volumes().await.unwrap().len(), 2);
    compose.down(true, LONG, &say).await.unwrap();
    assert_eq!(compose.volumes().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn running_version_stays_when_the_new_one_does_not_start() {
    let stack = Stack::new("broken");
    let say = |line: &str| eprintln!("{line}");
    stack.web().up(2, LONG, &say).await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let load = load(stack.port, ended.clone());
    let broken = stack.compose("image: 'appforge-test-broken:1'");
    assert_eq!(
        broken.diff(2).await.unwrap().steps[0].causes[0],
        "image: appforge-test-web:1 -> appforge-test-broken:1"
    );
    let error = broken.up(2, LONG, &say).await.unwrap_err();
    let text = render(&error);
    assert_eq!(status_of(&error), ExitStatus::Failed, "{text}");
    for part in ["restarts repeatedly", "    | cannot start", "appforge logs service"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    stack.web().up(2, LONG, &say).await.unwrap();
    ended.store(true, Ordering::Relaxed);
    let (good, bad) = load.await.unwrap();
    assert!(good > 0 && bad.is_empty(), "{good} good, bad: {bad:?}");

    // What somebody else ends, `status` shows and `up` mends.
    let redis = format!("{}-redis", stack.name);
    assert!(Command::new("docker").args(["kill", &redis]).output().unwrap().status.success());
    let status = stack.web().status(2).await.unwrap();
    let component = status.components.iter().find(|component| component.name == "redis").unwrap();
    assert_eq!(component.detail, format!("container {redis}: ended with exit code 137"));
    stack.web().up(2, LONG, &say).await.unwrap();
    let mut lines = Vec::new();
    let asked = LogsRequest { components: vec!["redis".into()], ..LogsRequest::default() };
    let sink = |line: Line| {
        lines.push(format!("{} {}", line.component, line.text));
        Ok(true)
    };
    stack.web().logs(&asked, sink).await.unwrap();
    assert!(lines.iter().any(|line| line.contains("Ready to accept connections")), "{lines:?}");

    // A command that was cut off may leave replicas to which the gateway sends no work.
    let places: String = (1..=8).map(|place| format!("s=replica{place}&")).collect();
    let order = format!("{places}action=drain&b=replicas");
    let gateway = format!("{}-gateway", stack.name);
    let wget = ["exec", &gateway, "wget", "-q", "-O", "-", "--post-data", &order, "http://127.0.0.1:8404/"];
    // HAProxy answers with a way to a page that wget goes round in circles.
    Command::new("docker").args(wget).output().unwrap();
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 503 "), "all are closed");
    stack.web().up(2, LONG, &say).await.unwrap();
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn up_leaves_nothing_behind_when_an_obstacle_stops_it() {
    let stack = Stack::new("refused");
    let quiet = |_: &str| {};
    let compose = stack.web();
    assert_eq!(status_of(&compose.running().await.unwrap_err()), ExitStatus::Unreachable);

    let taken = TcpListener::bind(("0.0.0.0", stack.port)).unwrap();
    let error = compose.up(1, LONG, &quiet).await.unwrap_err();
    assert_eq!(error.to_string(), format!("port {} is taken by another program", stack.port));
    drop(taken);

    let missing = stack.compose("image: 'registry.invalid/nobody/nothing:1'");
    let text = render(&missing.up(1, LONG, &quiet).await.unwrap_err());
    assert!(text.contains("the image `registry.invalid/nobody/nothing:1` is not on this machine"), "{text}");

    // Whoever has it, it is taken.
    let _taken = TcpListener::bind(("127.0.0.1", 27017));
    let text =
        stack.text("image: 'appforge-test-web:1'").replace("compose: {", "compose: {publish_stores: true, ");
    let error = stack.of_file(text).up(1, LONG, &quiet).await.unwrap_err();
    assert!(error.to_string().starts_with("port 27017 is taken by "), "{error}");
    assert!(hints(&error).any(|hint| hint.ends_with("or change `compose.publish_stores`")), "{error:?}");

    // By the program, as whoever else uses the engine meanwhile: this test would be a service image of its own.
    let text = stack.text("image: bundled").replace("appforge-test-mongodb:4", "appforge-test-broken:1");
    let project = Project::with(&text);
    let run = project.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("\n    | /etc/mongodb/start.sh: "), "{}", run.stderr);
    let blamed = run.stderr.lines().find(|line| line.starts_with("hint: "));
    assert_eq!(blamed, Some("hint: appforge logs mongodb"), "the one that fails is blamed: {}", run.stderr);
    project.done(&["down", "--volumes", "--yes"]);

    let clash = format!("{}-clash", stack.name);
    let subnet = appforge::render::context::compose::subnet(
        &resolve(&[Layer::File { name: "x".into(), text: stack.text("image: x") }]).unwrap().stack,
    );
    let docker = |arguments: &[&str]| {
        assert!(Command::new("docker").args(arguments).output().unwrap().status.success());
    };
    docker(&["network", "create", "--subnet", &subnet, &clash]);
    let error = compose.up(1, LONG, &quiet).await.unwrap_err();
    docker(&["network", "rm", &clash]);
    assert!(error.to_string().contains(&format!("in use by the Docker network `{clash}`")), "{error}");
    assert_eq!(stack.containers(), Vec::<String>::new());

    let error = compose.up(1, Duration::from_secs(1), &quiet).await.unwrap_err();
    assert_eq!(status_of(&error), ExitStatus::TimedOut, "{}", render(&error));
    compose.up(1, LONG, &quiet).await.unwrap();
    let findings = compose.doctor().await;
    assert!(findings.iter().all(|finding| finding.verdict != Verdict::Bad), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.name == "docker compose"), "{findings:?}");

    std::fs::remove_file(compose.folder().join("secrets/mongodb_password")).unwrap();
    let error = compose.up(1, LONG, &quiet).await.unwrap_err();
    assert!(error.to_string().contains("mongodb_password"), "{error}");
}

/// `up` that is cut off while Compose makes the containers: an engine that takes networks one by one has a replica then that
/// the gateway cannot reach, and Compose starts it as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn partially_created_replica_is_recreated() {
    let stack = Stack::new("half");
    let compose = stack.web();
    let error = compose.up(1, Duration::from_millis(1), &|_| {}).await.unwrap_err();
    assert_eq!(status_of(&error), ExitStatus::TimedOut, "{}", render(&error));
    // The documents are written once the gateway has accepted its own.
    compose.up(1, LONG, &|_| {}).await.unwrap();
    compose.down(false, LONG, &|_| {}).await.unwrap();
    let made = stack.by_hand(&["up", "--no-start"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (network, replica) = (format!("{}_app", stack.name), format!("{0}-{0}-1", stack.name));
    let cut = Command::new("docker").args(["network", "disconnect", &network, &replica]).output().unwrap();
    assert!(cut.status.success(), "{}", String::from_utf8_lossy(&cut.stderr));
    assert_eq!(ready(&compose.up(1, LONG, &|_| {}).await.unwrap()), (1, 1));
    assert!(request(stack.port).await.unwrap().starts_with("HTTP/1.1 200 "));
}

/// A command that was cut off in the midst of stopping a replica: the engine stops it while the next `up` waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs docker"]
async fn replica_is_started_when_it_was_stopped_meanwhile() {
    let stack = Stack::new("stopped");
    let compose = stack.web();
    compose.up(1, LONG, &|_| {}).await.unwrap();
    let (first, second) = (format!("{0}-{0}-1", stack.name), format!("{0}-{0}-2", stack.name));
    let stop = |line: &str| {
        eprintln!("{line}");
        if line.contains(&second) && line.ends_with("Started") {
            let stopped = Command::new("docker").args(["stop", "-t", "0", &first]).output().unwrap();
            assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
        }
    };
    assert_eq!(ready(&compose.up(2, Duration::from_secs(60), &stop).await.unwrap()), (2, 2));
}
