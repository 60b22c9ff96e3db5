mod compare;
mod scenario;
mod server;
mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::server::{Reply, Server, ok};
use crate::support::{Project, Run};

/// `appforge load --url SERVER -o json ARGS`, its report and how it ended.
fn load(project: &Project, server: &Server, args: &[&str]) -> (Value, Run) {
    let url = server.url();
    let run = project.run(&[&["load", "--url", &url, "-o", "json"], args].concat());
    let report = serde_json::from_str(&run.stdout).unwrap_or(Value::Null);
    (report, run)
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {report:#}"))
}

fn count(report: &Value, path: &str) -> u64 {
    number(report, path).to_string().parse().unwrap()
}

#[test]
fn a_run_reports_what_the_server_saw_under_the_names_of_k6_and_is_kept() {
    // Reads only: a test must not fill anyone's database.
    let server = Server::start(|request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health" | "/api/items?limit=20") if request.body.is_empty() => ok(),
        _ => Reply::Answer(400, "{}", Duration::ZERO),
    });
    let project = Project::new();
    let (report, run) = load(&project, &server, &["--vus", "10", "--duration", "2s", "--think-time", "20ms"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(count(&report, "/metrics/http_reqs/count"), server.requests());
    assert_eq!(report["passed"], true);
    assert_eq!(number(&report, "/metrics/http_req_failed/rate"), 0.0);
    assert_eq!(number(&report, "/metrics/checks/rate"), 1.0);
    assert_eq!(number(&report, "/metrics/vus_max/value"), 10.0);
    for field in ["avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "p(99.9)"] {
        assert!(report["metrics"]["http_req_duration"][field].is_f64(), "{field} in {report:#}");
    }
    let thresholds: Vec<&str> =
        report["thresholds"].as_array().unwrap().iter().map(|t| t["expression"].as_str().unwrap()).collect();
    assert_eq!(thresholds, ["p95<500ms", "p99<1s", "error_rate<1%", "checks>95%"]);
    let kept = std::fs::read_dir(project.path().join(".appforge/loads")).unwrap().count();
    assert_eq!(kept, 1);
    assert!(report["series"].as_array().unwrap().len() >= 3, "{report:#}");
}

#[test]
fn the_table_names_each_threshold_with_what_was_observed() {
    let server = Server::start(|_| ok());
    let args = ["load", "--url", &server.url(), "--vus", "2", "--duration", "1s", "--think-time", "10ms"];
    let run = Project::new().done(&args);
    let verdicts: Vec<&str> = run.stdout.lines().filter(|line| line.ends_with("pass")).collect();
    assert_eq!(verdicts.len(), 4, "{}", run.stdout);
    assert!(verdicts[0].starts_with("p95<500ms"), "{}", run.stdout);
    let warning = "warning: without a probe secret all requests come from one client, and the rate limit \
                   refuses all after 100";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
}

#[test]
fn a_missed_threshold_is_exit_7() {
    let server = Server::start(|_| ok());
    let args = ["--vus", "2", "--duration", "1s", "--threshold", "p95<1us"];
    let (report, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert_eq!(report["passed"], false);
    let judged = &report["thresholds"][3];
    assert_eq!((judged["expression"].as_str(), judged["passed"].as_bool()), (Some("p95<1us"), Some(false)));
}

/// Quick, but frozen from second 1 to second 2.
fn stalling() -> Server {
    Server::start(|request| {
        let (begin, end) = (Duration::from_secs(1), Duration::from_secs(2));
        let frozen = request.since_first >= begin && request.since_first < end;
        let delay = if frozen { end - request.since_first } else { Duration::from_millis(1) };
        Reply::Answer(200, "{}", delay)
    })
}

#[test]
fn a_stall_shows_in_the_open_model_where_a_closed_loop_hides_it() {
    let project = Project::new();
    let (open, run) =
        load(&project, &stalling(), &["--rate", "200", "--duration", "3s", "--threshold", "p99<500ms"]);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert!(number(&open, "/metrics/http_req_duration/p(99)") > 900.0, "{open:#}");
    let args = ["--vus", "4", "--think-time", "0s", "--duration", "3s", "--threshold", "p99<500ms"];
    let (closed, run) = load(&project, &stalling(), &args);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(number(&closed, "/metrics/http_req_duration/max") > 900.0, "the stall was there: {closed:#}");
    assert!(number(&closed, "/metrics/http_req_duration/p(99)") < 500.0, "{closed:#}");
}

#[test]
fn percentiles_are_those_of_the_server_within_one_part_in_a_hundred() {
    // Of each twenty requests one takes 1.6 s and five take 0.8 s. What else runs on this machine can only add to what
    // is seen, so one of five tries must be exact.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let server = Server::start(|request| {
            let delay = match request.number % 20 {
                0 => 1600,
                1..=5 => 800,
                _ => 400,
            };
            Reply::Answer(200, "{}", Duration::from_millis(delay))
        });
        let args = ["--rate", "50", "--duration", "2s", "--vus", "100", "--threshold", "p95<10s"];
        let (report, run) =
            load(&Project::new(), &server, &[&args[..], &["--threshold", "p99<10s"]].concat());
        assert_eq!(run.code, Some(0), "{run:#?}");
        let truth = server.served();
        assert_eq!(truth.len(), 100);
        let pairs = [("med", 50), ("p(90)", 90), ("p(99)", 99)].map(|(field, rank)| {
            let truth = truth[rank - 1].as_secs_f64() * 1e3;
            (number(&report, &format!("/metrics/http_req_duration/{field}")), truth)
        });
        if pairs.iter().all(|(seen, truth)| (seen / truth - 1.0).abs() < 0.01) {
            return;
        }
        seen.push(pairs);
    }
    panic!("(seen, true) in ms: {seen:?}");
}

#[test]
fn every_request_of_an_open_run_is_accounted_for_when_the_server_is_too_slow() {
    let server = Server::start(|_| Reply::Answer(200, "{}", Duration::from_millis(200)));
    let args = ["--rate", "100", "--duration", "1s", "--vus", "2", "--timeout", "1s"];
    let (report, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert_eq!(number(&report, "/metrics/http_reqs/count"), 100.0);
    let unsent = number(&report, "/errors/never_sent");
    assert_eq!(unsent, number(&report, "/metrics/dropped_iterations/count"));
    assert!(unsent >= 60.0, "{report:#}");
    assert!(number(&report, "/metrics/http_req_duration/p(99)") > 900.0, "{report:#}");
}

#[test]
fn a_server_that_goes_away_is_counted_by_kind_and_ends_with_exit_7() {
    let server = Arc::new(Server::start(|_| ok()));
    let killer = Arc::clone(&server);
    let thread = std::thread::spawn(move || {
        killer.await_requests(50);
        killer.vanish();
    });
    let args = ["--vus", "5", "--duration", "2s", "--think-time", "10ms"];
    let (report, run) = load(&Project::new(), &server, &args);
    thread.join().unwrap();
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert!(number(&report, "/errors/refused") > 0.0, "{report:#}");
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
}

#[test]
fn a_storm_of_errors_and_a_server_that_hangs_up_are_told_apart() {
    let project = Project::new();
    let args = ["--vus", "2", "--duration", "1s", "--think-time", "10ms"];
    let storm = Server::start(|_| Reply::Answer(503, "{}", Duration::ZERO));
    let (report, run) = load(&project, &storm, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert_eq!(number(&report, "/metrics/http_req_failed/rate"), 1.0);
    assert_eq!(count(&report, "/statuses/503"), storm.requests());
    let rude = Server::start(|_| Reply::HangUp);
    let (report, run) = load(&project, &rude, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    let lost = number(&report, "/errors/closed") + report["errors"]["reset"].as_f64().unwrap_or(0.0);
    assert_eq!(lost.to_string(), rude.requests().to_string());
    assert_eq!(report["thresholds"][0]["observed"], Value::Null, "nothing was answered: {report:#}");
}

#[test]
fn an_answer_that_never_comes_ends_at_the_timeout() {
    let server = Server::start(|_| Reply::Answer(200, "{}", Duration::from_secs(20)));
    let begin = Instant::now();
    let args = ["--vus", "2", "--duration", "500ms", "--think-time", "10ms", "--timeout", "300ms"];
    let (report, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert!(number(&report, "/errors/timeout") >= 2.0, "{report:#}");
    assert!(number(&report, "/metrics/http_req_duration/min") >= 299.0, "{report:#}");
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn what_cannot_be_reached_is_exit_4_with_its_cause() {
    let project = Project::new();
    let refused = {
        let server = Server::start(|_| ok());
        server.url()
    };
    let run = project.run(&["load", "--url", &refused]);
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("caused by: connection refused"), "{}", run.stderr);
    // A label of more than 63 characters is refused by the resolver itself, without asking any network.
    let nowhere = format!("http://{}.invalid", "a".repeat(64));
    let run = project.run(&["load", "--url", &nowhere]);
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("cannot resolve the host"), "{}", run.stderr);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let secure = format!("https://{}", plain.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    let run = project.run(&["load", "--url", &secure]);
    answering.join().unwrap();
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("TLS handshake failed"), "{}", run.stderr);
    let run = project.run(&["load"]);
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("hint: appforge up"), "{}", run.stderr);
}

#[test]
fn what_makes_no_sense_is_a_usage_error_before_anything_is_sent() {
    let project = Project::new();
    let server = Server::start(|_| ok());
    let url = server.url();
    for args in [
        ["--url", &url, "--threshold", "p95"],
        ["--url", &url, "--threshold", "p95{nobody}<1s"],
        ["--url", &url, "--report", "report.pdf"],
        ["--url", "localhost", "--vus", "1"],
        ["--url", &url, "--duration", "0s"],
        ["--url", &url, "--timeout", "0s"],
        ["--url", &url, "--threshold", "error_rate<1"],
        ["--url", &url, "--threshold", "p95<2"],
    ] {
        let run = project.run(&[&["load"], args.as_slice()].concat());
        assert_eq!(run.code, Some(2), "{args:?}: {run:#?}");
    }
    let run = project.run(&["load", "--url", &url, "--scenario", "lunch"]);
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert_eq!(server.requests(), 0);
}

/// Lets five requests of each client pass; without a probe header all are one client.
fn limiting() -> (Server, Arc<Mutex<BTreeMap<String, u32>>>) {
    let clients = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let seen = Arc::clone(&clients);
    let server = Server::start(move |request| {
        let client = request.headers.get("x-appforge-probe").and_then(|probe| probe.split(';').nth(1));
        let mut seen = seen.lock().expect("lock");
        let count = seen.entry(client.unwrap_or("nobody").to_owned()).or_default();
        *count += 1;
        if *count > 5 { Reply::Answer(429, "{}", Duration::ZERO) } else { ok() }
    });
    (server, clients)
}

#[test]
fn limited_requests_are_no_errors_and_are_said() {
    let (server, _) = limiting();
    let args = ["--vus", "2", "--duration", "1s", "--think-time", "10ms"];
    let (report, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(number(&report, "/metrics/http_req_duration/count"), 5.0);
    assert_eq!(count(&report, "/metrics/http_req_limited/passes"), server.requests() - 5);
    assert_eq!(number(&report, "/metrics/http_req_failed/rate"), 0.0);
    assert_eq!(number(&report, "/simulated_clients"), 0.0);
    assert!(run.stderr.contains("were refused by the rate limiter"), "{}", run.stderr);
}

#[test]
fn with_the_probe_secret_each_user_is_a_client_of_its_own() {
    let (server, clients) = limiting();
    let project = Project::new();
    project.write("secret", "0123456789abcdef0123456789abcdef\n");
    let args = ["--probe-secret-file", "secret", "--requests-per-client", "5"];
    let more = ["--vus", "3", "--duration", "1s", "--think-time", "10ms"];
    let (report, run) = load(&project, &server, &[args.as_slice(), &more].concat());
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(number(&report, "/metrics/http_req_limited/rate"), 0.0);
    let clients = clients.lock().unwrap();
    assert_eq!(count(&report, "/simulated_clients"), clients.len() as u64);
    let users: BTreeSet<&str> = clients.keys().filter_map(|name| name.split('-').nth(2)).collect();
    assert_eq!(users, BTreeSet::from(["0", "1", "2"]));
    assert!(clients.values().all(|count| *count <= 5), "{clients:?}");
}

#[test]
fn ctrl_c_ends_the_run_and_still_reports() {
    let server = Server::start(|_| ok());
    let project = Project::new();
    let url = server.url();
    let args =
        ["load", "--url", &url, "-o", "json", "--vus", "2", "--duration", "10m", "--think-time", "10ms"];
    let child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.await_requests(10);
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["ended"].as_str(), report["passed"].as_bool()), (Some("interrupted"), Some(false)));
    assert!(number(&report, "/metrics/http_reqs/count") >= 10.0);
}

#[test]
fn abort_on_fail_does_not_wait_for_the_end() {
    let server = Server::start(|_| Reply::Answer(500, "{}", Duration::ZERO));
    let begin = Instant::now();
    let args = ["--vus", "5", "--duration", "10m", "--think-time", "10ms", "--abort-on-fail"];
    let (report, run) = load(&Project::new(), &server, &args);
    assert_eq!(run.code, Some(7), "{run:#?}");
    assert!(run.stderr.contains("aborted: `error_rate<1%` was missed with 100 %"), "{}", run.stderr);
    assert_eq!(report["ended"], "aborted");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn rates_are_over_the_scheduled_time_of_a_run_that_rests() {
    let server = Server::start(|_| ok());
    let project = Project::new();
    for (args, rate) in [
        (["--rate", "0.1", "--duration", "2s"].as_slice(), 0.5),
        (&["--vus", "1", "--think-time", "10s", "--duration", "1s"], 1.0),
        (&["--rate", "2", "--duration", "1s"], 2.0),
    ] {
        let (report, run) = load(&project, &server, &[args, &["--threshold", "rate>100"]].concat());
        assert_eq!(run.code, Some(7), "{args:?}: {run:#?}");
        assert_eq!(number(&report, "/metrics/http_reqs/rate"), rate, "{args:?}");
        assert_eq!(
            report["generator"]["busiest_thread"].as_f64().map(|share| share < 0.9),
            Some(true),
            "{report:#}"
        );
    }
}

#[test]
fn every_status_is_in_the_table() {
    let server = Server::start(|request| match request.number % 3 {
        0 => Reply::Answer(204, "", Duration::ZERO),
        1 => Reply::Answer(302, "", Duration::ZERO),
        _ => ok(),
    });
    let args = ["load", "--url", &server.url(), "--rate", "6", "--duration", "1s", "--report", "run.md"];
    let project = Project::new();
    let run = project.run(&[&args[..], &["--threshold", "checks>0%"]].concat());
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.contains("\nstatus         2 x 200, 2 x 204, 2 x 302\n"), "{}", run.stdout);
    assert!(project.read("run.md").contains("| status 302 | 2 |"), "{}", project.read("run.md"));
}
