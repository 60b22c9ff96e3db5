//! What a terminal gets of text that others wrote.

use std::fs::File;
use std::io::Read;
use std::process::Child;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Project, Run};

const SHOWN: &str = "2026-01-01T00:00:01.000Z \u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}\n";

/// A project with one line in the log of a replica.
fn logged() -> Project {
    let project = Project::new();
    let logs = project.path().join(".appforge/logs");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("service-1.log"), SHOWN).unwrap();
    project
}

/// Runs with stdout on a terminal, and returns what that got.
fn on_terminal(project: &Project, args: &[&str]) -> String {
    let (mut child, mut near) = start_on_terminal(project, args);
    let mut bytes = Vec::new();
    // The end of a terminal is an error.
    let _ = near.read_to_end(&mut bytes);
    assert!(child.wait().unwrap().success(), "{args:?}");
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

/// The same for a command that runs until Ctrl-C, which it gets once it has printed `text`.
pub(crate) fn on_terminal_until(project: &Project, args: &[&str], text: &str) -> String {
    let (mut child, mut near) = start_on_terminal(project, args);
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let mut is_interrupted = false;
    // The end of a terminal is an error.
    while let Some(count) = read_in_time(&mut near, &mut part) {
        bytes.extend_from_slice(&part[..count]);
        if !is_interrupted && String::from_utf8_lossy(&bytes).contains(text) {
            is_interrupted = true;
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, Signal::INT).unwrap();
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}");
    String::from_utf8(bytes).unwrap()
}

fn read_in_time(near: &mut File, part: &mut [u8]) -> Option<usize> {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut ready = [PollFd::new(near, PollFlags::IN)];
    assert_eq!(poll(&mut ready, Some(&limit)).unwrap(), 1, "nothing came within 60 s");
    near.read(part).ok()
}

fn start_on_terminal(project: &Project, args: &[&str]) -> (Child, File) {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&near).unwrap();
    unlockpt(&near).unwrap();
    let name = ptsname(&near, Vec::new()).unwrap();
    let far = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    // The command holds the far end, which must be closed before the near one ends.
    let mut command = project.command(args);
    let child = command.stdout(far).spawn().unwrap();
    (child, File::from(near))
}

#[test]
fn logs_on_a_terminal_have_no_escape_sequences_unless_raw() {
    let project = logged();
    let line = |text: &str| format!("service-1  | 2026-01-01T00:00:01.000Z {text}\n");
    let colored = "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}";
    assert_eq!(on_terminal(&project, &["logs"]), line("red"));
    assert_eq!(on_terminal(&project, &["logs", "--raw"]), line(colored));
    assert_eq!(project.done(&["logs"]).stdout, line(colored), "off a terminal it is as it was written");
    let json: serde_json::Value =
        serde_json::from_str(&on_terminal(&project, &["logs", "-o", "json"])).unwrap();
    assert_eq!(json["message"], colored);
}

#[test]
fn names_and_errors_have_no_escape_sequences() {
    let project = Project::with("cost: {catalogue: prices.yaml}\n");
    let catalogue = |name: &str| {
        format!(
            "version: 1\ntitle: \"{name}\"\ncurrency: EUR\ntiers:\n- name: box\n  title: \"{name}\"\n  target: compose\n  \
             users: 100\n  why: \"{name}\"\n  node: {{cpu: 1, memory: 1GiB}}\n  min_nodes: 1\n  spare_nodes: 0\n  \
             items:\n  - {{id: nodes, name: \"{name}\", unit: box, quantity: 1, low: 5, as_of: null, source: x, \
             confidence: good}}\n"
        )
    };
    project.write("prices.yaml", &catalogue("\\e[2Jbox\\u009b31m\\r"));
    let control = |text: &str| text.contains(|c: char| c.is_control() && c != '\n');
    for format in ["table", "json", "yaml", "csv"] {
        let run = project.done(&["cost", "--users", "7", "-o", format]);
        assert!(run.stdout.contains("box") && !control(&run.stdout), "{:?}", run.stdout);
    }
    let json: serde_json::Value =
        serde_json::from_str(&project.done(&["cost", "--users", "7", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["items"][0]["name"], "\u{1b}[2Jbox\u{9b}31m\r");
    let refused = |run: Run, text: &str| {
        assert!(run.stderr.contains(text) && !control(&run.stderr), "{:?}", run.stderr);
        assert_ne!(run.code, Some(0));
    };
    refused(project.run(&["cost", "--explain", "\u{1b}]0;x\u{7}cpu", "--users", "1"]), "`cpu`");
    refused(project.run(&["logs", "\u{1b}[2Jdb"]), "`db`");
    refused(project.run(&["load", "--scenario", "\u{9b}2Jlunch"]), "unknown scenario `lunch`");
}
