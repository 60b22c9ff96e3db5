//! `drain`, as the pre-stop hook of a front: it ends the first process of the container.

use std::process::{Command, Stdio};

use appforge_testing::wait::eventually;
use appforge_testing::{port, tcp};

use crate::support::Run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_appforge");

#[test]
#[ignore = "needs root"]
fn front_drains_and_ends_when_its_container_drains() {
    let (public, admin) = (port::reserve(), port::reserve());
    // The namespace of processes that a container has; the front is its first process.
    let mut container = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", PROGRAM, "serve", "--upstream", "http://127.0.0.1:1"])
        .env("PORT", public.to_string())
        .env("ADMIN_PORT", admin.to_string())
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = || {
        tcp::exchange(("127.0.0.1", admin), b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    };
    eventually("the front has started", || ask().unwrap_or_default().starts_with("HTTP/1.1 200"));
    let namespace = format!("--pid=/proc/{}/ns/pid_for_children", container.id());
    let drained = Run::of(Command::new("nsenter").args([&namespace, PROGRAM, "drain", "--after", "10ms"]));
    // The kernel kills what is left in a container once its first process has ended, which may be `drain` itself.
    assert!(matches!(drained.code, Some(0) | None), "exit status {:?}", drained.code);
    assert_eq!(drained.stderr, "");
    let mut ended = None;
    eventually("the front has ended", || {
        ended = container.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "it drained, and was not killed");
}
