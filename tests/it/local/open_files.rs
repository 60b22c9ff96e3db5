//! Each process of a local stack may have as many open files as the system allows.

use std::process::{Command, Stdio};

use crate::stack::Up;
use crate::support::Run;

/// The soft and the hard limit of a process.
fn limits(pid: u64) -> (String, String) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn processes_raise_their_limit_of_open_files() {
    let up = Up::new("");
    let own = up.project.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 1024; exec \"$0\" up -q"]).arg(own.get_program());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("PATH", format!("{}:/usr/bin:/bin", up.path)).current_dir(up.project.path());
    let run = Run::of(command.stdin(Stdio::null()));
    assert_eq!(run.code, Some(0), "{run:#?}");
    for pid in up.pids().into_iter().chain([up.supervisor()]) {
        let (soft, hard) = limits(pid);
        assert_eq!(soft, hard, "{pid}");
        assert_ne!(soft, "1024", "the hard limit of this machine is too low");
    }
}
