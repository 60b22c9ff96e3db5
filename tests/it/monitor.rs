//! `monitor` and `top` as a user runs them, on a local stack.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use appforge_testing::tcp;
use appforge_testing::wait::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stack::{Up, kill};

mod browser;
mod page;

/// A stack of two replicas that were under load a moment ago.
fn loaded() -> Up {
    let up = Up::new("");
    up.done(&["up", "--replicas", "2"]);
    up.connected();
    // The last 10 s are what is shown, so that the load is among them when it ends; on a busy machine a reading may come late.
    eventually("the history has the load of both replicas", || {
        up.done(&["load", "--duration", "4s", "--vus", "20", "--think-time", "20ms", "-q"]);
        let seen = up.json(&["monitor", "--once"]);
        let rate = |row: &Value| row.pointer("/current/rate").and_then(Value::as_f64).unwrap_or_default();
        seen["rows"].as_array().is_some_and(|rows| rows.len() == 2 && rows.iter().all(|row| rate(row) > 0.0))
    });
    up
}

/// Waits until nothing is wrong: on a busy machine a replica may count alone for a moment.
fn is_well(up: &Up) {
    eventually("no problems", || up.json(&["monitor", "--once"])["problems"] == serde_json::json!([]));
}

/// `monitor`, which ends with the test.
struct Monitor {
    child: Child,
    url: String,
    port: u16,
}

impl Monitor {
    fn start(up: &Up) -> Self {
        let mut command = up.project.command(&["monitor", "--port", "0", "-q"]);
        let mut child = command.env("PATH", &up.path).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let url = url.trim_end().to_owned();
        let port = url.split(['/', ':']).nth(4).unwrap().parse().unwrap();
        Self { child, url, port }
    }

    /// Ends it as Ctrl-C does, and returns its exit code.
    fn interrupt(mut self) -> Option<i32> {
        interrupt(&self.child);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {value:#}"))
}

#[test]
fn once_has_the_rates_of_a_load_test_and_its_events() {
    let up = loaded();
    let view = up.json(&["monitor", "--once"]);
    for path in [
        "/current/rate",
        "/current/ok",
        "/current/p95",
        "/current/cpu",
        "/current/memory",
        "/rows/0/current/rate",
        "/rows/1/current/rate",
    ] {
        assert!(number(&view, path) > 0.0, "{path} in {view:#}");
    }
    assert_eq!(number(&view, "/current/failed"), 0.0);
    assert_eq!(view["history"]["kept_by"], "supervisor");
    assert_eq!(view["rows"][0]["name"], "service-1");
    assert_eq!(number(&view, "/current/pool_max"), 100.0);
    assert!(view["points"].as_array().unwrap().len() >= 2);
    let events = view["events"].as_array().unwrap();
    let has =
        |kind: &str, text: &str| events.iter().any(|event| event["kind"] == kind && event["text"] == text);
    assert!(has("start", "service-2 started") && has("load", "load test `normal` passed"), "{events:#?}");
    let status = up.json(&["status"]);
    let replica = status["components"].as_array().unwrap().iter().find(|found| found["name"] == "service-1");
    assert!(number(replica.unwrap(), "/metrics/rate") > 0.0, "{status:#}");
    assert!(status["problems"].is_array(), "{status:#}");
    is_well(&up);
    assert_eq!(up.json(&["monitor", "--once"])["rows"][1]["limit"], "shared");
    assert!(up.done(&["status"]).stdout.contains("LAST 40 S"));
    let table = up.done(&["monitor", "--once"]).stdout;
    assert!(table.contains("service-2") && table.contains("/s"), "{table}");
}

#[test]
fn problem_is_first_and_has_the_next_command() {
    let up = loaded();
    let pid = Pid::from_raw(i32::try_from(up.pid("service-2")).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let mut view = Value::Null;
    eventually("the replica that hangs is a problem", || {
        view = up.json(&["monitor", "--once"]);
        view["problems"][0]["text"] == "service-2 does not answer"
    });
    assert_eq!(view["problems"][0]["command"], "appforge logs service-2 --tail 50");
    assert_eq!(view["rows"][1]["answers"], false);
    kill_process(pid, Signal::CONT).unwrap();
    let down = Up::new("");
    assert_eq!(down.run(&["monitor", "--once", "-q"]).code, Some(4));
}

#[test]
fn history_survives_the_supervisor_but_for_a_minute() {
    let up = loaded();
    let before = up.json(&["monitor", "--once"]);
    let file = up.project.path().join(".appforge/history/history.redb");
    let lock = up.project.path().join(".appforge/run/supervisor.lock");
    let changed = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    // It is made when the supervisor starts, and first written 4 s later.
    let first = changed(&lock) + Duration::from_secs(3);
    eventually("the history is written", || changed(&file) > first);
    kill(up.supervisor());
    up.done(&["up"]);
    let after = up.json(&["monitor", "--once"]);
    // Of a new history, it would be later. The load may belong to the minute that is lost.
    assert_eq!(after["history"]["since"], before["history"]["since"], "{after:#}");
    up.done(&["down", "-q"]);
    std::fs::write(&file, [7; 9000]).unwrap();
    up.done(&["up", "-q"]);
    let fresh = up.json(&["monitor", "--once"]);
    assert!(number(&fresh, "/history/since") > number(&after, "/history/since"));
    let log = up.project.read(".appforge/logs/supervisor.log");
    assert_eq!(log.matches("the history was damaged").count(), 1, "{log}");
    assert!(file.with_extension("damaged").is_file());
}

#[test]
fn top_prints_lines_of_json_and_ends_clean_on_ctrl_c() {
    let up = loaded();
    let mut command = up.project.command(&["top", "-q"]);
    let mut top = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(top.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<Value> = lines.take(2).map(|line| serde_json::from_str(&line).unwrap()).collect();
    interrupt(&top);
    assert_eq!(top.wait().unwrap().code(), Some(0));
    assert!(number(&lines[0], "/rows/0/current/rate") > 0.0, "{lines:#?}");
    assert!(number(&lines[1], "/now") > number(&lines[0], "/now"));
}

#[test]
fn top_draws_on_a_terminal_and_gives_it_back() {
    let up = loaded();
    let shown = crate::terminal::on_terminal_until(&up.project, &["top", "-q"], "Ctrl-C ends");
    assert!(shown.starts_with("\u{1b}[?1049h\u{1b}[?25l"), "{shown:?}");
    assert!(shown.ends_with("\u{1b}[?25h\u{1b}[?1049l"), "{shown:?}");
    for text in ["REPLICA", "service-2", "requests ", "history kept by the supervisor"] {
        assert!(shown.contains(text), "{text} in {shown:?}");
    }
}

#[test]
fn report_is_one_file_with_its_data() {
    let up = loaded();
    let run = up.done(&["monitor", "--report", "stack.html"]);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", "wrote stack.html\n"));
    let page = up.project.read("stack.html");
    let (_, json) = page.split_once("id=\"report\">").unwrap();
    let views: Value = serde_json::from_str(json.split_once("</script>").unwrap().0).unwrap();
    for window in ["15m", "2h", "24h", "14d"] {
        assert!(number(&views, &format!("/{window}/rows/0/current/rate")) > 0.0, "{window}");
    }
    assert!(page.contains("Content-Security-Policy") && !page.contains("monitor-token"));
    let secret = up.project.path().join(".appforge/secrets/monitor");
    assert!(!secret.exists(), "a report needs no token");
}

/// The status, the head and the body of the answer; `headers` are whole lines.
fn ask(monitor: &Monitor, request: &str, headers: &str) -> (u16, String, String) {
    let text = format!("{request} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    let answer = tcp::exchange(("127.0.0.1", monitor.port), text.as_bytes()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), format!("{head}\r\n"), body.to_owned())
}
