//! What must hold: `p95<500ms`, `error_rate<1%`, `checks>95%`, `rate>100`; judged against a [`Tally`]. Pure.
//!
//! A threshold without samples fails: nothing was shown to hold.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::float;
use crate::load::histogram::Latencies;
use crate::load::step::Step;
use crate::load::tally::Tally;
use crate::load::units::{ms, percent};
use crate::stack::model;

/// One condition on a whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    /// Only this step; all of them without.
    step: Option<String>,
    comparison: Comparison,
    /// In the unit of the metric.
    limit: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Quantile(f64),
    Mean,
    Min,
    Max,
    ErrorRate,
    LimitedRate,
    Checks,
    Rate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// The unit of an observed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// A share from 0 to 1.
    Ratio,
    /// Requests per second.
    PerSecond,
}

/// A threshold with what was observed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The threshold as it was written.
    pub expression: String,
    /// What was observed, in `unit`; `None` when there were no samples.
    pub observed: Option<f64>,
    /// The unit of `observed`.
    pub unit: Unit,
    /// Whether it holds.
    pub passed: bool,
}

impl Threshold {
    /// The thresholds of a stack file.
    pub fn of_stack(thresholds: &model::Thresholds) -> Vec<Self> {
        let texts = [
            format!("p95<{}", thresholds.p95),
            format!("p99<{}", thresholds.p99),
            format!("error_rate<{}", thresholds.error_rate),
            format!("checks>{}", thresholds.checks),
        ];
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// `base`, with each of `more` in the place of what judges the same metric of the same step.
    pub fn layered(base: Vec<Self>, more: &[Self]) -> Vec<Self> {
        let mut all: Vec<Self> = base
            .into_iter()
            .filter(|old| !more.iter().any(|new| new.metric == old.metric && new.step == old.step))
            .collect();
        all.extend_from_slice(more);
        all
    }

    /// The name of the step it is about, when it is about one.
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Judges a run; a rate is over `period`.
    pub fn judge(&self, tally: &Tally, steps: &[Step], period: Duration) -> Verdict {
        let observed = self.observe(tally, steps, period);
        let passed = observed.is_some_and(|value| match self.comparison {
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
        });
        Verdict { expression: self.text.clone(), observed, unit: self.metric.unit(), passed }
    }

    /// The same as a threshold of k6: the name of its metric and the expression.
    pub fn k6(&self) -> (String, String) {
        let tagged = |metric: &str| match &self.step {
            Some(step) => format!("{metric}{{name:{step}}}"),
            None => metric.to_owned(),
        };
        let (metric, aggregate) = match self.metric {
            Metric::Quantile(quantile) => ("http_req_duration", format!("p({})", trimmed(quantile * 100.0))),
            Metric::Mean => ("http_req_duration", "avg".into()),
            Metric::Min => ("http_req_duration", "min".into()),
            Metric::Max => ("http_req_duration", "max".into()),
            Metric::ErrorRate => ("http_req_failed", "rate".into()),
            Metric::LimitedRate => ("http_req_limited", "rate".into()),
            Metric::Checks => ("checks", "rate".into()),
            Metric::Rate => ("http_reqs", "rate".into()),
        };
        (tagged(metric), format!("{aggregate}{}{}", self.comparison, trimmed(self.limit)))
    }

    fn observe(&self, tally: &Tally, steps: &[Step], period: Duration) -> Option<f64> {
        let route = match &self.step {
            Some(name) => Some(&tally.routes[steps.iter().position(|step| step.name == *name)?]),
            None => None,
        };
        let latencies: &Latencies = route.map_or(&tally.duration, |route| &route.duration);
        let (requests, failed, limited) = match route {
            Some(route) => (route.requests, route.failed, route.limited),
            None => (tally.requests, tally.failed, tally.limited),
        };
        let ms = |value: Option<Duration>| value.map(|value| value.as_secs_f64() * 1e3);
        match self.metric {
            Metric::Quantile(quantile) => ms(latencies.quantile(quantile)),
            Metric::Mean => ms(latencies.mean()),
            Metric::Min => ms(latencies.min()),
            Metric::Max => ms(latencies.max()),
            // Of those that the limiter let through: a refusal is neither a success nor an error.
            Metric::ErrorRate => ratio(failed, requests - limited),
            Metric::LimitedRate => ratio(limited, requests),
            Metric::Checks => {
                let (passed, failed) = match route {
                    Some(route) => {
                        route.checks.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
                    }
                    None => tally.checks(),
                };
                ratio(passed, passed + failed)
            }
            Metric::Rate => {
                (requests > 0).then(|| float::from_u64(requests) / period.as_secs_f64().max(1e-9))
            }
        }
    }
}

impl Unit {
    /// Limits with the unit that one requires. Without it, 1 may be meant as 1 % or as all, and 2 as milliseconds or as seconds.
    fn sample(self) -> Option<&'static str> {
        match self {
            Self::Ms => Some("`500ms` or `1s`"),
            Self::Ratio => Some("`1%`"),
            Self::PerSecond => None,
        }
    }
}

impl Metric {
    fn unit(self) -> Unit {
        match self {
            Self::Quantile(_) | Self::Mean | Self::Min | Self::Max => Unit::Ms,
            Self::ErrorRate | Self::LimitedRate | Self::Checks => Unit::Ratio,
            Self::Rate => Unit::PerSecond,
        }
    }

    /// The words of our own, and those of k6.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("http_req_duration:").unwrap_or(text).trim();
        Some(match text {
            "avg" | "mean" => Self::Mean,
            "min" => Self::Min,
            "max" => Self::Max,
            "med" => Self::Quantile(0.5),
            "error_rate" | "errors" | "http_req_failed" | "http_req_failed:rate" => Self::ErrorRate,
            "limited" | "http_req_limited" | "http_req_limited:rate" => Self::LimitedRate,
            "checks" | "checks:rate" => Self::Checks,
            "rate" | "http_reqs" | "http_reqs:rate" => Self::Rate,
            _ => {
                let number = text.strip_prefix('p')?;
                let number = number.strip_prefix('(').and_then(|n| n.strip_suffix(')')).unwrap_or(number);
                let percent: f64 = number.trim().parse().ok()?;
                (0.0..=100.0).contains(&percent).then_some(Self::Quantile(percent / 100.0))?
            }
        })
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{what}; expected a threshold such as `p95<500ms`, `error_rate<1%`, `checks>95%`, `rate>100` or `p99{{items}}<1s`"
            )
        };
        let at = text.find(['<', '>']).ok_or_else(|| wrong("missing `<` or `>`"))?;
        let (left, right) = text.split_at(at);
        let (comparison, right) = match (right.strip_prefix("<="), right.strip_prefix(">=")) {
            (Some(right), _) => (Comparison::AtMost, right),
            (_, Some(right)) => (Comparison::AtLeast, right),
            _ if right.starts_with('<') => (Comparison::Below, &right[1..]),
            _ => (Comparison::Above, &right[1..]),
        };
        let (name, step) = match left.split_once('{') {
            Some((name, rest)) => {
                let step = rest.trim().strip_suffix('}').ok_or_else(|| wrong("unclosed `{`"))?;
                (name, Some(step.trim().to_owned()))
            }
            None => (left, None),
        };
        let metric =
            Metric::parse(name.trim()).ok_or_else(|| wrong(&format!("unknown metric `{}`", name.trim())))?;
        let right = right.trim();
        if let Some(sample) = metric.unit().sample().filter(|_| right.parse::<f64>().is_ok()) {
            return Err(wrong(&format!("`{right}` requires a unit, such as {sample}")));
        }
        let limit = limit(metric.unit(), right).ok_or_else(|| wrong(&format!("invalid value `{right}`")))?;
        Ok(Self { metric, step, comparison, limit, text: text.trim().to_owned() })
    }
}

fn limit(unit: Unit, text: &str) -> Option<f64> {
    let value = match unit {
        Unit::Ms => {
            const UNITS: [(&str, f64); 5] = [("ms", 1.0), ("us", 1e-3), ("µs", 1e-3), ("s", 1e3), ("m", 6e4)];
            let (number, factor) = UNITS
                .iter()
                .find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)))?;
            number.trim().parse::<f64>().ok()? * factor
        }
        Unit::Ratio => {
            let percent: Option<f64> = text.strip_suffix('%')?.trim().parse().ok();
            percent.filter(|percent| (0.0..=100.0).contains(percent))? / 100.0
        }
        Unit::PerSecond => text.strip_suffix("/s").unwrap_or(text).trim().parse().ok()?,
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float::from_u64(part) / float::from_u64(whole))
}

fn trimmed(value: f64) -> String {
    // Ten digits are more than any limit has, and hide what binary fractions add.
    let text = format!("{value:.10}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Verdict {
    /// The observed value for people.
    pub fn observed(&self) -> String {
        match (self.observed, self.unit) {
            (None, _) => "no samples".into(),
            (Some(value), Unit::Ms) => ms(value),
            (Some(value), Unit::Ratio) => percent(value),
            (Some(value), Unit::PerSecond) => format!("{value:.1}/s"),
        }
    }
}

#[cfg(test)]
mod tests;
