//! What monitors a stack and who is notified, as the stack file has it. Types and their defaults; what they must mean is in
//! `validate`. Pure.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::values::{ImageRef, Secret, Span};

/// What monitors the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// Run Prometheus, Alertmanager and Grafana beside the stack, on compose.
    pub enabled: bool,
    /// How often metrics are read and alerts evaluated, 1 s to 5 min.
    pub scrape_interval: Span,
    /// How long Prometheus keeps what it read, within 1 GB.
    pub retention: Span,
    /// The images.
    pub images: Images,
    /// Run Grafana too, on 127.0.0.1:3000.
    pub grafana: bool,
    /// The URL that clients use, requested at each scrape; `null` is the gateway.
    pub probe: Option<String>,
}

/// The images of monitoring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Prometheus 2.42 or later.
    pub prometheus: ImageRef,
    /// Alertmanager 0.26 or later.
    pub alertmanager: ImageRef,
    /// Grafana 11 or later.
    pub grafana: ImageRef,
}

/// Who is notified of alerts.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// A channel of Slack: critical alerts and warnings.
    pub slack: Slack,
    /// PagerDuty: critical alerts.
    pub pagerduty: PagerDuty,
    /// A server of yours that takes the JSON of Alertmanager: critical alerts and warnings.
    pub webhook: Webhook,
    /// A server that raises the alarm when nothing arrives: `AppforgeWatchdog`, every 5 minutes.
    pub heartbeat: Webhook,
    /// The URL of the page with the runbooks, for links in notifications; `null` gives them none.
    pub runbooks: Option<String>,
    /// Names of alerts that are left out, as `appforge alerts` lists them.
    pub disable: Vec<String>,
}

/// A channel of Slack; either key switches it on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The channel, such as `#shop`; `null` is that of the URL.
    pub channel: Option<String>,
    /// The URL of an incoming webhook, which is a secret: best in `APPFORGE_ALERTS_SLACK_URL`.
    pub url: Option<Secret>,
}

/// A service of PagerDuty; either key switches it on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// Whether it is notified; a key that is missing then is an error.
    pub enabled: bool,
    /// The integration key (Events API v2), a secret: best in `APPFORGE_ALERTS_PAGERDUTY_KEY`.
    pub key: Option<Secret>,
}

/// A URL that notifications are posted to; either key switches it on.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Whether it is notified; a URL that is missing then is an error.
    pub enabled: bool,
    /// The URL, which may hold a secret.
    pub url: Option<Secret>,
}

/// Where alerts are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receiver {
    /// `alerts.slack`.
    Slack,
    /// `alerts.pagerduty`.
    PagerDuty,
    /// `alerts.webhook`.
    Webhook,
    /// `alerts.heartbeat`.
    Heartbeat,
}

impl Receiver {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Slack, Self::PagerDuty, Self::Webhook, Self::Heartbeat];

    /// Where the stack file has its secret.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Slack => "alerts.slack.url",
            Self::PagerDuty => "alerts.pagerduty.key",
            Self::Webhook => "alerts.webhook.url",
            Self::Heartbeat => "alerts.heartbeat.url",
        }
    }

    /// The name of the file that holds its secret.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Slack => "alerts_slack_url",
            Self::PagerDuty => "alerts_pagerduty_key",
            Self::Webhook => "alerts_webhook_url",
            Self::Heartbeat => "alerts_heartbeat_url",
        }
    }
}

impl Alerts {
    /// The secret of a receiver.
    pub(crate) fn secret(&self, receiver: Receiver) -> Option<&Secret> {
        match receiver {
            Receiver::Slack => self.slack.url.as_ref(),
            Receiver::PagerDuty => self.pagerduty.key.as_ref(),
            Receiver::Webhook => self.webhook.url.as_ref(),
            Receiver::Heartbeat => self.heartbeat.url.as_ref(),
        }
    }

    /// Whether a receiver is switched on.
    pub(crate) fn has(&self, receiver: Receiver) -> bool {
        let asked_for = match receiver {
            Receiver::Slack => self.slack.channel.is_some(),
            Receiver::PagerDuty => self.pagerduty.enabled,
            Receiver::Webhook => self.webhook.enabled,
            Receiver::Heartbeat => self.heartbeat.enabled,
        };
        asked_for || self.secret(receiver).is_some()
    }

    /// The receivers that are switched on.
    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        Receiver::ALL.into_iter().filter(|receiver| self.has(*receiver)).collect()
    }
}

impl Default for Monitoring {
    fn default() -> Self {
        let literal = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("a literal of this file"));
        Self {
            enabled: false,
            scrape_interval: Span(Duration::from_secs(15)),
            retention: Span(Duration::from_secs(15 * 24 * 3600)),
            images: Images {
                prometheus: literal("prom/prometheus:v3.13.5"),
                alertmanager: literal("prom/alertmanager:v0.35.0"),
                grafana: literal("grafana/grafana:13.2.3"),
            },
            grafana: true,
            probe: None,
        }
    }
}
