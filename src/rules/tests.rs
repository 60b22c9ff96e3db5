use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use appforge_testing::need;
use serde_json::Value;

use super::*;

/// All features.
const FEATURES: [Feature; 9] = [
    Feature::Bundled,
    Feature::RateLimit,
    Feature::Redis,
    Feature::Mongodb,
    Feature::Probe,
    Feature::Certificate,
    Feature::Gateway,
    Feature::Autoscaling,
    Feature::Monitoring,
];

fn facts() -> Facts {
    Facts {
        stack: "shop".into(),
        p95: Duration::from_millis(500),
        p99: Duration::from_secs(1),
        error_rate: 0.01,
        features: FEATURES.to_vec(),
        runbooks: "runbooks.md".into(),
        disabled: Vec::new(),
    }
}

/// Every set of features that lacks one, and the whole.
fn variants() -> Vec<Facts> {
    let without = |missing: Feature| {
        let features = FEATURES.into_iter().filter(|feature| *feature != missing).collect();
        Facts { features, p95: Duration::from_millis(300), ..facts() }
    };
    std::iter::once(facts()).chain(FEATURES.map(without)).collect()
}

fn expressions(facts: &Facts) -> Vec<String> {
    let panels = panels(facts).into_iter().flat_map(|panel| panel.queries).map(|query| query.expression);
    let rules = rules(facts).into_iter().map(|rule| rule.expression);
    rules.chain(recordings(facts).into_iter().map(|recording| recording.expression)).chain(panels).collect()
}

#[test]
fn every_rule_fires_in_a_scenario() {
    for facts in variants() {
        let firing: Vec<Firing> =
            scenarios(&facts).into_iter().flat_map(|it| it.checks).flat_map(|(_, firing)| firing).collect();
        for rule in rules(&facts).iter().filter(|rule| rule.id != "AppforgeWatchdog") {
            let fires = firing.iter().any(|alert| alert.id == rule.id && alert.variant == rule.labels);
            assert!(fires, "{} {:?}", rule.id, rule.labels);
        }
    }
}

#[test]
fn rules_of_one_name_differ_in_their_labels() {
    let rules = rules(&facts());
    let names: BTreeSet<_> = rules.iter().map(|rule| (rule.id, rule.labels.clone())).collect();
    assert_eq!(names.len(), rules.len());
    for rule in &rules {
        assert!(rule.id.starts_with("Appforge") && !rule.runbook.steps.is_empty(), "{}", rule.id);
        assert!(!rule.condition.ends_with('.') && !rule.summary.ends_with('.'), "{}", rule.id);
    }
}

#[test]
fn rule_is_left_out_when_its_metrics_do_not_exist() {
    let bare = Facts { features: vec![], ..facts() };
    let ids: BTreeSet<_> = rules(&bare).iter().map(|rule| rule.id).collect();
    assert!(ids.contains("AppforgeServiceAbsent") && ids.contains("AppforgeWatchdog"));
    for id in ["AppforgeRedisDown", "AppforgePoolQueue", "AppforgeLimitFlaps", "AppforgeGatewayErrors"] {
        assert!(!ids.contains(id), "{id}");
    }
    let own = Facts { features: vec![Feature::Mongodb], ..facts() };
    let down = rules(&own).into_iter().find(|rule| rule.id == "AppforgeMongodbDown").unwrap();
    assert!(down.expression.contains("mongodb_up{"), "{}", down.expression);
    // A budget that a burn cannot exceed has no such alert.
    let loose = Facts { error_rate: 0.2, ..facts() };
    let windows = |facts: &Facts| rules(facts).iter().filter(|it| it.id == "AppforgeBudgetBurn").count();
    assert_eq!((windows(&facts()), windows(&loose)), (12, 10));
}

#[test]
fn every_selector_names_the_stack() {
    for facts in variants() {
        for expression in expressions(&facts) {
            for (at, _) in expression.match_indices('{') {
                let rest = &expression[at..];
                let named = rest.starts_with("{stack=\"shop\"");
                assert!(named, "one Prometheus may scrape several stacks: {rest}\n{expression}");
            }
        }
    }
}

#[test]
fn scenarios_have_every_metric_that_rules_read() {
    let facts = facts();
    let known: BTreeSet<String> = series::healthy(&facts)
        .into_iter()
        .map(|series| series.name.split('{').next().unwrap().to_owned())
        .chain(recordings(&facts).into_iter().map(|recording| recording.name))
        .collect();
    for rule in rules(&facts) {
        for metric in metrics(&rule.expression) {
            assert!(known.contains(metric), "{metric} of {} would never be tested", rule.id);
        }
    }
}

#[test]
fn panels_are_complete_and_do_not_overlap() {
    for facts in variants() {
        let dashboard = dashboard(&facts);
        let pictures = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = pictures.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), pictures.len());
        let mut cells = BTreeSet::new();
        for panel in pictures {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{panel}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "overlaps: {panel}");
            }
            if panel["type"] == "row" {
                continue;
            }
            let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            assert!(text(&panel["title"]) && text(&panel["description"]), "{panel}");
            assert!(text(&panel["fieldConfig"]["defaults"]["unit"]), "{panel}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty() && targets.iter().all(|it| text(&it["legendFormat"])), "{panel}");
            for expression in targets.iter().map(|target| target["expr"].as_str().unwrap()) {
                // A fixed window shows gaps where the scrape interval is longer, unless it is a long one by intent.
                let fixed = expression.contains("rate(") && !expression.contains("$__rate_interval");
                assert!(!fixed, "{expression}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_section_at_its_link() {
    let facts = facts();
    let page = runbooks(&facts);
    for rule in rules(&facts) {
        assert_eq!(page.matches(&format!("\n## {}\n", rule.id)).count(), 1, "{}", rule.id);
    }
    let document = rules_document(&facts);
    let watchdog = document["groups"][1]["rules"].as_array().unwrap().last().unwrap();
    assert_eq!(watchdog["annotations"]["runbook_url"], "runbooks.md#appforgewatchdog");
}

/// Runs promtool in a folder, and fails with what it says.
fn promtool(folder: &Path, words: &[&str]) {
    let program = need::program("APPFORGE_PEER_PROMTOOL", &["promtool"]);
    let output = Command::new(program).args(words).current_dir(folder).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{words:?}: {said}");
    assert!(!said.contains("SUCCESS: 0 rules"), "{said}");
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_accepts_the_rules_and_scenarios_fire_them() {
    for (number, facts) in variants().into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, document: &Value| {
            fs::write(folder.path().join(name), serde_yaml::to_string(document).unwrap()).unwrap();
        };
        write("rules.yml", &rules_document(&facts));
        promtool(folder.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.yml"]);
        // Each takes seconds: the whole, and an app of the user's own, of which other rules watch MongoDB.
        if number == 0 || !facts.has(Feature::Bundled) {
            write("rules_test.yml", &test_document(&facts, "rules.yml"));
            promtool(folder.path(), &["test", "rules", "rules_test.yml"]);
        }
    }
}
