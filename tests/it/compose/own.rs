//! An app of the user's own on the Compose target: two fronts before it, variables that no document shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use appforge_testing::tcp;
use appforge_testing::wait::eventually;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Stack, ask, load, request};
use crate::support::Project;

/// The settings of the app of `fixtures/app.py`; the image has a Python.
pub(super) fn app(more: &str) -> String {
    let script = include_str!("../fixtures/app.py").replace('$', "$$");
    let command = json!(["python", "-c", script, "--port", "${port}"]);
    format!("image: 'appforge-test-mongodb:4', command: {command}, health: /health, {more}")
}

/// What the app answers.
pub(super) fn get(port: u16, path: &str, headers: &str) -> (String, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{headers}Connection: close\r\n\r\n");
    let answer = tcp::exchange(("127.0.0.1", port), request.as_bytes()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many of 150 requests of one client pass, at `count` at once.
fn passed(project: &Project, port: u16, client: &str, count: usize) -> usize {
    let secret = project.read(".appforge/compose/secrets/probe_secret");
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 600;
    let probe = appforge_service::probe::sign(secret.trim().as_bytes(), client, expires);
    let headers = format!("X-Appforge-Probe: {probe}\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers: Vec<String> = runtime.block_on(async {
        let ask = |_| async { ask(port, "/", &headers).await.unwrap() };
        futures_util::stream::iter(0..150).map(ask).buffer_unordered(count).collect().await
    });
    let with = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
    assert_eq!(with("HTTP/1.1 200 ") + with("HTTP/1.1 429 "), 150, "{answers:?}");
    with("HTTP/1.1 200 ")
}

/// How often the fronts went between the shared and the local count.
fn transitions(project: &Project) -> u64 {
    let status: Value = serde_json::from_str(&project.done(&["status", "-o", "json"]).stdout).unwrap();
    let fronts =
        status["components"].as_array().unwrap().iter().filter(|component| component["kind"] == "front");
    fronts
        .map(|front| {
            let address = front["endpoint"].as_str().unwrap().trim_start_matches("http://");
            let ask = b"GET /metrics HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n";
            let metrics = tcp::exchange(address, ask).unwrap();
            let lines =
                metrics.lines().filter(|line| line.starts_with("ratelimit_backend_transitions_total"));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
        })
        .sum()
}

/// Exactly 100 of 150 pass. On a machine so busy that Redis answers late the fronts count their shares, and may pass fewer: such
/// a round does not count.
fn exact(project: &Project, port: u16, client: &str, count: usize) {
    for round in 0..5 {
        let before = transitions(project);
        let passed = passed(project, port, &format!("{client}-{round}"), count);
        assert!(passed <= 100, "{client}: {passed}");
        if transitions(project) == before {
            return assert_eq!(passed, 100, "{client}");
        }
    }
    panic!("Redis is late in each round");
}

#[test]
#[ignore = "needs docker"]
fn own_app_has_an_exact_limit_at_any_number_of_replicas() {
    let stack = Stack::new("own");
    let limit = "rate_limit: {trusted_proxies: ['192.0.2.0/24', cloudflare]}\n";
    let project = Project::with(&stack.of_service(&app(""), limit));
    project.done(&["up"]);
    for replicas in ["1", "3"] {
        project.done(&["scale", "--replicas", replicas]);
        for count in [1, 50] {
            exact(&project, stack.port, &format!("{replicas}-{count}"), count);
        }
    }
    // The app sees who asked, for what, and no header of ours.
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Appforge-Probe: forged\r\n";
    let (head, seen) = get(stack.port, "/", forged);
    let headers = &seen["headers"];
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.to_lowercase().contains("ratelimit-remaining"),
        "{head}"
    );
    let client = headers["x-forwarded-for"].as_str().unwrap();
    let edge = format!("{{{{(index .NetworkSettings.Networks \"{}_edge\").IPAddress}}}}", stack.name);
    let gateway = docker(&["inspect", "-f", &edge, &format!("{}-gateway", stack.name)]);
    assert!(!client.contains("6.6.6.6") && client.ends_with(gateway.trim()), "{headers}");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "shop.test");
    assert_eq!(headers["host"], "shop.test");
    assert!(headers.get("x-appforge-probe").is_none(), "{headers}");

    let status: Value = serde_json::from_str(&project.done(&["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(status["replicas"], json!({"desired": 3, "ready": 3}));
    let kinds = status["components"].as_array().unwrap().iter().map(|component| component["kind"].clone());
    assert_eq!(kinds.filter(|kind| kind == "front").count(), 2, "{status}");
    assert!(project.done(&["logs", "service"]).stdout.contains("listening on 8080"));
    project.done(&["verify", "--check", "rate-limit", "--check", "replicas", "--check", "redis-ping"]);
    // A new volume has a replica set, and says so.
    let mongodb = format!("{}-mongodb", stack.name);
    docker(&[
        "exec",
        &mongodb,
        "sh",
        "-c",
        "grep -q replSet /proc/*/cmdline && test -e /data/db/appforge-replica-set",
    ]);
    // The app has no published port, and a network that fronts and clients are not in.
    let replica = docker(&["ps", "-q", "--filter", &format!("name={0}-{0}-", stack.name)]);
    let replica = replica.lines().next().unwrap();
    let networks = docker(&["inspect", "-f", "{{json .NetworkSettings.Networks}}", replica]);
    assert!(!networks.contains(&format!("{}_edge", stack.name)), "{networks}");
    project.done(&["down", "--volumes", "--yes"]);
}

/// The bytes of a WebSocket, which no proxy looks into.
fn web_socket(port: u16) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let ask = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    socket.write_all(ask.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    socket
}

#[test]
#[ignore = "needs docker"]
fn own_app_fails_no_request_while_all_of_it_is_replaced() {
    let stack = Stack::new("ownlive");
    let project = Project::with(&stack.text(&app("replicas: 2")));
    project.done(&["up"]);
    let mut socket = web_socket(stack.port);
    let mut echo = |text: &[u8]| {
        socket.write_all(text)?;
        let mut back = vec![0; text.len()];
        socket.read_exact(&mut back)?;
        assert_eq!(back, text);
        Ok::<_, std::io::Error>(())
    };
    echo(b"\x81\x05hello").unwrap();

    let ended = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let guard = runtime.enter();
    let loads: Vec<_> = (0..4).map(|_| load(stack.port, ended.clone())).collect();
    project.done(&["scale", "--replicas", "3"]);
    echo(b"\x81\x05still").unwrap();
    project.done(&["scale", "--replicas", "1"]);
    let restarted = project.done(&["restart"]);
    assert!(restarted.stderr.contains("replacing"), "{}", restarted.stderr);
    ended.store(true, Ordering::Relaxed);
    drop(guard);
    for load in loads {
        let (good, bad) = runtime.block_on(load).unwrap();
        assert!(good > 0 && bad.is_empty(), "{good} good, bad: {bad:?}");
    }
    // The fronts are new: the connection ended with the one that it went through.
    assert!(echo(b"\x81\x05ended").is_err(), "a WebSocket ends when its front is replaced");

    // An error of its health removes nothing once it was healthy; a new replica waits for its first success.
    get(stack.port, "/set-health?503", "");
    let replica = docker(&["ps", "-q", "--filter", &format!("name={0}-{0}-", stack.name)]);
    // Longer than the three checks that take a silent replica away.
    std::thread::sleep(Duration::from_secs(4));
    assert!(get(stack.port, "/", "").0.starts_with("HTTP/1.1 200 "));
    docker(&["restart", "-t", "0", replica.trim()]);
    docker(&["exec", replica.trim(), "sh", "-c", "echo 503 > /tmp/health"]);
    eventually("a restarted replica without health gets no request", || {
        get(stack.port, "/", "").0.starts_with("HTTP/1.1 503 ")
    });
    docker(&["exec", replica.trim(), "sh", "-c", "echo 204 > /tmp/health"]);
    eventually("a healthy one does", || get(stack.port, "/", "").0.starts_with("HTTP/1.1 200 "));
    project.done(&["down", "--volumes", "--yes"]);
}

const ODD: &str = "PLAIN=it costs $5 $HOME ${HOME} $$\nQUOTE=\"it's \\\"so\\\" \\\\ \\n next\"\nSINGLE='a \"b\" \\n #c'\n\
                   APOSTROPHE=don't\nEMPTY=\nLOG=of the file\nJSON='{\"k\": \"v\\\\\"}'\n";

#[test]
#[ignore = "needs docker"]
fn variables_reach_an_own_app_as_they_are_and_no_document() {
    let stack = Stack::new("ownenv");
    let more = "env_file: .env, release: ['sh', '-c', 'echo ran; cat /run/secrets/mongodb_uri | wc -l; exit $$CODE'], \
                env: {LOG: info, DOLLAR: '$$x', DB: '${mongodb.uri}#${port}', AT: '${port}', CODE: '0'}";
    let text =
        stack.text(&app(more)).replace("cat /run/secrets/mongodb_uri | wc -l", "test -s $$MONGODB_URI_FILE");
    let project = Project::with(&text);
    project.write(".env", ODD);
    let release = "running the release command `";
    let first = project.done(&["up"]);
    assert!(first.stderr.contains(release) && first.stderr.contains("\nran\n"), "{}", first.stderr);
    let value = |name: &str| get(stack.port, &format!("/env?{name}"), "").1;
    for (name, expected) in [
        ("PLAIN", "it costs $5 $HOME ${HOME} $$"),
        ("QUOTE", "it's \"so\" \\ \n next"),
        ("SINGLE", "a \"b\" \\n #c"),
        ("APOSTROPHE", "don't"),
        ("EMPTY", ""),
        ("JSON", "{\"k\": \"v\\\\\"}"),
        ("LOG", "info"),
        ("DOLLAR", "$x"),
        ("AT", "8080"),
        ("PORT", "8080"),
        ("HOST", "0.0.0.0"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let password = project.read(".appforge/compose/secrets/mongodb_app_password");
    let uri = value("MONGODB_URI");
    let uri = uri.as_str().unwrap();
    assert!(uri.contains(&format!("//app:{}@", password.trim())) && uri.contains("maxPoolSize=50"), "{uri}");
    assert_eq!(value("DB"), format!("{uri}#8080"));
    assert_eq!(value("MONGODB_URI_FILE"), "/run/secrets/mongodb_uri");
    for document in ["docker-compose.yml", "haproxy.cfg"] {
        let text = project.read(&format!(".appforge/compose/{document}"));
        assert!(!text.contains(password.trim()) && !text.contains("don't"), "{document}: {text}");
    }
    assert_eq!(mode(&project, "app.env"), 0o600);

    // Nothing changed: nothing is replaced, and the release does not run again.
    assert_eq!(project.done(&["diff"]).stdout, "nothing to change\n");
    let containers = stack.containers();
    assert!(!project.done(&["up"]).stderr.contains(release));
    assert_eq!(stack.containers(), containers);
    // A changed value replaces the replicas, after the release; its name is shown, its value is not.
    project.write(".env", &ODD.replace("don't", "do't"));
    let diff = project.run(&["diff"]).stdout;
    assert!(diff.contains("environment: APOSTROPHE changed") && !diff.contains("do't"), "{diff}");
    assert!(project.done(&["up"]).stderr.contains(release));
    assert_eq!(value("APOSTROPHE"), "do't");
    // One that fails stops there.
    let containers = stack.containers();
    project.write("appforge.yaml", &text.replace("CODE: '0'", "CODE: '7'"));
    let failed = project.run(&["up"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(
        failed.stderr.contains("` ended with exit status 7\n") && failed.stderr.contains("\n  ran\n"),
        "{failed:#?}"
    );
    assert_eq!(stack.containers(), containers);
    assert!(tokio_request(stack.port).starts_with("HTTP/1.1 200 "));
    // What was refused is not what `restart` starts.
    project.done(&["restart"]);
    assert_eq!(value("CODE"), "0");
    project.write(".env", "A=1\nhunter2\n");
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(3), "{refused:#?}");
    assert!(refused.stderr.contains(".env:2: ") && !refused.stderr.contains("hunter2"), "{refused:#?}");
    project.write(".env", "");
    project.done(&["down", "--volumes", "--yes"]);
}

pub(super) fn tokio_request(port: u16) -> String {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(request(port))
        .unwrap()
}

fn mode(project: &Project, secret: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let file = project.path().join(".appforge/compose/secrets").join(secret);
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

/// Without a registry: the engine builds from an image that it has.
#[test]
#[ignore = "needs docker"]
fn own_app_is_built_by_the_engine() {
    let stack = Stack::new("ownbuild");
    let text = stack.text("build: web, health: /health, writable: ['/cache:1Mi'], run_as: 1234, pids: 50");
    let project = Project::with(&text);
    std::fs::create_dir(project.path().join("web")).unwrap();
    project.write("web/Dockerfile", "FROM appforge-test-web:1\nCOPY health /www/health\n");
    project.write("web/health", "\"built\"\n");
    project.done(&["up"]);
    assert_eq!(get(stack.port, "/health", "").1, "built");
    let replica = format!("{0}-{0}-1", stack.name);
    docker(&["exec", &replica, "sh", "-c", "echo x > /cache/file"]);
    let settings = docker(&[
        "inspect",
        "-f",
        "{{.Config.User}} {{.HostConfig.PidsLimit}} {{.HostConfig.ReadonlyRootfs}}",
        &replica,
    ]);
    assert_eq!(settings.trim(), "1234:1234 50 true");
    assert!(!project.path().join(".appforge/compose/Dockerfile").exists(), "the user has one");
    assert_eq!(project.done(&["diff"]).stdout, "nothing to change\n");
    project.write("web/health", "\"again\"\n");
    project.done(&["up"]);
    assert_eq!(get(stack.port, "/health", "").1, "again");
    project.done(&["down", "--volumes", "--yes"]);
    docker(&["rmi", "-f", &format!("{}-app", stack.name)]);
}
