//! Reads typed values from variables. All problems come at once, each with the variable and what is allowed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use super::{MOST_LATENCY_BOUNDS, Number};

/// Edits up to which an unknown variable counts as a misspelling.
const NEAR: usize = 2;
/// Shorter names are near to too many others.
const SHORTEST_NEAR: usize = 8;

/// A variable that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the variable.
    pub variable: String,
    /// What is wrong, and what is allowed. Never the value, which may be a secret.
    pub message: String,
}

impl Problem {
    /// A problem of this variable.
    pub fn new(variable: &str, message: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// Where a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Given {
    /// The secret itself.
    Text(String),
    /// The path of the file that holds it.
    File(String),
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

pub(super) struct Reader {
    variables: BTreeMap<String, String>,
    /// The names that are settings.
    asked: RefCell<BTreeSet<&'static str>>,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), asked: RefCell::default(), problems: Vec::new() }
    }

    /// An empty variable counts as unset.
    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.asked.borrow_mut().insert(name);
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    pub(super) fn given(&mut self, text: &'static str, file: &'static str) -> Option<Given> {
        match (self.text(text), self.text(file)) {
            (Some(_), Some(_)) => {
                self.problems.push(Problem::new(text, format!("conflicts with {file}; set one of them")));
                None
            }
            (Some(secret), None) => Some(Given::Text(secret)),
            (None, path) => path.map(Given::File),
        }
    }

    /// A value whose own error says what is allowed.
    pub(super) fn choice<T: FromStr<Err = String>>(&mut self, name: &'static str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|message: String| self.problems.push(Problem::new(name, message))).ok()
    }

    pub(super) fn value<T: FromStr>(&mut self, name: &'static str, expected: &str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|_| self.problems.push(Problem::new(name, expected))).ok()
    }

    pub(super) fn address(&mut self, name: &'static str) -> Option<IpAddr> {
        self.value(name, &format!("expected an IP address of this host, such as {}", Ipv4Addr::UNSPECIFIED))
    }

    pub(super) fn port(&mut self, name: &'static str, default: u16) -> Option<u16> {
        self.value(name, &format!("expected a port, such as {default}"))
    }

    pub(super) fn number(&mut self, number: Number) -> Option<u32> {
        let Number { variable, default, least, most } = number;
        let value = self.value(variable, &format!("expected a whole number, such as {default}"))?;
        if !(least..=most).contains(&value) {
            let message = format!("must be between {least} and {most}, got {value}");
            self.problems.push(Problem::new(variable, message));
        }
        Some(value)
    }

    pub(super) fn millis(&mut self, number: Number) -> Option<Duration> {
        self.number(number).map(|millis| Duration::from_millis(millis.into()))
    }

    /// Entries between commas, without the empty ones.
    pub(super) fn list(&self, name: &'static str) -> Option<Vec<String>> {
        let text = self.text(name)?;
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Some(entries.map(str::to_owned).collect())
    }

    /// A few whole milliseconds between commas.
    pub(super) fn bounds(&mut self, name: &'static str) -> Option<Vec<u32>> {
        let parsed: Option<Vec<u32>> = self.list(name)?.iter().map(|entry| entry.parse().ok()).collect();
        let valid = parsed.filter(|bounds| bounds.len() <= MOST_LATENCY_BOUNDS && !bounds.contains(&0));
        if valid.is_none() {
            let message = format!(
                "expected at most {MOST_LATENCY_BOUNDS} durations in milliseconds, such as `300,900`"
            );
            self.problems.push(Problem::new(name, message));
        }
        valid
    }

    /// Names that may be misspelt. They are not a problem: the environment also holds other programs' variables, and those
    /// that Kubernetes sets for services.
    pub(super) fn warnings(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let unknown = self.variables.keys().filter(|name| !asked.contains(name.as_str()));
        let near = |name: &str, setting: &str| {
            setting.len() >= SHORTEST_NEAR
                && !self.variables.contains_key(setting)
                && strsim::damerau_levenshtein(name, setting) <= NEAR
        };
        unknown
            .filter_map(|name| {
                let setting = asked.iter().find(|setting| near(name, setting))?;
                Some(format!("unknown setting {name}; did you mean {setting}?"))
            })
            .collect()
    }
}
