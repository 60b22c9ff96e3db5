//! Monitoring on Compose: nothing without it, nothing published, no secret in a document, and files that Prometheus and
//! Alertmanager accept.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use appforge_testing::need;
use serde_json::Value;

use super::*;
use crate::stack::ComponentKind;
use crate::stack::values::Secret;

const SECRET: &str = "https://hooks.example.com/hunter2";

fn monitored() -> Stack {
    let mut stack = Stack { target: TargetKind::Compose, ..Stack::default() };
    stack.monitoring.enabled = true;
    stack.alerts.slack.channel = Some("#shop".into());
    stack.alerts.slack.url = Some(Secret::new(SECRET));
    stack.alerts.pagerduty.key = Some(Secret::new("hunter2"));
    stack.alerts.webhook.url = Some(Secret::new(SECRET));
    stack.alerts.heartbeat.url = Some(Secret::new(SECRET));
    stack
}

fn app(mut stack: Stack) -> Stack {
    stack.service.image = "registry.example.com/shop:1".parse().unwrap();
    stack
}

fn rendered(stack: &Stack) -> Vec<Document> {
    render(stack, TargetKind::Compose, &Overrides::default()).unwrap()
}

fn value<'d>(documents: &'d [Document], path: &str) -> &'d Value {
    Document::find(documents, path).unwrap().value.as_ref().unwrap()
}

fn names(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        other => other.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

#[test]
fn documents_stay_the_same_until_monitoring_is_enabled() {
    let plain = Stack { target: TargetKind::Compose, ..Stack::default() };
    let off = Stack { monitoring: Stack::default().monitoring, ..monitored() };
    for (plain, off) in [(plain.clone(), off.clone()), (app(plain), app(off))] {
        assert_eq!(rendered(&plain), rendered(&off));
    }
    // A stack that was named like a component of monitoring keeps its key.
    let grafana = |enabled| {
        let mut stack = monitored();
        (stack.name, stack.monitoring.enabled) = ("grafana".parse().unwrap(), enabled);
        context::compose::component_key(&stack).to_owned()
    };
    assert_eq!((grafana(false).as_str(), grafana(true).as_str()), ("grafana", "service"));
}

#[test]
fn prometheus_shares_one_network_with_what_it_counts() {
    for (stack, counted) in [(monitored(), "appforge"), (app(monitored()), "front")] {
        let documents = rendered(&stack);
        let services = &value(&documents, "docker-compose.yml")["services"];
        let networks = |name: &str| names(&services[name]["networks"]);
        let shared: Vec<_> =
            networks("prometheus").intersection(&networks(counted)).copied().collect::<Vec<_>>();
        assert_eq!(shared, ["edge"]);
        let jobs = value(&documents, "prometheus/prometheus.yml")["scrape_configs"].as_array().unwrap();
        assert_eq!(jobs[0]["dns_sd_configs"][0]["names"][0], format!("{counted}."));
        let components: Vec<_> = jobs.iter().map(|job| job["job_name"].as_str().unwrap()).collect();
        assert_eq!(components, ["service", "exporter", "gateway", "prometheus", "alertmanager", "grafana"]);
    }
}

#[test]
fn monitoring_publishes_grafana_alone_and_has_no_privileges() {
    let documents = rendered(&monitored());
    let services = &value(&documents, "docker-compose.yml")["services"];
    let parts = context::compose::components(&monitored());
    assert_eq!(parts.len(), 4);
    for part in parts {
        let service = &services[part.as_str()];
        assert_eq!(service["read_only"], true, "{part:?}");
        assert_eq!(names(&service["cap_drop"]), BTreeSet::from(["ALL"]), "{part:?}");
        assert!(service["user"].as_str().is_some_and(|user| !user.starts_with('0')), "{part:?}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{part:?}");
        let published = names(&service["ports"]);
        let expected: &[&str] = if part == ComponentKind::Grafana { &["127.0.0.1:3000:3000"] } else { &[] };
        assert_eq!(published.into_iter().collect::<Vec<_>>(), expected, "{part:?}");
    }
    assert_eq!(
        services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"],
        "$$__file{/run/secrets/grafana_password}"
    );
}

#[test]
fn documents_hold_no_secret_of_a_receiver() {
    for stack in [monitored(), app(monitored())] {
        for document in rendered(&stack) {
            assert!(!document.text.contains("hunter2"), "{}", document.path);
        }
    }
}

#[test]
fn alertmanager_is_left_out_without_a_receiver() {
    let mut stack = monitored();
    stack.alerts = Stack::default().alerts;
    let documents = rendered(&stack);
    assert!(Document::find(&documents, "alertmanager/alertmanager.yml").is_none());
    assert!(value(&documents, "docker-compose.yml")["services"]["alertmanager"].is_null());
    assert!(value(&documents, "prometheus/prometheus.yml")["alerting"].is_null());
    let rules = &Document::find(&documents, "prometheus/rules.yml").unwrap().text;
    assert!(!rules.contains("AppforgeAlertmanagerUnreachable"), "it would fire at once");
    let found = lint::lint(&stack, TargetKind::Compose, &documents);
    assert!(found.iter().any(|finding| finding.path == "alerts"), "{found:?}");
    assert_eq!(lint::lint(&monitored(), TargetKind::Compose, &rendered(&monitored())), []);
}

#[test]
fn disabled_alert_is_in_no_document() {
    let mut stack = monitored();
    stack.alerts.disable = vec!["AppforgeCacheMisses".into()];
    for path in ["prometheus/rules.yml", "prometheus/runbooks.md"] {
        let text = |stack: &Stack| Document::find(&rendered(stack), path).unwrap().text.clone();
        let heading = |text: &str| text.contains("AppforgeCacheMisses");
        assert!(heading(&text(&monitored())) && !heading(&text(&stack)), "{path}");
    }
}

#[test]
fn other_targets_say_that_they_have_no_monitoring() {
    let stack = Stack { target: TargetKind::Kubernetes, ..monitored() };
    let error = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap_err();
    assert!(error.to_string().starts_with("monitoring.enabled: runs on the target compose only"), "{error}");
    let stack = Stack { target: TargetKind::Local, ..monitored() };
    let found = lint::lint(&stack, TargetKind::Local, &[]);
    assert_eq!(found.iter().map(|finding| finding.path).collect::<Vec<_>>(), ["monitoring.enabled"]);
}

/// Runs a judge on a file; `amtool` lies beside `promtool`.
#[track_caller]
fn accepted(tool: &str, words: &[&str], file: &Path) {
    let promtool = need::program("APPFORGE_PEER_PROMTOOL", &["promtool"]);
    let output = Command::new(promtool.with_file_name(tool)).args(words).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert!(output.status.success(), "{tool} {}: {said}", file.display());
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_and_alertmanager_accept_their_files() {
    let only = |change: fn(&mut Stack)| {
        let mut stack = monitored();
        stack.alerts = Stack::default().alerts;
        change(&mut stack);
        stack
    };
    let mut linked = monitored();
    linked.alerts.runbooks = Some("https://wiki.example.com/runbooks".into());
    let stacks = [
        monitored(),
        linked,
        app(monitored()),
        only(|_| {}),
        only(|stack| stack.alerts.pagerduty.enabled = true),
        only(|stack| stack.alerts.heartbeat.enabled = true),
        only(|stack| stack.alerts.slack.url = Some(Secret::new(SECRET))),
    ];
    for stack in stacks {
        let folder = tempfile::tempdir().unwrap();
        for document in rendered(&stack) {
            let path = folder.path().join(&document.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // `url_file` is there from Alertmanager 0.26 on; Debian has 0.25.
            let text = document
                .text
                .replace("url_file: \"/", "url: \"http://h/")
                .replace("api_url: \"http://h/", "api_url_file: \"/");
            std::fs::write(path, text).unwrap();
        }
        accepted("promtool", &["check", "config"], &folder.path().join("prometheus/prometheus.yml"));
        let alertmanager = folder.path().join("alertmanager/alertmanager.yml");
        if !stack.alerts.receivers().is_empty() {
            accepted("amtool", &["check-config"], &alertmanager);
        }
        assert_eq!(alertmanager.exists(), !stack.alerts.receivers().is_empty());
    }
}
