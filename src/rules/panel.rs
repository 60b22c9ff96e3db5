//! One picture of a dashboard, and how queries are written.

use super::facts::Feature;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Things a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share between 0 and 1.
    Share,
    /// Cores of a processor.
    Cores,
}

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// The last value, large.
    Number,
    /// Lines over time.
    Lines,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// PromQL; `$instance` is a regular expression of the chosen replicas, `$__rate_interval` a time that holds four samples.
    pub expression: String,
    /// What the line is called, in the template language of Grafana.
    pub legend: String,
}

/// One picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// The row it belongs to.
    pub row: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it says, and what to watch for.
    pub description: String,
    /// The unit of its values.
    pub unit: Unit,
    /// How it is drawn.
    pub drawing: Drawing,
    /// A value from which on it is red.
    pub limit: Option<f64>,
    /// What the stack must have, or the panel is left out.
    pub needs: &'static [Feature],
    /// What it draws.
    pub queries: Vec<Query>,
}

pub(super) fn query(expression: String, legend: &str) -> Query {
    Query { expression, legend: legend.to_owned() }
}

/// A panel of lines without a limit.
pub(super) fn lines(
    row: &'static str,
    title: &'static str,
    unit: Unit,
    description: &str,
    queries: Vec<Query>,
) -> Panel {
    let description = description.to_owned();
    Panel { row, title, description, unit, drawing: Drawing::Lines, limit: None, needs: &[], queries }
}

/// A rate a second of one metric, by some labels.
pub(super) fn rate(metric: &str, matchers: &str, by: &str) -> String {
    format!("sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))")
}

/// A percentile of a histogram.
pub(super) fn percentile(share: &str, metric: &str, matchers: &str) -> String {
    format!("histogram_quantile({share}, {})", rate(&format!("{metric}_bucket"), matchers, "le"))
}
