//! Layers -> one [`Stack`]: flags over `APPFORGE_*` over `appforge.ENV.yaml` over `appforge.yaml` over defaults. Pure.
//!
//! Each value that a layer sets is a leaf with its origin. A leaf is judged alone, by putting it into the default tree and
//! reading that back as a [`Stack`]; so every wrong leaf is reported at once, with its place.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::stack::model::Stack;
use crate::stack::validate::{validate, validate_running, variable_of};
pub use crate::stack::yaml::nearest;
use crate::stack::yaml::{self, Content, Node, shown, shown_value};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file, with line and column.
    File { name: String, line: usize, column: usize },
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(String),
    /// An earlier `scale`.
    Scaled,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Env(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Scaled => f.write_str("appforge scale"),
        }
    }
}

/// One source of values; later ones win.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A YAML file: its name for messages, and its text.
    File { name: String, text: String },
    /// Environment variables, those that start with `APPFORGE_`.
    Env(Vec<(String, String)>),
    /// One flag: its name, the path it sets, its value.
    Flag { flag: String, path: String, value: Value },
}

/// Something wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands.
    pub origin: Origin,
    /// The path of the value, such as `service.port`; empty for a whole file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A stack and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The stack.
    pub stack: Stack,
    origins: BTreeMap<String, Origin>,
}

impl Resolved {
    /// Where the value at `path` came from.
    pub fn origin(&self, path: &str) -> Origin {
        origin_of(&self.origins, path)
    }

    /// Every value as `(path, JSON, origin)`, secrets redacted, in the order of the file format.
    pub fn values(&self) -> Vec<(String, Value, Origin)> {
        let mut values = Vec::new();
        flatten(&tree(&self.stack), String::new(), &mut |path, value| {
            values.push((path.clone(), value.clone(), self.origin(&path)));
        });
        values
    }
}

/// Variables of a replica are strings, and a number in YAML need not be the one that was written.
const QUOTE: &str = "expected a string; quote the value";

struct Leaf {
    path: String,
    value: Node,
    origin: Origin,
}

/// Puts the layers over the defaults. All problems come back at once.
pub fn resolve(layers: &[Layer]) -> Result<Resolved, Vec<Problem>> {
    merge(layers, validate)
}

/// The same for a command that shows or stops what runs; see [`validate_running`].
pub fn resolve_running(layers: &[Layer]) -> Result<Resolved, Vec<Problem>> {
    merge(layers, validate_running)
}

fn merge(
    layers: &[Layer],
    validate: impl Fn(&Stack) -> Vec<(String, String)>,
) -> Result<Resolved, Vec<Problem>> {
    let defaults = tree(&Stack::default());
    let mut problems = Vec::new();
    let mut leaves = Vec::new();
    for layer in layers {
        match layer {
            Layer::File { name, text } => match yaml::parse(text) {
                Ok(root) => {
                    let mut reader = FileReader { name, leaves: &mut leaves, problems: &mut problems };
                    reader.walk(&root, &defaults, String::new());
                }
                Err(error) => problems.push(Problem {
                    origin: Origin::File { name: name.clone(), line: error.line, column: error.column },
                    path: String::new(),
                    message: error.message,
                }),
            },
            Layer::Env(variables) => env_leaves(variables, &defaults, &mut leaves, &mut problems),
            Layer::Flag { flag, path, value } => leaves.push(Leaf {
                path: path.clone(),
                value: Node::of(value.clone()),
                origin: Origin::Flag(flag.clone()),
            }),
        }
    }
    let mut merged = defaults.clone();
    let mut origins = BTreeMap::new();
    for leaf in leaves {
        match judged(&defaults, &leaf) {
            Ok(value) => {
                set(&mut merged, &leaf.path, value);
                origins.insert(leaf.path, leaf.origin);
            }
            Err(error) => {
                let message = expected(at(&defaults, &leaf.path), &leaf.value, &error);
                problems.push(Problem { origin: leaf.origin, path: leaf.path, message });
            }
        }
    }
    match serde_json::from_value::<Stack>(merged) {
        Ok(stack) => {
            problems.extend(validate(&stack).into_iter().map(|(path, message)| Problem {
                origin: origin_of(&origins, &path),
                path,
                message,
            }));
            if problems.is_empty() { Ok(Resolved { stack, origins }) } else { Err(problems) }
        }
        Err(error) => {
            problems.push(Problem {
                origin: Origin::Default,
                path: String::new(),
                message: error.to_string(),
            });
            Err(problems)
        }
    }
}

/// The value of a leaf as its field takes it: as it was written where a string belongs, whatever YAML takes it for.
fn judged(defaults: &Value, leaf: &Leaf) -> Result<Value, serde_json::Error> {
    let alone = |value: &Value| {
        let mut alone = defaults.clone();
        set(&mut alone, &leaf.path, value.clone());
        serde_json::from_value::<Stack>(alone)
    };
    let value = leaf.value.to_json();
    let Some(written) = leaf.value.literal() else { return alone(&value).map(|_| value) };
    match (alone(&written), alone(&value)) {
        (Ok(_), _) => Ok(written),
        // A field that keeps strings refused what was written; what YAML makes of it would be another string.
        (Err(error), Ok(stack)) if at(&tree(&stack), &leaf.path).is_some_and(Value::is_string) => Err(error),
        (Err(_), outcome) => outcome.map(|_| value),
    }
}

/// What is wrong with a value, in the words of the file where the deserializer would use those of Rust.
fn expected(default: Option<&Value>, given: &Node, error: &serde_json::Error) -> String {
    let value = given.to_json();
    let shown = given.written.clone().unwrap_or_else(|| shown_value(&value));
    match default {
        Some(Value::Number(number)) if number.is_u64() => match value.as_u64() {
            Some(large) => format!("{large} is too large"),
            None => format!("a whole number is expected, not {shown}"),
        },
        Some(Value::Bool(_)) if !value.is_boolean() => {
            format!("`true` or `false` is expected, not {shown}")
        }
        Some(Value::Array(_)) if !value.is_array() => format!("a list is expected, not {shown}"),
        _ if yaml::is_long(&value) => "a longer text cannot be the value".to_owned(),
        _ => error.to_string(),
    }
}

/// The value at a path of the tree, if there is one.
fn at<'t>(tree: &'t Value, path: &str) -> Option<&'t Value> {
    path.split('.').try_fold(tree, |node, key| node.get(key))
}

struct FileReader<'a> {
    name: &'a str,
    leaves: &'a mut Vec<Leaf>,
    problems: &'a mut Vec<Problem>,
}

impl FileReader<'_> {
    fn walk(&mut self, node: &Node, known: &Value, path: String) {
        match (&node.content, known) {
            (Content::Mapping(entries), Value::Object(keys)) => {
                let names: Vec<&str> = keys.keys().map(String::as_str).collect();
                if path.is_empty() && yaml::is_foreign(node, &names) {
                    return self.problem(node, path, yaml::other_kind(&names));
                }
                for (key, place, value) in entries {
                    let inner = join(&path, key);
                    match keys.get(key) {
                        // Its keys are names of documents, so it is one value.
                        Some(_) if inner == "patches" => self.leaf(value, inner),
                        Some(known) => self.walk(value, known, inner),
                        None if path == "service.env" => self.environment(value, inner),
                        None => self.unknown(place, keys.keys(), &path, key),
                    }
                }
            }
            (_, Value::Object(_)) if path.is_empty() => {
                self.problem(node, path, "a mapping was expected".into())
            }
            _ => self.leaf(node, path),
        }
    }

    fn leaf(&mut self, node: &Node, path: String) {
        self.leaves.push(Leaf { path, value: node.clone(), origin: self.origin(node) });
    }

    fn environment(&mut self, node: &Node, path: String) {
        match &node.content {
            Content::Scalar(Value::String(_)) => self.leaf(node, path),
            _ => self.problem(node, path, QUOTE.into()),
        }
    }

    fn unknown<'k>(&mut self, place: &Node, keys: impl Iterator<Item = &'k String>, path: &str, key: &str) {
        let keys: Vec<&String> = keys.collect();
        let message = match nearest(key, keys.iter().map(|key| key.as_str())) {
            Some(near) => format!("unknown key; did you mean `{near}`?"),
            None if keys.is_empty() => "unknown key".to_owned(),
            None => {
                let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                format!("unknown key; known here: {}", names.join(", "))
            }
        };
        match yaml::is_word(key) {
            true => self.problem(place, join(path, key), message),
            false => self.problem(place, path.to_owned(), format!("{}: {message}", shown(key))),
        }
    }

    fn problem(&mut self, node: &Node, path: String, message: String) {
        self.problems.push(Problem { origin: self.origin(node), path, message });
    }

    fn origin(&self, node: &Node) -> Origin {
        Origin::File { name: self.name.to_owned(), line: node.line, column: node.column }
    }
}

/// `APPFORGE_SERVICE_PORT` sets `service.port`. Other `APPFORGE_*` variables belong to the command line and are passed over.
fn env_leaves(
    vars: &[(String, String)],
    defaults: &Value,
    leaves: &mut Vec<Leaf>,
    problems: &mut Vec<Problem>,
) {
    let mut paths = BTreeMap::new();
    flatten(defaults, String::new(), &mut |path, _| {
        paths.insert(variable_of(&path), path);
    });
    for (name, text) in vars {
        let origin = Origin::Env(name.clone());
        let Some(path) = paths.get(name) else {
            if let Some(key) = name.strip_prefix("APPFORGE_SERVICE_ENV_") {
                let path = join("service.env", key);
                let message = format!("one variable sets them all: APPFORGE_SERVICE_ENV='{{{key}: \"…\"}}'");
                problems.push(Problem { origin, path, message });
            }
            continue;
        };
        match yaml::parse_value(text) {
            Ok(Node { content: Content::Mapping(entries), .. }) if path == "service.env" => {
                for (key, _, value) in entries {
                    let (path, origin) = (join(path, &key), origin.clone());
                    match value.content {
                        Content::Scalar(Value::String(_)) => leaves.push(Leaf { path, value, origin }),
                        _ => problems.push(Problem { origin, path, message: QUOTE.into() }),
                    }
                }
            }
            Ok(value) => leaves.push(Leaf { path: path.clone(), value, origin }),
            Err(error) => problems.push(Problem { origin, path: path.clone(), message: error.message }),
        }
    }
}

fn tree(stack: &Stack) -> Value {
    serde_json::to_value(stack).unwrap_or_default()
}

fn flatten(value: &Value, path: String, visit: &mut impl FnMut(String, &Value)) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                flatten(value, join(&path, key), visit);
            }
        }
        _ => visit(path, value),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn set(tree: &mut Value, path: &str, value: Value) {
    let mut at = tree;
    for key in path.split('.') {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = &mut at[key];
    }
    *at = value;
}

fn origin_of(origins: &BTreeMap<String, Origin>, path: &str) -> Origin {
    let mut path = path;
    loop {
        if let Some(origin) = origins.get(path) {
            return origin.clone();
        }
        match path.rsplit_once('.') {
            Some((parent, _)) => path = parent,
            None => return Origin::Default,
        }
    }
}

#[cfg(test)]
mod tests;
