//! A scenario from a YAML file. Pure.
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

use std::ops::RangeInclusive;
use std::time::Duration;

use appforge_service::contract;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::document::{Content, Field, Mapping, Node, Problem, Reader};
use crate::float;
use crate::load::scenario::{MAX_USERS, Model, Scenario};
use crate::load::schedule::{Schedule, Stage};
use crate::load::step::{Check, Condition, MAX_STEPS, Step};
use crate::load::thresholds::Threshold;
use crate::stack::values::Span;

/// Longest stage: a day.
const LONGEST: Duration = Duration::from_secs(86_400);
const USERS: RangeInclusive<u64> = 0..=MAX_USERS as u64;
const ROOT: [&str; 6] = ["name", "think_time", "connections", "stages", "steps", "thresholds"];
const STEP: [&str; 8] = ["name", "weight", "method", "path", "headers", "body", "expect", "checks"];
const CHECK: [&str; 4] = ["status", "body_contains", "header", "within"];
const METHODS: [(&str, &Method); 7] = [
    ("GET", &Method::GET),
    ("HEAD", &Method::HEAD),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("DELETE", &Method::DELETE),
    ("OPTIONS", &Method::OPTIONS),
];

/// What the file leaves open.
pub(crate) struct Defaults<'a> {
    /// The name of the scenario.
    pub(crate) name: &'a str,
    /// How long a user waits between requests.
    pub(crate) think_time: Duration,
    /// Looks up `${env:NAME}` in headers and bodies.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads a file called `file` in messages.
///
/// # Errors
/// All problems at once.
pub(crate) fn parse(file: &str, text: &str, defaults: &Defaults<'_>) -> Result<Scenario, Vec<Problem>> {
    let mut scenario = ScenarioReader { reader: Reader::new(file), variable: defaults.variable };
    let root = scenario.reader.root(text, &ROOT);
    let read = root.and_then(|root| scenario.scenario(&Field::root(&root), defaults));
    scenario.reader.finish(read)
}

struct ScenarioReader<'a> {
    reader: Reader,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

/// What the stages ramp.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Users,
    Rate,
}

impl ScenarioReader<'_> {
    fn scenario(&mut self, root: &Field<'_>, defaults: &Defaults<'_>) -> Option<Scenario> {
        let keys = self.reader.mapping(root, &ROOT)?;
        let name = self.reader.optional(&keys, "name", Field::text);
        let pause = self.reader.optional(&keys, "think_time", Field::parse::<Span>);
        let most = self.reader.optional(&keys, "connections", |field| field.whole(1..=*USERS.end()));
        let stages = self.reader.present(&keys, "stages");
        let schedule = stages.and_then(|field| self.stages(&field));
        let steps = self.reader.present(&keys, "steps");
        let steps = steps.and_then(|field| self.steps(&field));
        let mut thresholds = Vec::new();
        for field in self.reader.items(&keys, "thresholds") {
            thresholds.extend(self.reader.take(&field, field.parse::<Threshold>()));
        }
        let model = match schedule? {
            (Kind::Rate, rate) => {
                self.excluded(&keys, "think_time", "`users` stages");
                let usual = float::to_u64(rate.peak().ceil()).clamp(10, 350);
                Model::Open { connections: u32::try_from(most.unwrap_or(usual)).unwrap_or(u32::MAX), rate }
            }
            (Kind::Users, users) => {
                self.excluded(&keys, "connections", "`rate` stages; each user has one connection");
                Model::Closed { users, think_time: pause.map_or(defaults.think_time, |span| span.0) }
            }
        };
        let name = name.unwrap_or_else(|| defaults.name.to_owned());
        Some(Scenario { name, model, steps: steps?, thresholds })
    }

    fn excluded(&mut self, keys: &Mapping<'_>, key: &str, only: &str) {
        if let Some(field) = keys.get(key) {
            self.reader.refuse::<()>(&field, format!("applies only to {only}"));
        }
    }

    fn stages(&mut self, field: &Field<'_>) -> Option<(Kind, Schedule)> {
        let mut stages = Vec::new();
        let mut kind = None;
        let mut whole = true;
        for item in self.reader.list(field)? {
            match self.stage(&item, &mut kind) {
                Some(stage) => stages.push(stage),
                None => whole = false,
            }
        }
        let schedule = Schedule::new(stages);
        if whole && (schedule.duration().is_zero() || schedule.peak() <= 0.0) {
            let message = "no stage sends requests; set a duration and `users` or `rate`";
            return self.reader.refuse(field, message);
        }
        Some((kind?, schedule)).filter(|_| whole)
    }

    fn stage(&mut self, item: &Field<'_>, kind: &mut Option<Kind>) -> Option<Stage> {
        let keys = self.reader.mapping(item, &["duration", "users", "rate"])?;
        let length = self.reader.required(&keys, "duration", |field| {
            let length = field.parse::<Span>()?.0;
            if length > LONGEST {
                Err(format!("must be at most 24h, got {}", Span(length)))
            } else {
                Ok(length)
            }
        });
        let (own, target) = match (keys.get("users"), keys.get("rate")) {
            (Some(users), None) => {
                let count = self.reader.take(&users, users.whole(USERS));
                (Kind::Users, count.map(float::from_u64))
            }
            (None, Some(rate)) => (Kind::Rate, self.reader.take(&rate, rate.number(0.0..=1e7))),
            _ => return self.reader.refuse(item, "requires exactly one of `users` and `rate`"),
        };
        if *kind.get_or_insert(own) != own {
            return self.reader.refuse(item, "`users` and `rate` stages cannot be combined");
        }
        Some(Stage { duration: length?, target: target? })
    }

    fn steps(&mut self, field: &Field<'_>) -> Option<Vec<Step>> {
        let items = self.reader.list(field)?;
        if !(1..=MAX_STEPS).contains(&items.len()) {
            let message = format!("must have between 1 and {MAX_STEPS} steps, got {}", items.len());
            return self.reader.refuse(field, message);
        }
        let mut steps: Vec<Step> = Vec::new();
        for item in items {
            let Some(step) = self.step(&item) else { continue };
            if steps.iter().any(|known| known.name == step.name) {
                let message = format!("duplicate step `{}`; give one of them another `name`", step.name);
                self.reader.refuse::<()>(&item, message);
            }
            steps.push(step);
        }
        if !steps.is_empty() && steps.iter().all(|step| step.weight == 0) {
            return self.reader.refuse(field, "at least one step requires a `weight` above 0");
        }
        Some(steps)
    }

    fn step(&mut self, item: &Field<'_>) -> Option<Step> {
        let keys = self.reader.mapping(item, &STEP)?;
        let path = self.reader.required(&keys, "path", |field| {
            let path = field.text()?;
            let sample = path.replace("${n}", "0");
            let fits = sample.starts_with('/') && sample.parse::<http::uri::PathAndQuery>().is_ok();
            if fits { Ok(path) } else { Err(field.node.expected("a path such as `/api/items?limit=20`")) }
        });
        let method = self.reader.optional(&keys, "method", |field| {
            let upper = Node::of(field.text()?.to_uppercase().into());
            Field { node: &upper, path: String::new() }.word(&METHODS)
        });
        let method = method.unwrap_or(if keys.has("body") { &Method::POST } else { &Method::GET }).clone();
        let name = self.reader.optional(&keys, "name", Field::text);
        let mut headers = self.headers(keys.get("headers"));
        let body = self.body(keys.get("body"), headers.as_mut());
        let weight = match keys.get("weight") {
            Some(field) => self.reader.take(&field, field.whole(0..=1_000_000)),
            None => Some(1),
        };
        let statuses = match keys.get("expect") {
            Some(field) => self.statuses(&field),
            None => Some(Vec::new()),
        };
        let path = path?;
        let name = name.unwrap_or_else(|| format!("{method} {path}"));
        let mut checks = Vec::new();
        for field in self.reader.items(&keys, "checks") {
            checks.extend(self.check(&name, &field));
        }
        let (weight, statuses) = (u32::try_from(weight?).unwrap_or(u32::MAX), statuses?);
        if !keys.has("checks") && !statuses.is_empty() {
            checks.push(check(&name, Condition::Status(statuses.clone())));
        }
        Some(Step { name, weight, method, path, headers: headers?, body: body?, statuses, checks })
    }

    /// A string as it is, anything else as JSON, of which the headers then say so.
    fn body(&mut self, field: Option<Field<'_>>, headers: Option<&mut HeaderMap>) -> Option<Bytes> {
        let Some(field) = field else { return Some(Bytes::new()) };
        let text = match &field.node.content {
            Content::Scalar(Value::String(text)) => text.clone(),
            _ => {
                let json = HeaderValue::from_static("application/json");
                headers.map(|headers| headers.entry(CONTENT_TYPE).or_insert(json));
                field.node.to_json().to_string()
            }
        };
        let read = self.resolved(&text);
        self.reader.take(&field, read).map(Bytes::from)
    }

    fn headers(&mut self, field: Option<Field<'_>>) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
        let Some(field) = field else { return Some(headers) };
        for (name, field) in self.named(&field)? {
            let Some(name) = self.header_name(name, &field) else { continue };
            let text = field.text().and_then(|text| self.resolved(&text));
            let value = text.and_then(|text| {
                HeaderValue::from_str(&text).map_err(|_| "must not contain a line break".to_owned())
            });
            let Some(mut value) = self.reader.take(&field, value) else { continue };
            // It may come from a variable that holds a token.
            value.set_sensitive(true);
            if reserved(&name) {
                self.reader.refuse::<()>(&field, "is set automatically; remove it");
            }
            headers.insert(name, value);
        }
        Some(headers)
    }

    /// The entries of a mapping with any keys.
    fn named<'n>(&mut self, field: &Field<'n>) -> Option<Vec<(&'n str, Field<'n>)>> {
        let Content::Mapping(entries) = &field.node.content else {
            return self
                .reader
                .refuse(field, field.node.expected_kind("a mapping such as `content-type: json`"));
        };
        let keys = Mapping { field: field.clone(), entries };
        let field = |key: &str, node| Field { node, path: keys.at(key) };
        Some(entries.iter().map(|entry| (entry.key.as_str(), field(&entry.key, &entry.value))).collect())
    }

    fn header_name(&mut self, name: &str, field: &Field<'_>) -> Option<HeaderName> {
        let parsed = name.parse().map_err(|_| "invalid header name".to_owned());
        self.reader.take(field, parsed)
    }

    fn check(&mut self, step: &str, field: &Field<'_>) -> Option<Check> {
        let keys = self.reader.mapping(field, &CHECK)?;
        if CHECK.iter().filter(|key| keys.get(key).is_some()).count() != 1 {
            return self.reader.refuse(field, format!("requires exactly one of `{}`", CHECK.join("`, `")));
        }
        let condition = if let Some(field) = keys.get("status") {
            Condition::Status(self.statuses(&field)?)
        } else if let Some(field) = keys.get("header") {
            let headers = self.named(&field)?;
            let [(name, value)] = headers.as_slice() else {
                return self.reader.refuse(&field, format!("must name one header, got {}", headers.len()));
            };
            let name = self.header_name(name, value);
            Condition::Header(name?, self.reader.take(value, value.text())?)
        } else if keys.has("within") {
            Condition::Within(self.reader.required(&keys, "within", Field::parse::<Span>)?.0)
        } else {
            Condition::BodyContains(self.reader.optional(&keys, "body_contains", Field::text)?)
        };
        Some(check(step, condition))
    }

    fn statuses(&mut self, field: &Field<'_>) -> Option<Vec<u16>> {
        let fields = match &field.node.content {
            Content::List(_) => self.reader.list(field)?,
            _ => vec![field.clone()],
        };
        let status = |field: Field<'_>| {
            let status = self.reader.take(&field, field.whole(100..=599))?;
            u16::try_from(status).ok()
        };
        fields.into_iter().map(status).collect()
    }

    /// Replaces `${env:NAME}`. The value of a variable is never part of a message.
    fn resolved(&self, text: &str) -> Result<String, String> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${env:") {
            let (name, after) = after.split_once('}').ok_or("`${env:` requires a closing `}`")?;
            let value = (self.variable)(name).ok_or_else(|| format!("the variable `{name}` is not set"))?;
            whole.push_str(before);
            whole.push_str(&value);
            rest = after;
        }
        Ok(whole + rest)
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
