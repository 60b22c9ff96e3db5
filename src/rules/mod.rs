//! What is worth an alert, what a dashboard shows and what to do then, as typed lists. Pure.
//!
//! The lists are the one source of `rules.yml`, its unit tests, `runbooks.md`, the dashboard, and what `appforge alerts` shows. They
//! depend on [`Facts`] alone, so they lie below the stack.

mod budget;
mod dashboard;
mod edge;
mod facts;
mod limiter;
mod metric;
mod own;
mod panel;
mod panels;
mod prometheus;
mod promtool;
mod replicas;
mod rule;
mod runbooks;
mod scenarios;
mod series;
mod service_panels;
mod store_panels;
mod stores;

pub use dashboard::dashboard;
pub use facts::{Facts, Feature, span};
pub use metric::metrics;
pub use own::WATCHDOG;
pub use panel::{Drawing, Panel, Query, Unit};
pub use panels::panels;
pub use prometheus::rules_document;
pub use promtool::test_document;
pub use rule::{Recording, Rule, Runbook, Severity};
pub use runbooks::runbooks;
pub use scenarios::{Firing, Scenario, scenarios};
pub use series::Series;

/// The alerts whose metrics exist, most severe subject first.
pub fn rules(facts: &Facts) -> Vec<Rule> {
    let all = [
        budget::rules(facts),
        replicas::rules(facts),
        limiter::rules(facts),
        stores::rules(facts),
        edge::rules(facts),
        own::rules(facts),
    ];
    let is_disabled = |rule: &Rule| facts.disabled.iter().any(|name| name == rule.id);
    let has_metrics = |rule: &Rule| rule.needs.iter().all(|need| facts.has(*need));
    all.into_iter().flatten().filter(|rule| has_metrics(rule) && !is_disabled(rule)).collect()
}

/// The names of the alerts that [`rules`] has, each once.
pub fn ids(facts: &Facts) -> Vec<&'static str> {
    let names: std::collections::BTreeSet<_> = rules(facts).iter().map(|rule| rule.id).collect();
    names.into_iter().collect()
}

/// What is computed ahead of the alerts, and shown by the dashboard.
pub fn recordings(facts: &Facts) -> Vec<Recording> {
    let mut recordings = budget::recordings(facts);
    if facts.has(Feature::Bundled) {
        recordings.push(stores::cache_hits(facts));
    }
    recordings
}

#[cfg(test)]
mod tests;
