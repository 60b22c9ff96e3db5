//! Monitoring on a real engine: Prometheus finds what it should, and a store that ended reaches the one who is notified.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use appforge_testing::tcp;
use appforge_testing::wait::eventually;
use serde_json::Value;

use super::Stack;
use super::own::docker;
use crate::support::Project;

/// One minute until the alert fires, 10 s until it is sent, and room for a busy machine.
const NOTIFIED: Duration = Duration::from_secs(150);

/// A server in place of Slack's: its port, and the path and the JSON of each message.
fn slack() -> (u16, Receiver<(String, Value)>) {
    // Containers reach it at an address of this machine.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while connection.read_line(&mut head).unwrap() > 2 {}
            for line in head.lines() {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            connection.get_mut().write_all(answer).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if send.send((path, serde_json::from_slice(&body).unwrap())).is_err() {
                break;
            }
        }
    });
    (port, receive)
}

/// The address of a component, by `status`.
fn endpoint(project: &Project, name: &str) -> String {
    let status: Value = serde_json::from_str(&project.done(&["status", "-o", "json"]).stdout).unwrap();
    let components = status["components"].as_array().unwrap();
    let component = components.iter().find(|component| component["name"] == name);
    let component = component.unwrap_or_else(|| panic!("no {name} in {status:#}"));
    assert_eq!(component["state"], "ready", "{component}");
    component["endpoint"].as_str().unwrap().trim_start_matches("http://").to_owned()
}

/// What the API of Prometheus answers.
fn api(prometheus: &str, path: &str) -> Value {
    let ask = format!("GET /api/v1/{path} HTTP/1.0\r\n\r\n");
    let answer = tcp::exchange(prometheus, ask.as_bytes()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 "), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

/// The targets of Prometheus: component, address, health.
fn targets(prometheus: &str) -> Vec<(String, String, String)> {
    let found = api(prometheus, "targets?state=active");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let target = |target: &Value| {
        (text(&target["labels"]["component"]), text(&target["labels"]["instance"]), text(&target["health"]))
    };
    found["data"]["activeTargets"].as_array().unwrap().iter().map(target).collect()
}

#[test]
#[ignore = "needs docker"]
fn redis_that_ended_reaches_slack_and_explains_the_rest() {
    let stack = Stack::new("monitored");
    let (port, messages) = slack();
    let url = format!("http://host.docker.internal:{port}/services/hunter2");
    let file = stack.of_service("image: 'appforge-test-web:1'", "rate_limit: {enabled: true}\n")
        + "monitoring: {enabled: true, scrape_interval: 1s, grafana: false, \
           images: {prometheus: 'appforge-test-prometheus:1', alertmanager: 'appforge-test-alertmanager:1'}}\n\
           alerts: {slack: {channel: '#shop'}}\n";
    let project = Project::with(&file);
    // Without the secret nothing is started.
    let refused = project.run(&["up"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("APPFORGE_ALERTS_SLACK_URL"), "{}", refused.stderr);
    assert_eq!(stack.containers(), Vec::<String>::new());

    let up = || {
        let output = project.command(&["up"]).env("APPFORGE_ALERTS_SLACK_URL", &url).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    up();
    let containers = stack.containers();
    up();
    assert_eq!(stack.containers(), containers, "nothing changed, so nothing is replaced");

    let prometheus = endpoint(&project, "prometheus");
    endpoint(&project, "alertmanager");
    endpoint(&project, "exporter");
    let mut found = Vec::new();
    eventually("every target is up", || {
        found = targets(&prometheus);
        found.len() == 6 && found.iter().all(|(_, _, health)| health == "up")
    });
    let count = |component: &str| found.iter().filter(|target| target.0 == component).count();
    let components = ["service", "exporter", "gateway", "prometheus", "alertmanager"];
    assert_eq!(components.map(count), [2, 1, 1, 1, 1], "{found:?}");
    let addresses: BTreeSet<_> = found.iter().map(|target| &target.1).collect();
    assert_eq!(addresses.len(), 6, "each front once: {found:?}");

    let verified = project.done(&["verify", "--check", "monitoring", "-o", "json"]);
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["checks"][0]["verdict"], "pass", "{report:#}");
    assert_eq!(report["checks"][0]["evidence"]["targets"], 6, "{report:#}");
    // Its secret is there, so another shell may scale.
    project.done(&["scale", "--replicas", "2"]);

    let rendered = project.read(".appforge/compose/alertmanager/alertmanager.yml");
    assert!(rendered.contains("/run/secrets/alerts_slack_url") && !rendered.contains("hunter2"));
    docker(&["stop", "-t", "0", &format!("{}-exporter", stack.name)]);
    eventually("the next scrape finds it gone", || {
        targets(&prometheus).iter().any(|(component, _, health)| component == "exporter" && health == "down")
    });
    let failed = project.run(&["verify", "--check", "monitoring"]);
    assert_eq!(failed.code, Some(6), "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stdout.contains("exporter at exporter:9090"), "{}", failed.stdout);
    docker(&["start", &format!("{}-exporter", stack.name)]);
    docker(&["stop", "-t", "0", &format!("{}-redis", stack.name)]);
    let (path, message) = messages.recv_timeout(NOTIFIED).unwrap();
    assert_eq!(path, "/services/hunter2");
    assert_eq!(message["channel"], "#shop");
    let title = message["attachments"][0]["title"].as_str().unwrap_or_default();
    assert_eq!(title, format!("FIRING {}: AppforgeRedisDown (1)", stack.name), "{message:#}");
    let text = message["attachments"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("appforge logs redis"), "{message:#}");
    // The limit that is no longer shared is explained by it: it fires, and is not sent.
    eventually("the limit is not shared", || {
        let alerts = api(&prometheus, "alerts").to_string();
        alerts.contains("AppforgeLimitNotShared")
    });
    let more: Vec<_> = messages.try_iter().collect();
    assert!(more.is_empty(), "{more:#?}");

    // Without a receiver there is no Alertmanager, and `status` says what that means.
    docker(&["start", &format!("{}-redis", stack.name)]);
    project.write("appforge.yaml", &file.replace("alerts: {slack: {channel: '#shop'}}\n", ""));
    let up = project.done(&["up"]);
    assert!(up.stderr.contains("no receiver is configured"), "{}", up.stderr);
    assert!(up.stdout.contains("alerts are sent nowhere"), "{}", up.stdout);
    let names = docker(&["ps", "-a", "--format", "{{.Names}}", "--filter", &format!("name={}-", stack.name)]);
    assert!(names.contains("-prometheus") && !names.contains("-alertmanager"), "{names}");

    project.done(&["down", "--volumes", "--yes"]);
    let left = docker(&["volume", "ls", "-q", "--filter", &format!("name=^{}_", stack.name)]);
    assert_eq!(left, "", "the data of monitoring goes with the rest");
    assert!(!project.path().join(".appforge/compose/secrets/alerts_slack_url").exists());
}
