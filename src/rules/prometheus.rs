//! The lists as a rule file of Prometheus.

use serde_json::{Map, Value, json};

use super::facts::{Facts, span};
use super::rule::{Recording, Rule};
use super::{recordings, rules};

/// How often ratios are recorded.
const INTERVAL: &str = "30s";

/// The content of `rules.yml`, to be written as YAML.
pub fn rules_document(facts: &Facts) -> Value {
    let recordings: Vec<Value> = recordings(facts).iter().map(recording).collect();
    let alerts: Vec<Value> = rules(facts).iter().map(|rule| alert(rule, facts)).collect();
    json!({"groups": [
        {"name": format!("appforge.{}.recordings", facts.stack), "interval": INTERVAL, "rules": recordings},
        {"name": format!("appforge.{}.alerts", facts.stack), "rules": alerts},
    ]})
}

fn recording(recording: &Recording) -> Value {
    json!({"record": recording.name, "expr": recording.expression})
}

fn alert(rule: &Rule, facts: &Facts) -> Value {
    let mut alert = Map::new();
    alert.insert("alert".into(), rule.id.into());
    alert.insert("expr".into(), rule.expression.clone().into());
    if !rule.hold.is_zero() {
        alert.insert("for".into(), span(rule.hold).into());
    }
    let labels = rule.labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
    let severity = ("severity".to_owned(), Value::from(rule.severity.as_str()));
    alert.insert("labels".into(), std::iter::once(severity).chain(labels).collect::<Map<_, _>>().into());
    let annotations = json!({
        "summary": rule.summary,
        "next": rule.next,
        "runbook_url": format!("{}#{}", facts.runbooks, rule.id.to_lowercase()),
    });
    alert.insert("annotations".into(), annotations);
    alert.into()
}
