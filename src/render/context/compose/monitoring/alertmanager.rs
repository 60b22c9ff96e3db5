//! `alertmanager.yml`: who gets which alert, and which alerts another one explains.
//!
//! Secrets are files. Chat (Slack and a webhook) gets critical alerts and warnings, PagerDuty critical ones, the heartbeat the
//! watchdog alone, and `info` is sent nowhere.

use serde_json::{Value, json};

use crate::rules::WATCHDOG;
use crate::stack::alerts::{Alerts, Receiver};

/// The receiver of what is only shown.
const NONE: &str = "none";
const CHAT: &str = "chat";
const PAGE: &str = "page";
const HEARTBEAT: &str = "heartbeat";

/// What a critical alert waits for others of its group.
const CRITICAL_WAIT: &str = "10s";

/// The subject of a message. A group has one stack and one name.
const TITLE: &str = "{{ .Status | toUpper }} {{ .CommonLabels.stack }}: {{ .CommonLabels.alertname }}\
                     {{ if eq .Status \"firing\" }} ({{ .Alerts.Firing | len }}){{ end }}";
/// What a message says of each alert.
const LINE: &str =
    "{{ range .Alerts }}{{ .Annotations.summary }}. Next: `{{ .Annotations.next }}`\n{{ end }}";
/// The same with a link.
const LINKED: &str = "{{ range .Alerts }}{{ .Annotations.summary }}. Next: `{{ .Annotations.next }}` \
                      <{{ .Annotations.runbook_url }}|runbook>\n{{ end }}";

/// The document, for at least one receiver.
pub(super) fn document(alerts: &Alerts) -> Value {
    let has = |receiver| alerts.has(receiver);
    let chat = has(Receiver::Slack) || has(Receiver::Webhook);
    let heartbeat = if has(Receiver::Heartbeat) { HEARTBEAT } else { NONE };
    let mut routes = vec![
        json!({
            "matchers": [format!("alertname=\"{WATCHDOG}\"")],
            "receiver": heartbeat,
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "5m",
        }),
        json!({"matchers": ["severity=\"info\""], "receiver": NONE}),
    ];
    if has(Receiver::PagerDuty) {
        routes.push(json!({
            "matchers": ["severity=\"critical\""],
            "receiver": PAGE,
            "group_wait": CRITICAL_WAIT,
            "repeat_interval": "1h",
            "continue": true,
        }));
    }
    if chat {
        routes.push(json!({
            "matchers": ["severity=\"critical\""],
            "receiver": CHAT,
            "group_wait": CRITICAL_WAIT,
            "repeat_interval": "1h",
        }));
        routes.push(json!({"matchers": ["severity=\"warning\""], "receiver": CHAT}));
    }
    let mut receivers = vec![json!({"name": NONE})];
    if chat {
        receivers.push(chat_receiver(alerts));
    }
    if has(Receiver::PagerDuty) {
        receivers.push(page_receiver(alerts));
    }
    if has(Receiver::Heartbeat) {
        let webhook = json!({"url_file": file(Receiver::Heartbeat), "send_resolved": false, "max_alerts": 1});
        receivers.push(json!({"name": HEARTBEAT, "webhook_configs": [webhook]}));
    }
    json!({
        "global": {"resolve_timeout": "5m"},
        "route": {
            "receiver": NONE,
            "group_by": ["stack", "alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": routes,
        },
        "inhibit_rules": inhibitions(),
        "receivers": receivers,
    })
}

fn chat_receiver(alerts: &Alerts) -> Value {
    let mut receiver = json!({"name": CHAT});
    if alerts.has(Receiver::Slack) {
        let mut slack = json!({"api_url_file": file(Receiver::Slack)});
        if let Some(channel) = &alerts.slack.channel {
            slack["channel"] = channel.as_str().into();
        }
        slack["send_resolved"] = true.into();
        slack["title"] = TITLE.into();
        // By default a link to Alertmanager, which no browser reaches.
        slack["title_link"] = "".into();
        slack["text"] = if alerts.runbooks.is_some() { LINKED } else { LINE }.into();
        receiver["slack_configs"] = json!([slack]);
    }
    if alerts.has(Receiver::Webhook) {
        receiver["webhook_configs"] = json!([{"url_file": file(Receiver::Webhook), "send_resolved": true}]);
    }
    receiver
}

fn page_receiver(alerts: &Alerts) -> Value {
    let mut page = json!({
        "routing_key_file": file(Receiver::PagerDuty),
        "send_resolved": true,
        "severity": "critical",
        "client": "appforge",
        "client_url": "",
        "description": TITLE,
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.component }}",
        "group": "{{ .CommonLabels.stack }}",
        "details": {"firing": "{{ range .Alerts.Firing }}{{ .Annotations.summary }}; next: {{ .Annotations.next }}\n{{ end }}"},
    });
    if alerts.runbooks.is_some() {
        page["links"] =
            json!([{"text": "runbook", "href": "{{ (index .Alerts 0).Annotations.runbook_url }}"}]);
    }
    json!({"name": PAGE, "pagerduty_configs": [page]})
}

/// What a failure explains is not sent besides it.
fn inhibitions() -> Value {
    let by = |source: &str, targets: &str| {
        json!({
            "source_matchers": [format!("alertname=\"{source}\"")],
            "target_matchers": [format!("alertname=~\"{targets}\"")],
            "equal": ["stack"],
        })
    };
    json!([
        {
            "source_matchers": ["severity=\"critical\""],
            "target_matchers": ["severity=\"warning\""],
            "equal": ["stack", "alertname"],
        },
        by(
            "AppforgeRedisDown",
            "AppforgeLimitNotShared|AppforgeLimitFlaps|AppforgeLimitLostCounts|AppforgeRedisSlow|AppforgeCacheMisses",
        ),
        by("AppforgeMongodbDown", "AppforgePool.*|AppforgeBudgetBurn"),
        by("AppforgeServiceAbsent", "AppforgeReplica.*|AppforgeUnreachable|AppforgeGateway.*"),
    ])
}

fn file(receiver: Receiver) -> String {
    format!("/run/secrets/{}", receiver.file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;
    use crate::stack::{Stack, monitoring};

    #[test]
    fn inhibitions_name_alerts_that_exist() {
        let alerts = rules::rules(&monitoring::every_fact(&Stack::default()));
        let mut names = 0;
        let inhibitions = inhibitions();
        let sides =
            inhibitions.as_array().unwrap().iter().flat_map(|rule| rule.as_object().unwrap().values());
        for matcher in sides.flat_map(|matchers| matchers.as_array().unwrap()).filter_map(Value::as_str) {
            let Some(value) = matcher.strip_prefix("alertname=") else { continue };
            for name in value.trim_start_matches('~').trim_matches('"').split('|') {
                let exists =
                    |id: &str| name.strip_suffix(".*").map_or(id == name, |start| id.starts_with(start));
                assert!(alerts.iter().any(|alert| exists(alert.id)), "{name}");
                names += 1;
            }
        }
        assert!(names > 9, "{names}");
    }
}
