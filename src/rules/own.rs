//! Monitoring itself: when it fails, silence means nothing.

use std::time::Duration;

use super::facts::{Facts, Feature, minutes};
use super::rule::{Rule, Runbook, Severity};

const NEEDS: &[Feature] = &[Feature::Monitoring];

/// The alert that always fires.
pub const WATCHDOG: &str = "AppforgeWatchdog";

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    let stack = facts.of_stack();
    let rule = |id, severity, expression, condition: &str, summary: &str, runbook| Rule {
        id,
        severity,
        hold: minutes(5),
        expression,
        labels: Vec::new(),
        needs: NEEDS,
        condition: condition.to_owned(),
        summary: summary.to_owned(),
        next: "appforge status",
        runbook,
    };
    vec![
        Rule {
            needs: &[],
            ..rule(
                "AppforgeMonitoringTargetDown",
                Severity::Warning,
                format!("up{{{stack},component=~\"exporter|gateway|alertmanager|grafana\"}} == 0"),
                "a component is not measured",
                "{{ $labels.component }} of {{ $labels.stack }} is not measured",
                Runbook {
                    means: "The alerts about this component cannot fire.",
                    steps: &["`appforge status`: does it run?", "`appforge logs exporter --since 10m`."],
                },
            )
        },
        rule(
            "AppforgeNotificationsFail",
            Severity::Critical,
            format!("rate(alertmanager_notifications_failed_total{{{stack}}}[5m]) > 0"),
            "notifications do not arrive",
            "notifications of {{ $labels.stack }} to {{ $labels.integration }} fail",
            Runbook {
                means: "Alerts fire and reach only the receivers that still work.",
                steps: &[
                    "`appforge logs alertmanager --since 10m` names the answer of the receiver.",
                    "Replace its key.",
                ],
            },
        ),
        rule(
            "AppforgeAlertmanagerUnreachable",
            Severity::Critical,
            format!("prometheus_notifications_alertmanagers_discovered{{{stack}}} < 1"),
            "Prometheus has no Alertmanager",
            "Prometheus of {{ $labels.stack }} has no Alertmanager to send alerts to",
            Runbook {
                means: "Alerts fire and are sent nowhere; the heartbeat stops as well.",
                steps: &["`appforge status`: does the Alertmanager run?", "`appforge up` starts it."],
            },
        ),
        rule(
            "AppforgeRulesFail",
            Severity::Critical,
            format!("increase(prometheus_rule_evaluation_failures_total{{{stack}}}[5m]) > 0"),
            "rules cannot be evaluated",
            "Prometheus of {{ $labels.stack }} cannot evaluate its rules",
            Runbook {
                means: "Some alerts cannot fire.",
                steps: &["`appforge logs prometheus --since 10m` names the rule and why."],
            },
        ),
        rule(
            "AppforgeConfigReloadFails",
            Severity::Warning,
            format!(
                "prometheus_config_last_reload_successful{{{stack}}} == 0\nor alertmanager_config_last_reload_successful{{{stack}}} == 0"
            ),
            "a changed configuration was refused",
            "a changed configuration of {{ $labels.stack }} was refused by {{ $labels.component }}",
            Runbook {
                means: "The earlier configuration is still in use.",
                steps: &[
                    "`appforge logs prometheus alertmanager --since 10m`.",
                    "`appforge render --check`.",
                ],
            },
        ),
        Rule {
            hold: Duration::ZERO,
            needs: &[],
            labels: vec![("stack", facts.stack.clone())],
            ..rule(
                WATCHDOG,
                Severity::None,
                "vector(1)".to_owned(),
                "always",
                "always fires, so that its absence is noticed",
                Runbook {
                    means: "It proves that rules are evaluated and notifications leave. The receiver of the heartbeat raises the alarm when it stops.",
                    steps: &[
                        "When it stopped: `appforge status`, then `appforge logs prometheus alertmanager`.",
                    ],
                },
            )
        },
    ]
}
