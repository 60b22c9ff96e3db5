//! Who runs a store on this machine, and who can reach it.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use appforge_testing::wait::eventually;
use appforge_testing::{need, tcp};

use crate::local::orphans::{servers, wrapped};
use crate::stack::{Up, kill};

/// A stack with programs of these names on PATH, which are no servers.
fn with_programs(names: &[&str], more: &str) -> Up {
    let mut up = Up::new(more);
    let folder = up.project.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    for name in names {
        let file = folder.join(name);
        std::fs::write(&file, "#!/bin/sh\nexit 7\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    up.path = format!("{}:/usr/bin:/bin", folder.display());
    up
}

/// The mode was not looked at.
#[test]
fn embedded_store_runs_though_a_server_is_on_path() {
    let up = with_programs(
        &["redis-server", "mongod", "valkey-server"],
        "mongodb: {mode: embedded}\nredis: {mode: embedded}\n",
    );
    let found: serde_json::Value =
        serde_json::from_str(&up.run(&["doctor", "-o", "json", "-q"]).stdout).unwrap();
    let observed = |name: &str| {
        let findings = found["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["name"] == name).unwrap()["observed"].clone()
    };
    assert_eq!(observed("redis"), "the embedded store runs, for development");
    assert_eq!(observed("mongodb"), "the embedded store runs, for development");
    let components = up.json(&["up"])["status"]["components"].clone();
    for store in [0, 1] {
        assert_eq!(components[store]["detail"], "embedded, for development", "{components}");
    }
    // `auto` looks on PATH, unless the embedded store has data.
    let other = with_programs(&["mongod"], "mongodb: {mode: auto}\nredis: {mode: embedded}\n");
    let run = other.run(&["up", "--timeout", "20s"]);
    assert!(run.stderr.contains("`mongodb` does not stay up: ended with exit status 7"), "{run:#?}");
    assert!(run.stderr.contains("starting redis (embedded, for development)"), "{run:#?}");
}

#[test]
#[ignore = "needs valkey"]
fn server_that_was_found_takes_no_client_without_password() {
    let up = wrapped(r#"exec "$VALKEY" "$@""#);
    up.done(&["up"]);
    let redis = up.json(&["status"])["components"][1].clone();
    assert_eq!(redis["state"], "ready", "{redis}");
    let endpoint = redis["endpoint"].as_str().unwrap();
    let answer = tcp::exchange(endpoint, b"PING\r\nQUIT\r\n").unwrap();
    assert!(answer.starts_with("-NOAUTH "), "{answer}");
    let password = up.project.read(".appforge/secrets/redis-password");
    assert_eq!(password.len(), 64);
    for file in ["redis-password", "redis.conf", "redis-url"] {
        let meta = std::fs::metadata(up.project.path().join(".appforge/secrets").join(file)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{file}");
    }
    let processes = servers(&up).into_iter().chain(up.pids()).chain([up.supervisor()]);
    for pid in processes {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(&password), "{file} of {pid}");
        }
    }
    // The service and `verify` have it.
    up.done(&["verify", "--check", "redis-ping"]);
    let shared = r#""redis":{"status":"up","mode":"shared"}"#;
    eventually("the service has the password", || up.request("GET /health", "").1.contains(shared));
    up.done(&["verify", "--drill", "redis-down", "--check", "redis-ping"]);

    // Another password restarts both; the embedded store, whose data is another one, has none.
    std::fs::remove_file(up.project.path().join(".appforge/secrets/redis-password")).unwrap();
    let plan = up.run(&["diff"]);
    assert!(plan.stdout.contains("redis: its password changed"), "{plan:#?}");
    up.done(&["up"]);
    up.done(&["verify", "--check", "redis-ping"]);
    let file = up.project.read("appforge.yaml");
    up.project.write("appforge.yaml", &format!("{file}redis: {{mode: embedded}}\n"));
    up.done(&["up"]);
    assert!(!up.project.path().join(".appforge/secrets/redis-url").exists());
    up.done(&["verify", "--check", "redis-ping"]);
}

/// A store beside processes that the machine has no server for.
#[test]
#[ignore = "needs docker"]
fn redis_in_a_container_keeps_its_data_and_ends_with_its_supervisor() {
    let mut up = Up::new(
        "name: contained\nredis: {mode: container, image: 'appforge-test-redis:1', memory: 128MiB}\n",
    );
    up.path = std::env::var("PATH").unwrap();
    up.give_redis_a_port();
    let shown = up.done(&["up"]);
    assert!(shown.stderr.contains("starting redis (appforge-test-redis:1 (container))"), "{shown:#?}");
    let verified = up.json(&["verify", "--check", "redis-ping", "--check", "rate-limit"]);
    assert_eq!(verified["passed"], true, "{verified:#}");
    let containers = || {
        let filter = "name=contained-local-redis";
        let found =
            std::process::Command::new("docker").args(["ps", "-aq", "--filter", filter]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().count()
    };
    assert_eq!(containers(), 1);
    kill(up.supervisor());
    eventually("the container has ended", || containers() == 0);
    up.done(&["up"]);
    assert_eq!((containers(), up.run(&["diff"]).code), (1, Some(0)));
    assert_eq!(up.run(&["verify", "--drill", "redis-down"]).code, Some(0));
    up.done(&["down"]);
    assert_eq!(containers(), 0);
}

#[test]
#[ignore = "needs docker"]
fn image_that_is_missing_is_said_with_the_next_command() {
    let mut up = Up::new("redis: {mode: container, image: 'appforge-test-missing:1'}\n");
    up.path = std::env::var("PATH").unwrap();
    let run = up.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("the image `appforge-test-missing:1` cannot be pulled"), "{run:#?}");
}

#[test]
#[ignore = "needs mongodb"]
fn mongodb_that_was_found_without_a_set_says_what_it_lacks() {
    let mut up = Up::new("mongodb: {mode: auto}\nredis: {mode: embedded}\n");
    let program = need::program("APPFORGE_PEER_MONGO", &["nx-27017"]);
    let (bin, data) = (up.project.path().join("bin"), up.project.path().join(".appforge/data/mongodb"));
    std::fs::create_dir(&bin).unwrap();
    // Called as `mongod --port PORT --bind_ip 127.0.0.1 --dbpath FOLDER`; a set would be one more option.
    let script = format!(
        "#!/bin/sh\ntest $# = 6 || exit 9\nexec {} --host 127.0.0.1 -p $2 --data-dir $6/sqlite --log-file $6/log --pid-file $6/pid\n",
        program.display()
    );
    std::fs::write(bin.join("mongod"), script).unwrap();
    std::fs::set_permissions(bin.join("mongod"), PermissionsExt::from_mode(0o755)).unwrap();
    up.path = format!("{}:/usr/bin:/bin", bin.display());
    // What a server without `--replSet` left.
    DirBuilder::new().recursive(true).mode(0o700).create(&data).unwrap();
    std::fs::write(data.join("WiredTiger"), "WiredTiger 11").unwrap();
    let first = up.done(&["up"]);
    let warning = "warning: mongodb has no replica set, because its data was made without one; transactions and change streams need one: ";
    assert!(first.stderr.contains(warning), "{first:#?}");
    let detail = up.json(&["status"])["components"][0]["detail"].clone();
    assert_eq!(detail, "mongod (found on PATH); no replica set, so no transactions and change streams");
}
