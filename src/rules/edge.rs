//! The stack as clients reach it: the public URL, its certificate, the gateway.

use std::time::Duration;

use super::facts::{Facts, Feature, minutes};
use super::rule::{Rule, Runbook, Severity};

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    [url(facts), certificate(facts), gateway(facts)].concat()
}

fn url(facts: &Facts) -> Vec<Rule> {
    vec![Rule {
        id: "AppforgeUnreachable",
        severity: Severity::Critical,
        hold: minutes(2),
        expression: format!("probe_success{{{}}} == 0", facts.of_stack()),
        labels: Vec::new(),
        needs: &[Feature::Probe],
        condition: "the public URL does not answer".into(),
        summary: "the public URL of {{ $labels.stack }} does not answer".into(),
        next: "appforge status",
        runbook: Runbook {
            means: "Replicas may work while clients do not reach them: DNS, the load balancer, the certificate or the gateway.",
            steps: &[
                "`curl -v` the URL: does its name resolve, is its certificate valid, who answers?",
                "`appforge status` and `appforge logs gateway`.",
            ],
        },
    }]
}

fn certificate(facts: &Facts) -> Vec<Rule> {
    let left = format!("probe_ssl_earliest_cert_expiry{{{}}} - time()", facts.of_stack());
    let runbook = Runbook {
        means: "Clients refuse the connection once the certificate has expired.",
        steps: &[
            "Renew it. With cert-manager: `kubectl describe certificate`.",
            "Compose: replace the files of `compose.tls`, then `appforge up`.",
        ],
    };
    let rule = |id, severity, hold, days: u32| Rule {
        id,
        severity,
        hold,
        expression: format!("{left} < {days} * 86400"),
        labels: Vec::new(),
        needs: &[Feature::Certificate],
        condition: format!("the certificate expires within {days} days"),
        summary: "the certificate of {{ $labels.stack }} expires in {{ $value | humanizeDuration }}".into(),
        next: "appforge status",
        runbook,
    };
    vec![
        rule("AppforgeCertificateExpires", Severity::Warning, minutes(60), 14),
        rule("AppforgeCertificateExpiresSoon", Severity::Critical, minutes(10), 3),
    ]
}

fn gateway(facts: &Facts) -> Vec<Rule> {
    let replicas = format!("{},proxy=~\"replicas|fronts\"", facts.of_stack());
    vec![
        Rule {
            id: "AppforgeGatewayNoReplica",
            severity: Severity::Critical,
            hold: Duration::from_secs(30),
            expression: format!("haproxy_backend_active_servers{{{replicas}}} == 0"),
            labels: Vec::new(),
            needs: &[Feature::Gateway],
            condition: "the gateway has no replica to send requests to".into(),
            summary: "the gateway of {{ $labels.stack }} has no replica to send requests to".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Every request is answered with 503.",
                steps: &["`appforge status`: are replicas ready?", "`appforge logs gateway --since 10m`."],
            },
        },
        Rule {
            id: "AppforgeGatewayErrors",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!(
                "sum by (stack) (rate(haproxy_backend_connection_errors_total{{{replicas}}}[5m]) + rate(haproxy_backend_response_errors_total{{{replicas}}}[5m])) > 1"
            ),
            labels: Vec::new(),
            needs: &[Feature::Gateway],
            condition: "the gateway fails to hand over more than one request a second".into(),
            summary: "the gateway of {{ $labels.stack }} fails to hand over {{ $value | humanize }} requests a second".into(),
            next: "appforge logs gateway --since 10m",
            runbook: Runbook {
                means: "Replicas refuse connections or break off answers.",
                steps: &["`appforge logs service --since 10m`: do they crash?", "`appforge logs gateway --since 10m`."],
            },
        },
    ]
}
