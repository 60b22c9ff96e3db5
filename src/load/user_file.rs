//! A scenario from a YAML file: strict, every problem with its line and column, all of them at once. Pure.
//!
//! ```yaml
//! name: shop
//! think_time: 1s
//! stages:                       # `users`, or `rate` (requests per second) in every stage
//!   - {duration: 30s, users: 50}
//!   - {duration: 1m, users: 50}
//! steps:
//!   - {name: list, weight: 8, path: "/api/items?limit=20", checks: [{status: 200}]}
//!   - {name: create, method: POST, path: /api/items, body: {name: "item ${n}"}, expect: [201]}
//! thresholds: ["p95<300ms", "p99{create}<1s"]
//! ```

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use appforge_service::contract;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::load::scenario::{Check, Condition, MAX_STEPS, MAX_USERS, Model, Scenario, Step};
use crate::load::schedule::{Schedule, Stage};
use crate::load::thresholds::Threshold;
use crate::stack::layers::nearest;
use crate::stack::values::Span;
use crate::stack::yaml::{self, Content, Node};

/// Longest stage: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What the file leaves open.
pub struct Defaults<'a> {
    /// The name of the scenario.
    pub name: &'a str,
    /// How long a user waits between requests.
    pub think_time: Duration,
    /// Looks up `${env:NAME}` in headers and bodies.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads a file called `file` in messages. On failure, each problem as `file:line:column: sentence`.
pub fn parse(file: &str, text: &str, defaults: &Defaults<'_>) -> Result<Scenario, Vec<String>> {
    let root = yaml::parse(text)
        .map_err(|error| vec![format!("{file}:{}:{}: {}", error.line, error.column, error.message)])?;
    let mut reader = Reader { file, problems: Vec::new(), variable: defaults.variable };
    match reader.scenario(&root, defaults) {
        Some(scenario) if reader.problems.is_empty() => Ok(scenario),
        _ => Err(reader.problems),
    }
}

struct Reader<'a> {
    file: &'a str,
    problems: Vec<String>,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// The values of a mapping, in the order of the keys that were asked for.
type Fields<'n, const N: usize> = [Option<&'n Node>; N];

impl Reader<'_> {
    fn scenario(&mut self, root: &Node, defaults: &Defaults<'_>) -> Option<Scenario> {
        let keys = ["name", "think_time", "connections", "stages", "steps", "thresholds"];
        if yaml::is_foreign(root, &keys) {
            return self.wrong(root, &yaml::other_kind(&keys));
        }
        let [name, think_time, connections, stages, steps, thresholds] = self.fields(root, keys)?;
        let name = name.and_then(|node| self.text(node)).unwrap_or_else(|| defaults.name.to_owned());
        let pause = think_time.and_then(|node| self.value::<Span>(node)).map(|span| span.0);
        let most = connections.and_then(|node| self.whole(node, 1, u64::from(MAX_USERS)));
        let schedule = match stages {
            Some(node) => self.stages(node),
            None => self.wrong(root, "`stages` is missing: how many users or which rate, for how long"),
        };
        let list = match steps {
            Some(node) => self.steps(node),
            None => self.wrong(root, "`steps` is missing: what to request"),
        };
        let mut limits = Vec::new();
        for node in thresholds.and_then(|node| self.list(node)).unwrap_or_default() {
            limits.extend(self.value::<Threshold>(node));
        }
        let model = match schedule? {
            (true, rate) => {
                if let Some(node) = think_time {
                    self.wrong::<()>(
                        node,
                        "a rate has no think time: requests are due whatever answers take",
                    );
                }
                let usual = (rate.peak().ceil() as u64).clamp(10, 350);
                Model::Open { connections: most.unwrap_or(usual) as u32, rate }
            }
            (false, users) => {
                if let Some(node) = connections {
                    self.wrong::<()>(
                        node,
                        "each user has one connection; `connections` belongs to stages of a rate",
                    );
                }
                Model::Closed { users, think_time: pause.unwrap_or(defaults.think_time) }
            }
        };
        Some(Scenario { name, model, steps: list?, thresholds: limits })
    }

    /// The schedule, and whether it is of rates.
    fn stages(&mut self, node: &Node) -> Option<(bool, Schedule)> {
        let before = self.problems.len();
        let mut stages = Vec::new();
        let mut kind: Option<bool> = None;
        for item in self.list(node)? {
            let Some([duration, users, rate]) = self.fields(item, ["duration", "users", "rate"]) else {
                continue;
            };
            let Some(duration) = duration else {
                self.wrong::<()>(item, "`duration` is missing");
                continue;
            };
            let length = self.value::<Span>(duration).map(|span| span.0);
            if length.is_some_and(|length| length > LONGEST) {
                self.wrong::<()>(duration, "a stage takes 24h at most");
            }
            let target = match (users, rate) {
                (Some(users), None) => self.whole(users, 0, u64::from(MAX_USERS)).map(|users| users as f64),
                (None, Some(rate)) => self.number(rate, 0.0, 1e7),
                _ => self.wrong(item, "a stage has `users` or `rate`, one of them"),
            };
            let open = rate.is_some();
            if kind.is_some_and(|kind| kind != open) {
                self.wrong::<()>(item, "stages of users and of a rate cannot follow each other");
            }
            kind = kind.or(Some(open));
            stages.extend(length.zip(target).map(|(duration, target)| Stage { duration, target }));
        }
        if self.problems.len() > before {
            return None;
        }
        let schedule = Schedule::new(stages);
        if schedule.duration().is_zero() || schedule.peak() <= 0.0 {
            return self.wrong(node, "the stages send nothing: give one a duration and users or a rate");
        }
        Some((kind?, schedule))
    }

    fn steps(&mut self, node: &Node) -> Option<Vec<Step>> {
        let items = self.list(node)?;
        if items.is_empty() || items.len() > MAX_STEPS {
            return self.wrong(node, &format!("there are 1 to {MAX_STEPS} steps, not {}", items.len()));
        }
        let mut steps: Vec<Step> = Vec::new();
        for item in items {
            let Some(step) = self.step(item) else { continue };
            if steps.iter().any(|known| known.name == step.name) {
                self.wrong::<()>(
                    item,
                    &format!("there are two steps `{}`; give one another `name`", step.name),
                );
            }
            steps.push(step);
        }
        if !steps.is_empty() && steps.iter().all(|step| step.weight == 0) {
            return self.wrong(node, "every step has the weight 0");
        }
        Some(steps)
    }

    fn step(&mut self, item: &Node) -> Option<Step> {
        let keys = ["name", "weight", "method", "path", "headers", "body", "expect", "checks"];
        let [name, weight, method, path, headers, body, expect, checks] = self.fields(item, keys)?;
        let Some(path) = path else { return self.wrong(item, "`path` is missing") };
        let place = path;
        let path = self.text(path)?;
        let sample = path.replace("${n}", "0");
        if !sample.starts_with('/') || sample.parse::<http::uri::PathAndQuery>().is_err() {
            return self.wrong(place, &format!("`{path}` is no path such as `/api/items?limit=20`"));
        }
        let method = match method {
            Some(node) => {
                let text = self.text(node)?.to_uppercase();
                let known = [
                    Method::GET,
                    Method::HEAD,
                    Method::POST,
                    Method::PUT,
                    Method::PATCH,
                    Method::DELETE,
                    Method::OPTIONS,
                ];
                match known.into_iter().find(|method| method.as_str() == text) {
                    Some(method) => method,
                    None => return self.wrong(node, &format!("`{text}` is no method such as GET or POST")),
                }
            }
            None if body.is_some() => Method::POST,
            None => Method::GET,
        };
        let name = match name {
            Some(node) => self.text(node)?,
            None => format!("{method} {path}"),
        };
        let mut fields = self.headers(headers)?;
        let body = match body.map(|node| (node, &node.content)) {
            None => Bytes::new(),
            Some((node, Content::Scalar(Value::String(text)))) => Bytes::from(self.resolved(node, text)?),
            Some((node, _)) => {
                fields.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                let text = node.to_json().to_string();
                Bytes::from(self.resolved(node, &text)?)
            }
        };
        let weight = weight.map_or(Some(1), |node| self.whole(node, 0, 1_000_000))? as u32;
        let statuses = expect.map_or(Some(Vec::new()), |node| self.statuses(node))?;
        let mut list = Vec::new();
        for node in checks.and_then(|node| self.list(node)).unwrap_or_default() {
            list.extend(self.check(&name, node));
        }
        if checks.is_none() && !statuses.is_empty() {
            list.push(check(&name, Condition::Status(statuses.clone())));
        }
        Some(Step { name, weight, method, path, headers: fields, body, statuses, checks: list })
    }

    fn headers(&mut self, node: Option<&Node>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        let Some(node) = node else { return Some(headers) };
        let Content::Mapping(entries) = &node.content else {
            return self.wrong(node, "headers are `name: value`");
        };
        for (name, key, value) in entries {
            let text = self.text(value)?;
            let text = self.resolved(value, &text)?;
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&text)) {
                (Ok(name), _) if reserved(&name) => {
                    self.wrong::<()>(key, &format!("`{name}` is set by the connection itself"));
                }
                (Ok(name), Ok(mut value)) => {
                    // It may come from a variable that holds a token.
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
                (Err(_), _) => {
                    self.wrong::<()>(key, &format!("`{name}` is no name of a header"));
                }
                (_, Err(_)) => {
                    self.wrong::<()>(value, &format!("the value of `{name}` holds a line break"));
                }
            }
        }
        Some(headers)
    }

    fn check(&mut self, step: &str, node: &Node) -> Option<Check> {
        let [status, body, header, within] =
            self.fields(node, ["status", "body_contains", "header", "within"])?;
        let condition = match (status, body, header, within) {
            (Some(node), None, None, None) => Condition::Status(self.statuses(node)?),
            (None, Some(node), None, None) => Condition::BodyContains(self.text(node)?),
            (None, None, None, Some(node)) => Condition::Within(self.value::<Span>(node)?.0),
            (None, None, Some(node), None) => {
                let Content::Mapping(entries) = &node.content else {
                    return self.wrong(node, "a header check is such as `header: {content-type: json}`");
                };
                let [(name, key, value)] = entries.as_slice() else {
                    return self.wrong(node, "a header check is about one header");
                };
                let Ok(name) = name.parse::<HeaderName>() else {
                    return self.wrong(key, &format!("`{name}` is no name of a header"));
                };
                Condition::Header(name, self.text(value)?)
            }
            _ => {
                return self
                    .wrong(node, "a check is one of `status`, `body_contains`, `header` and `within`");
            }
        };
        Some(check(step, condition))
    }

    fn statuses(&mut self, node: &Node) -> Option<Vec<u16>> {
        let nodes = match &node.content {
            Content::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        nodes.into_iter().map(|node| self.whole(node, 100, 599).map(|status| status as u16)).collect()
    }

    /// Replaces `${env:NAME}`. The value of a variable is never part of a message.
    fn resolved(&mut self, node: &Node, text: &str) -> Option<String> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${env:") {
            let Some((name, after)) = after.split_once('}') else {
                return self.wrong(node, "a `${env:` is not closed");
            };
            let Some(value) = (self.variable)(name) else {
                return self.wrong(node, &format!("the variable `{name}` is not set"));
            };
            whole.push_str(before);
            whole.push_str(&value);
            rest = after;
        }
        Some(whole + rest)
    }

    fn fields<'n, const N: usize>(&mut self, node: &'n Node, keys: [&str; N]) -> Option<Fields<'n, N>> {
        let Content::Mapping(entries) = &node.content else {
            return self.wrong(node, &format!("expected a mapping with `{}`", keys.join("`, `")));
        };
        let mut fields = [None; N];
        for (name, key, value) in entries {
            match keys.iter().position(|known| known == name) {
                Some(index) => fields[index] = Some(value),
                None => {
                    let hint = match nearest(name, keys.into_iter()) {
                        Some(near) => format!("; did you mean `{near}`?"),
                        None => format!("; known are `{}`", keys.join("`, `")),
                    };
                    self.wrong::<()>(key, &format!("unknown key {}{hint}", yaml::shown(name)));
                }
            }
        }
        Some(fields)
    }

    fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(nodes) => Some(nodes),
            _ => self.wrong(node, "expected a list"),
        }
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match (&node.written, &node.content) {
            (Some(text), _) => Some(text.clone()),
            (_, Content::Scalar(Value::String(text))) if !text.is_empty() => Some(text.clone()),
            _ => self.wrong(node, "expected a text"),
        }
    }

    fn value<T: FromStr<Err: Display>>(&mut self, node: &Node) -> Option<T> {
        let text = self.text(node)?;
        text.parse().map_err(|error| self.wrong::<()>(node, &format!("{error}"))).ok()
    }

    fn whole(&mut self, node: &Node, low: u64, high: u64) -> Option<u64> {
        match &node.content {
            Content::Scalar(value) if value.as_u64().is_some_and(|n| (low..=high).contains(&n)) => {
                value.as_u64()
            }
            _ => self.wrong(node, &format!("expected a whole number from {low} to {high}")),
        }
    }

    fn number(&mut self, node: &Node, low: f64, high: f64) -> Option<f64> {
        match &node.content {
            Content::Scalar(value) if value.as_f64().is_some_and(|n| (low..=high).contains(&n)) => {
                value.as_f64()
            }
            _ => self.wrong(node, &format!("expected a number from {low} to {high}")),
        }
    }

    /// Notes a problem; `None` is what a value that could not be read is.
    fn wrong<T>(&mut self, node: &Node, message: &str) -> Option<T> {
        self.problems.push(format!("{}:{}:{}: {message}", self.file, node.line, node.column));
        None
    }
}

fn check(step: &str, condition: Condition) -> Check {
    let what = match &condition {
        Condition::Status(statuses) => {
            let list: Vec<String> = statuses.iter().map(u16::to_string).collect();
            format!("status is {}", list.join(" or "))
        }
        Condition::BodyContains(text) => format!("body contains `{text}`"),
        Condition::Header(name, text) => format!("header {name} contains `{text}`"),
        Condition::Within(limit) => format!("within {}", Span(*limit)),
    };
    Check { name: format!("{step}: {what}"), condition }
}

/// Headers whose value follows from the connection or the body; another one would break the framing or the identity.
fn reserved(name: &HeaderName) -> bool {
    ["connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", contract::PROBE_HEADER]
        .contains(&name.as_str())
}

#[cfg(test)]
mod tests;
