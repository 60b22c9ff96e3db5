//! `alerts`: lists the alerts of the stack, and prints the documents that are made of them.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::alerts::{AlertsArgs, Part};
use crate::commands::Context;
use crate::error::ExitStatus;
use crate::output::table;
use crate::rules::{self, Facts, Rule};
use crate::stack::monitoring;

/// Runs `alerts`.
pub(super) fn run(context: &Context, args: AlertsArgs) -> Result<ExitStatus> {
    let facts = monitoring::facts(&context.running_stack()?.stack);
    match args.print {
        None => {
            let rules = rules::rules(&facts);
            let listed = json!({"rules": rules.iter().map(|rule| data(rule, &facts)).collect::<Vec<_>>()});
            context.out.data(&listed, || listing(&rules))?;
        }
        Some(part) => {
            let (value, text) = document(part, &facts)?;
            context.out.data(&value, || text)?;
        }
    }
    Ok(ExitStatus::Done)
}

fn document(part: Part, facts: &Facts) -> Result<(Value, String)> {
    Ok(match part {
        Part::Rules => yaml(rules::rules_document(facts))?,
        Part::Tests => yaml(rules::test_document(facts, "rules.yml"))?,
        Part::Dashboard => {
            let dashboard = rules::dashboard(facts);
            let text = serde_json::to_string_pretty(&dashboard)? + "\n";
            (dashboard, text)
        }
        Part::Runbooks => {
            let text = rules::runbooks(facts);
            (json!({"runbooks": text}), text)
        }
    })
}

fn yaml(document: Value) -> Result<(Value, String)> {
    let text = serde_yaml::to_string(&document)?;
    Ok((document, text))
}

fn data(rule: &Rule, facts: &Facts) -> Value {
    let labels = rule.labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
    json!({
        "id": rule.id,
        "severity": rule.severity,
        "for_seconds": rule.hold.as_secs(),
        "labels": labels.collect::<serde_json::Map<_, _>>(),
        "condition": rule.condition,
        "summary": rule.summary,
        "expression": rule.expression,
        "next": rule.next,
        "runbook": format!("{}#{}", facts.runbooks, rule.id.to_lowercase()),
    })
}

fn listing(rules: &[Rule]) -> String {
    let rows = rules.iter().map(|rule| {
        let hold = if rule.hold.is_zero() { "-".to_owned() } else { rules::span(rule.hold) };
        let severity = rule.severity.as_str().to_owned();
        vec![rule.id.to_owned(), severity, hold, rule.condition.clone(), rule.next.to_owned()]
    });
    table(&["alert", "severity", "for", "condition", "next"], rows.collect())
}
