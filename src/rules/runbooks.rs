//! The lists as a page for whoever gets an alert.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::facts::{Facts, span};
use super::rules;

/// The content of `runbooks.md`: a section for each alert, whose anchor the alert links.
pub fn runbooks(facts: &Facts) -> String {
    let mut text = format!("# Runbooks of {}\n\nWhat each alert means and what to do.\n", facts.stack);
    let rules = rules(facts);
    let mut seen = BTreeSet::new();
    for rule in &rules {
        if !seen.insert(rule.id) {
            continue;
        }
        let same: Vec<_> = rules.iter().filter(|other| other.id == rule.id).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## {}\n\n{}\n\n", rule.id, rule.runbook.means);
        for rule in &same {
            let hold =
                if rule.hold.is_zero() { "at once".to_owned() } else { format!("after {}", span(rule.hold)) };
            let _ = writeln!(text, "- {}, {hold}: {}.", rule.severity.as_str(), rule.condition);
        }
        let _ = writeln!(text);
        for (number, step) in rule.runbook.steps.iter().enumerate() {
            let _ = writeln!(text, "{}. {step}", number + 1);
        }
        let _ = write!(text, "\n```promql\n{}\n```\n", rule.expression);
    }
    text
}
