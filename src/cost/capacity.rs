//! How much one replica carries: measured by `load`, or the documented default. Pure.

use rust_decimal::Decimal;
use serde::Deserialize;

/// Most users a day that are estimated; more than a tenth of mankind.
pub const MAX_USERS: u64 = 1_000_000_000;

/// What one replica carries, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Requests per second that one replica answers within the thresholds.
    pub per_replica: Decimal,
    /// The measurement; `None` for the default.
    pub measured: Option<Measurement>,
}

/// Where a measured capacity comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// When, in RFC 3339.
    pub at: jiff::Timestamp,
    /// On which machine.
    pub machine: String,
    /// At which commit; empty when unknown.
    pub commit: String,
    /// Which thresholds held.
    pub thresholds: String,
    /// On which target; empty when unknown.
    pub target: String,
    /// The generator was the limit: a replica may do more.
    pub at_least: bool,
}

impl Default for Capacity {
    /// 20 requests per second: the setup's 10 replicas answered up to 200.
    fn default() -> Self {
        Self { per_replica: Decimal::from(20), measured: None }
    }
}

/// The file that `load` writes.
#[derive(Deserialize)]
struct File {
    requests_per_second_per_replica: serde_json::Number,
    measured_at: String,
    #[serde(default)]
    machine: Option<String>,
    #[serde(default)]
    commit: Option<String>,
    #[serde(default)]
    thresholds: Option<Words>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    at_least: bool,
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Capacity {
    /// Reads what `load` measured. Unknown keys are passed over, so that `load` may say more.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let number = file.requests_per_second_per_replica.to_string();
        // The bounds keep every later product within its type; both are far outside of what a replica does.
        let bounds = Decimal::new(1, 1)..=Decimal::from(10_000_000);
        let per_replica = number.parse::<Decimal>().ok().filter(|number| bounds.contains(number));
        let Some(per_replica) = per_replica else {
            return Err(format!(
                "requests_per_second_per_replica: must be between 0.1 and 10,000,000, got {number}"
            ));
        };
        let at = file.measured_at.parse().map_err(|_| {
            format!("measured_at: expected a time such as `2026-02-01T10:00:00Z`, got `{}`", file.measured_at)
        })?;
        let measured = Some(Measurement {
            at,
            machine: file.machine.unwrap_or_default(),
            commit: file.commit.unwrap_or_default(),
            thresholds: match file.thresholds {
                Some(Words::One(text)) => text,
                Some(Words::Many(texts)) => texts.join(", "),
                None => String::new(),
            },
            target: file.target.unwrap_or_default(),
            at_least: file.at_least,
        });
        Ok(Self { per_replica: per_replica.round_dp(3), measured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_load_measured_is_read() {
        let text = r#"{"requests_per_second_per_replica": 1900.5, "measured_at": "2026-11-20T10:00:00Z",
            "machine": "4 cores", "commit": "abc", "thresholds": ["p95<500ms", "p99<1s"], "more": 1}"#;
        let capacity = Capacity::from_json(text).unwrap();
        assert_eq!(capacity.per_replica.to_string(), "1900.5");
        let measured = capacity.measured.unwrap();
        assert_eq!((measured.commit.as_str(), measured.thresholds.as_str()), ("abc", "p95<500ms, p99<1s"));
    }

    #[test]
    fn a_capacity_that_cannot_be_is_refused() {
        for number in ["0", "-5", "1e99", "null", "\"20\""] {
            let text = format!(
                r#"{{"requests_per_second_per_replica": {number}, "measured_at": "2026-11-20T10:00:00Z"}}"#
            );
            Capacity::from_json(&text).expect_err(number);
        }
        Capacity::from_json("{}").expect_err("empty");
    }
}
