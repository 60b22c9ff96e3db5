//! An app of the user's own on this machine: pairs of app and front, as one replica.

use std::time::{Duration, Instant};

use appforge_testing::need;
use appforge_testing::wait::eventually;

use crate::stack::{Up, kill, lives};
use crate::support::Project;

const APP: &str = include_str!("../fixtures/own/app.py");
/// More than any test asks.
const UNLIMITED: &str = "rate_limit: {requests: 100000000}\n";

/// A stack whose app is the Python one, with more below `service:` and beside it.
pub(crate) fn own(service: &str, more: &str) -> Up {
    let mut up = Up::new("");
    let python = need::program("APPFORGE_PEER_PYTHON", &[]).display().to_string();
    up.project =
        Project::with(&format!("service:\n  port: {}\n  command: {python} app.py\n{service}{more}", up.port));
    up.project.write("app.py", APP);
    up.path = "/usr/bin:/bin".into();
    up
}

pub(crate) fn get(up: &Up, path: &str) -> (u16, String) {
    up.request(&format!("GET {path}"), "")
}

/// The process of the app that answers.
fn app(up: &Up) -> u64 {
    get(up, "/pid").1.parse().unwrap()
}

pub(super) fn replica(up: &Up, number: u32) -> serde_json::Value {
    let status = up.json(&["status"]);
    let name = format!("service-{number}");
    status["components"].as_array().unwrap().iter().find(|it| it["name"] == name.as_str()).unwrap().clone()
}

#[test]
#[ignore = "needs python"]
fn of_150_requests_exactly_100_pass_in_front_of_an_app_at_1_3_and_5_replicas() {
    let up = own("", "rate_limit: {window: 15m}\n");
    for replicas in ["1", "3", "5"] {
        up.done(&["up", "--replicas", replicas]);
        let verified = up.json(&["verify", "--check", "rate-limit"]);
        assert_eq!(verified["passed"], true, "{verified:#}");
    }
    let passed = (0..150).filter(|_| get(&up, "/").0 == 200).count();
    assert_eq!(passed, 100);
    let again = up.done(&["up"]);
    assert_eq!(again.stderr, "nothing to change: the stack is up to date\n");
    assert_eq!(up.run(&["diff"]).code, Some(0));
}

#[test]
#[ignore = "needs python"]
fn app_gets_its_stores_and_the_variables_of_file_and_shell() {
    let up = own(
        "  env: {DATABASE_URL: '${mongodb.uri}', LEVEL: 3, DEBUG: true, PRICE: '5$$', FROM: file}\n  env_file: .env\n",
        "mongodb: {database: shop, pool: {max: 7, min: 1}}\n",
    );
    up.project.write(".env", "TOKEN='s3cret $x'\nFROM=env_file\nSHELL_ONLY=env_file\n");
    let run =
        up.run_with(&["up"], &[("SHELL_ONLY", "shell"), ("VIRTUAL_ENV", "/venv"), ("APPFORGE_X", "no")]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let env: serde_json::Value = serde_json::from_str(&get(&up, "/env").1).unwrap();
    let value = |name: &str| env[name].as_str().unwrap_or_default().to_owned();
    let uri = value("MONGODB_URI");
    assert!(
        uri.contains("/shop?") && uri.contains("maxPoolSize=7") && uri.contains("appName=appforge-service-1"),
        "{uri}"
    );
    assert_eq!(value("DATABASE_URL"), uri);
    assert_eq!(std::fs::read_to_string(value("MONGODB_URI_FILE")).unwrap(), uri);
    assert_eq!(std::fs::read_to_string(value("REDIS_URL_FILE")).unwrap(), value("REDIS_URL"));
    assert_eq!((value("LEVEL"), value("DEBUG"), value("PRICE")), ("3".into(), "true".into(), "5$".into()));
    assert_eq!((value("TOKEN"), value("FROM")), ("s3cret $x".into(), "file".into()));
    assert_eq!((value("SHELL_ONLY"), value("VIRTUAL_ENV")), ("env_file".into(), "/venv".into()));
    assert_eq!((value("HOST"), env["APPFORGE_X"].is_null()), ("127.0.0.1".into(), true));
    // Neither the front nor a file of ours has the app's secret.
    let diff = up.run_with(&["diff"], &[("VIRTUAL_ENV", "/other")]);
    assert_eq!(diff.code, Some(5), "{diff:#?}");
    assert!(diff.stdout.contains("VIRTUAL_ENV of this shell: /venv -> /other"), "{diff:#?}");
    up.project.write(".env", "TOKEN=changed\n");
    let diff = up.run_with(&["diff"], &[("VIRTUAL_ENV", "/venv")]);
    assert!(
        diff.stdout.contains("service.env_file: changed") && !diff.stdout.contains("changed\n  TOKEN"),
        "{diff:#?}"
    );
    let before = app(&up);
    up.run_with(&["up"], &[("VIRTUAL_ENV", "/venv")]);
    assert!(get(&up, "/env").1.contains("\"TOKEN\": \"changed\""));
    assert!(!lives(before));
    // The addresses of its stores go with the data.
    up.done(&["down", "--volumes", "--yes"]);
    let secrets = std::fs::read_dir(up.project.path().join(".appforge/secrets")).unwrap();
    let left: Vec<_> = secrets.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().starts_with("app-")), "{left:?}");
}

#[test]
#[ignore = "needs python"]
fn clean_environment_has_nothing_of_the_shell_but_a_few_names() {
    let up = own("  environment: clean\n", "");
    let run = up.run_with(&["up"], &[("AWS_SECRET_ACCESS_KEY", "x"), ("LANG", "C.UTF-8")]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let env: serde_json::Value = serde_json::from_str(&get(&up, "/env").1).unwrap();
    assert!(env["AWS_SECRET_ACCESS_KEY"].is_null() && env["LANG"] == "C.UTF-8", "{env:#}");
    let wrong = up.project.read("appforge.yaml").replace("environment: clean", "environment: all");
    up.project.write("appforge.yaml", &wrong);
    assert_eq!(up.run(&["up"]).code, Some(3));
}

#[test]
#[ignore = "needs python"]
fn no_request_fails_while_an_app_that_closes_its_connections_is_scaled_and_restarted() {
    let up = own("  env: {KEEP_ALIVE: 0.3}\n", UNLIMITED);
    up.done(&["up", "--replicas", "3"]);
    up.no_client_notices(|| {
        up.done(&["scale", "--replicas", "1"]);
        up.done(&["scale", "--replicas", "4"]);
        up.done(&["restart"]);
    });
}

#[test]
#[ignore = "needs python"]
fn killed_app_or_front_is_replaced_and_no_connection_is_refused() {
    let up = own("", UNLIMITED);
    up.done(&["up", "--replicas", "2"]);
    let first = app(&up);
    kill(first);
    for _ in 0..50 {
        assert_eq!(get(&up, "/").0, 200);
    }
    eventually("the app is replaced", || {
        replica(&up, 1)["state"] == "ready" && replica(&up, 2)["state"] == "ready"
    });
    let restarts =
        |up: &Up| [1, 2].map(|number| replica(up, number)["restarts"].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(restarts(&up), 1);
    // The front: its connections end with it, the socket stays open for the next.
    let front = up.front(1);
    kill(front);
    for _ in 0..50 {
        assert_eq!(get(&up, "/").0, 200);
    }
    eventually("the front is replaced", || restarts(&up) == 2 && replica(&up, 1)["state"] == "ready");
    assert_eq!(get(&up, "/").0, 200);
}

#[test]
#[ignore = "needs python"]
fn nothing_of_an_app_outlives_its_supervisor() {
    for how in ["TREE", "FORK", "IGNORE_TERM"] {
        let up = own(&format!("  env: {{{how}: 1}}\n"), UNLIMITED);
        up.done(&["up"]);
        let pid = app(&up);
        kill(up.supervisor());
        eventually("the app has ended", || !lives(pid));
        up.done(&["up"]);
        let pid = app(&up);
        up.done(&["down"]);
        assert!(!lives(pid), "{how}");
    }
}

#[test]
#[ignore = "needs python"]
fn app_that_crashes_is_shown_with_its_last_lines() {
    let up = own("  env: {BROKEN: 1}\n", "");
    let run = up.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("`service-1/app` does not stay up: ended with exit status 3"), "{run:#?}");
    assert!(run.stderr.contains("cannot find module 'express'"), "{run:#?}");
    assert!(run.stderr.contains("appforge logs service-1/app"), "{run:#?}");
    let up = own("", "");
    up.project.write("appforge.yaml", &up.project.read("appforge.yaml").replace("app.py", "missing.py"));
    assert_eq!(up.run(&["up"]).code, Some(1));
}

#[test]
#[ignore = "needs python"]
fn app_that_listens_elsewhere_is_reported_with_its_port() {
    let port = appforge_testing::port::reserve();
    let up = own(&format!("  env: {{OWN_PORT: {port}}}\n"), "");
    let run = up.run(&["up", "--timeout", "8s"]);
    assert_eq!(run.code, Some(9), "{run:#?}");
    let so_far = format!("service-1/app listens on port {port} so far, and not on the one in PORT");
    assert!(run.stderr.contains(&so_far), "{run:#?}");
    assert!(run.stderr.contains(&format!("service.app_port: {port}")), "{run:#?}");
    let file = up.project.read("appforge.yaml");
    up.project.write("appforge.yaml", &file.replace("  env:", &format!("  app_port: {port}\n  env:")));
    up.done(&["up"]);
    assert_eq!(get(&up, "/").0, 200);
    assert_eq!(up.run(&["scale", "--replicas", "2"]).code, Some(3));
    // A restart cannot have both: the port is free only when the old app has ended.
    up.done(&["restart"]);
    assert_eq!(get(&up, "/").0, 200);
    // A change that fails brings the old form back.
    let file = up.project.read("appforge.yaml");
    up.project.write("appforge.yaml", &file.replace("app.py", "missing.py"));
    assert_eq!(up.run(&["up"]).code, Some(1));
    assert_eq!(get(&up, "/").0, 200);
    up.done(&["restart"]);
    assert_eq!(get(&up, "/").0, 200);
}

#[test]
#[ignore = "needs python"]
fn app_that_opens_another_port_first_is_waited_for() {
    // As a debugger or a page of metrics.
    let early = appforge_testing::port::reserve();
    let up = own(&format!("  env: {{EARLY_PORT: {early}, DELAY: 7}}\n"), UNLIMITED);
    up.done(&["up"]);
    let detail = replica(&up, 1)["detail"].as_str().unwrap().to_owned();
    assert!(get(&up, "/").0 == 200 && !detail.contains("PORT"), "{detail}");
}

#[test]
#[ignore = "needs python"]
fn another_mongodb_replaces_the_replicas_of_an_app() {
    let other = Up::new("");
    other.done(&["up"]);
    let status = other.json(&["status"]);
    let address = status["components"][0]["endpoint"].as_str().unwrap().to_owned();
    let up = own("", "mongodb: {mode: embedded}\n");
    up.done(&["up"]);
    let file = up.project.read("appforge.yaml");
    let external = format!("mongodb: {{mode: external, uri: 'mongodb://{address}/'}}");
    up.project.write("appforge.yaml", &file.replace("mongodb: {mode: embedded}", &external));
    let diff = up.run(&["diff"]);
    assert!(diff.code == Some(5) && diff.stdout.contains("service-1"), "{diff:#?}");
    up.done(&["up"]);
    assert!(get(&up, "/env").1.contains(&address));
    assert_eq!(up.run(&["diff"]).code, Some(0));
}

#[test]
#[ignore = "needs python"]
fn what_an_app_started_is_found_when_its_guard_was_killed_too() {
    let up = own("  env: {TREE: 1}\n", UNLIMITED);
    up.done(&["up"]);
    let (server, guard, supervisor) = (app(&up), up.pid("service-1"), up.supervisor());
    kill(guard);
    kill(supervisor);
    eventually("both have ended", || !lives(guard) && !lives(supervisor));
    if lives(server) {
        let status = up.run(&["status"]);
        assert!(status.stderr.contains(&format!("(pid {server})")), "{status:#?}");
    }
    up.done(&["down"]);
    assert!(!lives(server));
}

#[test]
#[ignore = "needs python"]
fn release_that_does_not_end_leaves_no_process() {
    let up = own("  release: \"trap '' TERM; sleep 61739; true\"\n", "");
    let run = up.run(&["up", "--timeout", "2s"]);
    assert_eq!(run.code, Some(9), "{run:#?}");
    assert!(run.stderr.contains("did not end within 2s"), "{run:#?}");
    let sleeps = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|it| std::fs::read_to_string(it.path().join("cmdline")).ok());
        lines.filter(|line| line.contains("sleep\u{0}61739")).count()
    };
    assert_eq!(sleeps(), 0);
}

#[test]
#[ignore = "needs python"]
fn app_that_listens_beyond_loopback_is_reported() {
    let up = own("  env: {OWN_HOST: 0.0.0.0}\n", "");
    up.done(&["up"]);
    let detail = replica(&up, 1)["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("listens on 0.0.0.0, so clients can bypass the rate limit"), "{detail}");
}

#[test]
#[ignore = "needs python"]
fn app_that_starts_slowly_or_prints_and_sends_much_is_served() {
    let up = own("  env: {DELAY: 3}\n", UNLIMITED);
    let began = Instant::now();
    up.done(&["up"]);
    assert!(began.elapsed() > Duration::from_secs(3));
    assert_eq!(get(&up, "/line").0, 200);
    let lines = up.done(&["logs", "service-1/app"]).stdout;
    assert_eq!(lines.matches('x').count(), 1 << 20, "a long line is in several, and whole");
    let (status, body) = get(&up, "/bytes/300000000");
    assert_eq!((status, body.len()), (200, 300_000_000));
}

#[test]
#[ignore = "needs python"]
fn health_of_an_app_gates_its_first_start_only() {
    let up = own("  health: /broken\n", UNLIMITED);
    let run = up.run(&["up", "--timeout", "3s"]);
    assert_eq!(run.code, Some(9), "{run:#?}");
    assert!(run.stderr.contains("500"), "{run:#?}");
    let up = own("  health: /pid\n", UNLIMITED);
    up.done(&["up"]);
    assert_eq!(get(&up, "/broken").0, 500);
    assert_eq!(replica(&up, 1)["state"], "ready");
}

#[test]
#[ignore = "needs python"]
fn release_runs_once_for_a_change_and_its_failure_keeps_the_old_replicas() {
    let up = own("  release: echo released >> releases\n", UNLIMITED);
    let releases = || up.project.read("releases").lines().count();
    up.done(&["up"]);
    assert_eq!(releases(), 1);
    up.done(&["up"]);
    up.done(&["scale", "--replicas", "2"]);
    up.done(&["restart"]);
    assert_eq!(releases(), 1);
    let before = app(&up);
    let file = up.project.read("appforge.yaml");
    up.project.write(
        "appforge.yaml",
        &file.replace(
            "  release: echo released >> releases",
            "  env: {A: b}\n  release: sh -c 'echo no column >&2; exit 4'",
        ),
    );
    let failed = up.run(&["up"]);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(
        failed.stderr.contains("ended with exit status 4") && failed.stderr.contains("no column"),
        "{failed:#?}"
    );
    assert!(lives(before), "the old replica runs on");
    assert_eq!(get(&up, "/").0, 200);
    // What was refused is not what `restart` starts.
    up.done(&["restart"]);
    assert!(!get(&up, "/env").1.contains("\"A\": \"b\""));
    let before = app(&up);
    up.project.write("appforge.yaml", &file.replace("  release:", "  env: {A: b}\n  release:"));
    up.done(&["up"]);
    assert_eq!(releases(), 2);
    assert!(!lives(before));
}

#[test]
#[ignore = "needs python"]
fn watch_replaces_replicas_once_for_a_burst_of_changes() {
    let up = own("", UNLIMITED);
    up.project.write(".gitignore", "*.log\n");
    let mut command = up.project.command(&["up", "--watch"]);
    let shown = up.project.path().join("shown.log");
    let output = std::fs::File::create(&shown).unwrap();
    command.env("PATH", &up.path).stderr(std::process::Stdio::null()).stdout(output);
    let changes = || std::fs::read_to_string(&shown).unwrap().matches("stack appforge on local").count();
    let mut watch = command.spawn().unwrap();
    eventually("the stack answers", || get_maybe(&up, "/").is_some_and(|status| status == 200));
    let first = app(&up);
    up.project.write("app.log", "ignored");
    for text in ["a", "b", "c"] {
        up.project.write("settings.txt", text);
    }
    eventually("the replica is replaced", || !lives(first));
    eventually("the change is complete", || changes() == 2);
    eventually("the next one answers", || get_maybe(&up, "/pid") == Some(200));
    let second = app(&up);
    assert_ne!(first, second);
    up.project.write("app.log", "ignored again");
    up.project.write("app.py", &APP.replace("hello", "changed"));
    eventually("the new code answers", || get_maybe(&up, "/").is_some() && get(&up, "/").1 == "changed");
    eventually("the change is complete", || changes() == 3);
    let pid = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    assert_eq!(get(&up, "/").0, 200, "the stack stays up");
}

/// The status, or nothing while nothing listens.
fn get_maybe(up: &Up, path: &str) -> Option<u16> {
    std::net::TcpStream::connect(("127.0.0.1", up.port)).ok()?;
    Some(get(up, path).0)
}
