//! A run beside an earlier one, as data and for people.

use serde::{Deserialize, Serialize};

use crate::load::units::{ms, percent};

/// A run against an earlier one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// When the earlier run began, and its commit when known.
    pub with: String,
    /// Each compared metric.
    pub rows: Vec<Row>,
    /// What makes the two hard to compare, such as another machine.
    pub differences: Vec<String>,
}

/// One metric of both runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The metric.
    pub metric: String,
    /// `ms`, `per_second` or `ratio`.
    pub unit: String,
    /// The earlier value.
    pub before: Option<f64>,
    /// The value now.
    pub now: Option<f64>,
    /// The relative change; for a share the difference.
    pub change: Option<f64>,
    /// Changes within it are noise; in the unit of `change`. `None` when the runs are too short to know.
    pub band: Option<f64>,
    /// `same`, `better`, `worse`, or `not enough data`.
    pub verdict: String,
}

impl Row {
    /// The earlier value for people.
    pub fn before_shown(&self) -> String {
        self.shown(self.before)
    }

    /// The value now for people.
    pub fn now_shown(&self) -> String {
        self.shown(self.now)
    }

    /// The change for people.
    pub fn change_shown(&self) -> String {
        // The difference of two shares is not a share of either.
        let shown = |change: f64| match self.unit.as_str() {
            "ratio" => format!("{:+.2} points", change * 100.0),
            _ => format!("{:+.1} %", change * 100.0),
        };
        self.change.map_or("-".to_owned(), shown)
    }

    /// What is noise, for people.
    pub fn band_shown(&self) -> String {
        match (self.band, self.unit.as_str()) {
            (None, _) => "-".to_owned(),
            (Some(band), "ratio") => format!("± {:.2} points", band * 100.0),
            (Some(band), _) => format!("± {:.1} %", band * 100.0),
        }
    }

    fn shown(&self, value: Option<f64>) -> String {
        match (value, self.unit.as_str()) {
            (None, _) => "-".to_owned(),
            (Some(value), "ms") => ms(value),
            (Some(value), "ratio") => percent(value),
            (Some(value), _) => format!("{value:.1}/s"),
        }
    }
}
