//! One alert, and one series that is computed ahead.

use std::time::Duration;

use serde::Serialize;

use super::facts::Feature;

/// How much an alert disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To act on now: users notice, or data is about to be lost.
    Critical,
    /// To act on soon.
    Warning,
    /// It is shown, and sent nowhere.
    Info,
    /// It always fires; its absence is the alarm.
    None,
}

impl Severity {
    /// As the label `severity` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::None => "none",
        }
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The name, `Appforge` and the subject. Several rules share one where their labels differ.
    pub id: &'static str,
    /// How much it disturbs.
    pub severity: Severity,
    /// How long the condition holds before the alert fires.
    pub hold: Duration,
    /// The condition, in PromQL.
    pub expression: String,
    /// Labels besides `severity`.
    pub labels: Vec<(&'static str, String)>,
    /// What the stack must have, or the rule is left out.
    pub needs: &'static [Feature],
    /// The condition in words.
    pub condition: String,
    /// One sentence for the notification, in the template language of Prometheus.
    pub summary: String,
    /// The command to run next.
    pub next: &'static str,
    /// What it means and what to do.
    pub runbook: Runbook,
}

/// What an alert means and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runbook {
    /// What users or operators notice, and the usual causes.
    pub means: &'static str,
    /// What to do, in order.
    pub steps: &'static [&'static str],
}

/// A series that is computed ahead of the alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its name, `level:metric:operations`.
    pub name: String,
    /// What it is, in PromQL.
    pub expression: String,
}
