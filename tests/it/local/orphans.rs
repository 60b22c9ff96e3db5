//! One server uses a data folder, also when it was found on PATH behind a wrapper script, and nothing outlives its supervisor.

use std::os::unix::fs::PermissionsExt;

use appforge_testing::peer::valkey_program;
use appforge_testing::tcp;
use appforge_testing::wait::eventually;

use crate::stack::{Up, kill, lives};

/// A stack whose Redis is what `script` makes of the server `$VALKEY`.
pub(super) fn wrapped(script: &str) -> Up {
    let valkey = valkey_program();
    let mut up = Up::new("rate_limit: {requests: 100000}\n");
    let folder = up.project.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("redis-server");
    std::fs::write(&file, format!("#!/bin/sh\nVALKEY={}\n{script}\n", valkey.display())).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    up.path = format!("{}:/usr/bin:/bin", folder.display());
    // A server takes no socket, and on the usual port another test could be faster.
    up.give_redis_a_port();
    up
}

/// The servers that run in the data folder, which Redis makes its current one.
pub(super) fn servers(up: &Up) -> Vec<u64> {
    let data = up.project.path().join(".appforge/data/redis").canonicalize().unwrap_or_default();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data))
        .collect()
}

/// Where Redis listens.
fn endpoint(up: &Up) -> String {
    let status = up.json(&["status"]);
    let components = status["components"].as_array().unwrap();
    let redis = components.iter().find(|component| component["name"] == "redis").unwrap();
    redis["endpoint"].as_str().unwrap().to_owned()
}

/// The answer of Redis to one command.
fn redis(up: &Up, command: &str) -> String {
    let password = up.project.read(".appforge/secrets/redis-password");
    let line = format!("AUTH {password}\r\n{command}\r\nQUIT\r\n");
    let answer = tcp::exchange(endpoint(up), line.as_bytes()).unwrap();
    answer.strip_prefix("+OK\r\n").expect("the password is right").to_owned()
}

fn parent(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs valkey"]
fn server_of_a_wrapper_ends_with_a_killed_supervisor() {
    for script in [r#""$VALKEY" "$@""#, r#"setsid "$VALKEY" "$@" & wait"#] {
        let up = wrapped(script);
        up.done(&["up"]);
        assert_eq!(redis(&up, "SET kept value"), "+OK\r\n+OK\r\n");
        assert_eq!(servers(&up).len(), 1);
        kill(up.supervisor());
        eventually("the server has ended", || servers(&up).is_empty());
        up.done(&["up"]);
        assert_eq!(redis(&up, "GET kept"), "$5\r\nvalue\r\n+OK\r\n");
        up.done(&["down"]);
        assert_eq!(servers(&up), [0; 0]);
    }
}

/// Only the lock on its folder still shows the server.
#[test]
#[ignore = "needs valkey"]
fn up_ends_a_server_that_outlived_supervisor_and_guard() {
    let up = wrapped(r#"setsid "$VALKEY" "$@" & wait"#);
    up.done(&["up"]);
    assert_eq!(redis(&up, "SET kept value"), "+OK\r\n+OK\r\n");
    let guard = up.pid("redis");
    let (first, address) = (servers(&up), endpoint(&up));
    kill(guard);
    kill(up.supervisor());
    eventually("the supervisor has ended", || parent(first[0]) == 1 && !lives(guard));
    assert_eq!(servers(&up), first, "the server runs on by itself");
    up.done(&["up"]);
    assert!(!lives(first[0]));
    assert_eq!(servers(&up).len(), 1);
    assert_eq!(endpoint(&up), address, "the port that it had is free once the server has ended");
    assert_eq!(redis(&up, "GET kept"), "$5\r\nvalue\r\n+OK\r\n");
}

#[test]
#[ignore = "needs valkey"]
fn down_ends_a_server_that_outlived_supervisor_and_guard() {
    let up = wrapped(r#"setsid "$VALKEY" "$@" & wait"#);
    up.done(&["up"]);
    let (first, guard, supervisor) = (servers(&up), up.pid("redis"), up.supervisor());
    kill(guard);
    kill(supervisor);
    eventually("both have ended", || !lives(supervisor) && !lives(guard));
    let status = up.run(&["status"]);
    assert!(status.stderr.contains(&format!("`redis` (pid {})", first[0])), "{status:#?}");
    up.done(&["down"]);
    assert!(!lives(first[0]));
}

#[test]
#[ignore = "needs valkey"]
fn restart_ends_a_server_whose_guard_was_killed() {
    let up = wrapped(r#"setsid "$VALKEY" "$@" & wait"#);
    up.done(&["up"]);
    let first = servers(&up);
    kill(up.pid("redis"));
    eventually("another server is ready", || {
        up.json(&["status"])["components"][1]["restarts"] == 1
            && up.json(&["status"])["components"][1]["state"] == "ready"
    });
    assert!(!lives(first[0]));
    assert_eq!(servers(&up).len(), 1);
}

#[test]
#[ignore = "needs valkey"]
fn server_that_its_wrapper_leaves_behind_is_ended() {
    // It never listens where it should, so it is not ready before its wrapper ends.
    let script = r#"setsid "$VALKEY" "$@" --port 0 --unixsocket s & sleep 0.2; exit 7"#;
    let up = wrapped(script);
    let run = up.run(&["up"]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert!(run.stderr.contains("`redis` does not stay up: ended with exit status 7"), "{run:#?}");
    assert_eq!(servers(&up), [0; 0]);
}
