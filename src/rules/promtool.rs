//! The scenarios as unit tests of promtool.

use serde_json::{Value, json};

use super::facts::Facts;
use super::own::WATCHDOG;
use super::rule::Rule;
use super::scenarios::{Firing, Scenario};
use super::{rules, scenarios};

/// How often promtool evaluates the rules.
const INTERVAL: &str = "1m";

/// The content of a test file for promtool, to be written as YAML. `rule_file` is the path of `rules.yml` from the test file.
///
/// A scenario expects the alerts whose rules the stack has; others cannot fire.
pub fn test_document(facts: &Facts, rule_file: &str) -> Value {
    let rules = rules(facts);
    let tests: Vec<Value> = scenarios(facts).iter().map(|scenario| test(scenario, &rules, facts)).collect();
    json!({"rule_files": [rule_file], "evaluation_interval": INTERVAL, "tests": tests})
}

fn test(scenario: &Scenario, rules: &[Rule], facts: &Facts) -> Value {
    let series: Vec<Value> =
        scenario.series.iter().map(|it| json!({"series": it.name, "values": it.values})).collect();
    let watchdog = Firing { id: WATCHDOG, variant: vec![("stack", facts.stack.clone())], labels: vec![] };
    let checks = scenario.checks.iter().map(|(minute, firing)| {
        let firing = firing.iter().chain([&watchdog]);
        let samples = firing.flat_map(|alert| {
            let rules = rules.iter().filter(|rule| rule.id == alert.id && rule.labels == alert.variant);
            rules.map(|rule| json!({"labels": labels(rule, alert, facts), "value": 1}))
        });
        json!({
            "expr": "ALERTS{alertstate=\"firing\"}",
            "eval_time": format!("{minute}m"),
            "exp_samples": samples.collect::<Vec<_>>(),
        })
    });
    json!({
        "name": scenario.name,
        "interval": INTERVAL,
        "input_series": series,
        "promql_expr_test": checks.collect::<Vec<_>>(),
    })
}

/// The labels of a firing alert, as a series.
fn labels(rule: &Rule, alert: &Firing, facts: &Facts) -> String {
    let mut labels =
        vec![("alertname", rule.id), ("alertstate", "firing"), ("severity", rule.severity.as_str())];
    labels.extend(rule.labels.iter().map(|(name, value)| (*name, value.as_str())));
    labels.extend(alert.labels.iter().copied());
    if !labels.iter().any(|(name, _)| *name == "stack") {
        labels.push(("stack", &facts.stack));
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("ALERTS{{{}}}", labels.join(","))
}
