//! Layers -> one [`Stack`]: flags over `APPFORGE_*` over `appforge.ENV.yaml` over `appforge.yaml` over defaults. Pure.
//!
//! Each value that a layer sets is a leaf with its origin. A layer is judged as a whole, by reading the tree that it leads
//! to as a [`Stack`]; a leaf that is refused is noted and taken out again, so that all wrong leaves are reported at once.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::{
    Content, Node, Origin, Problem, Reader, Refusal, deserialize, join, misspelt, nearest, parse_value,
};
use crate::stack::model::{Stack, TargetKind};
use crate::stack::validate::{validate, validate_running, variable_of};

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

/// A stack and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The stack.
    pub stack: Stack,
    origins: BTreeMap<String, Origin>,
}

impl Resolved {
    /// Where the value at `path` came from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        origin_of(&self.origins, path)
    }

    /// Every value as `(path, JSON, origin)`, secrets redacted, in the order of the file format.
    pub(crate) fn values(&self) -> Vec<(String, Value, Origin)> {
        let mut values = Vec::new();
        flatten(&tree(&self.stack), &mut Vec::new(), &mut |path, value| {
            let path = path.join(".");
            values.push((path.clone(), value.clone(), self.origin(&path)));
        });
        values
    }

    /// The same with another number of replicas as the last layer; with autoscaling, the fewest, and perhaps the most.
    ///
    /// # Errors
    /// When the file could not have these numbers either.
    pub(crate) fn scaled(
        mut self,
        replicas: u32,
        max: Option<u32>,
        origin: &Origin,
    ) -> Result<Self, Vec<Problem>> {
        let target = self.stack.target;
        self.stack = self.stack.with_replicas_on(target, replicas);
        let path = match (target, &mut self.stack.kubernetes.autoscaling) {
            (TargetKind::Kubernetes, Some(autoscaling)) => {
                if let Some(max) = max {
                    autoscaling.max = max;
                    self.origins.insert("kubernetes.autoscaling.max".to_owned(), origin.clone());
                }
                "kubernetes.autoscaling.min"
            }
            _ => "service.replicas",
        };
        self.origins.insert(path.to_owned(), origin.clone());
        let mut problems = violations(validate_running(&self.stack), &self.origins);
        // A most that was only raised to make room is not a second problem.
        problems.retain(|problem| problem.origin == *origin);
        if problems.is_empty() { Ok(self) } else { Err(problems) }
    }
}

/// Maps whose keys are the user's own: each of their values is a leaf.
const OPEN: [&[&str]; 2] = [VARIABLES, &["patches"]];
/// Where the variables of a replica are.
const VARIABLES: &[&str] = &["service", "env"];
/// `APPFORGE_*` variables that are not about the stack.
const OTHER_VARIABLES: [&str; 4] =
    ["APPFORGE_CONFIG", "APPFORGE_ENV", "APPFORGE_STATE_FOLDER", "APPFORGE_TRUST"];

/// Variables of a replica are strings; a number or a boolean is the text that was written.
const SCALAR: &str = "expected a string, a number or a boolean";

struct Leaf {
    path: Vec<String>,
    value: Node,
    origin: Origin,
}

/// Puts the layers over the defaults. All problems come back at once.
pub fn resolve(layers: &[Layer]) -> Result<Resolved, Vec<Problem>> {
    merge(layers, validate)
}

/// The same for a command that shows or stops what runs; see [`validate_running`].
pub(crate) fn resolve_running(layers: &[Layer]) -> Result<Resolved, Vec<Problem>> {
    merge(layers, validate_running)
}

fn merge(
    layers: &[Layer],
    validate: impl Fn(&Stack) -> Vec<(String, String)>,
) -> Result<Resolved, Vec<Problem>> {
    let mut merge = Merge::new();
    for layer in layers {
        let leaves = match layer {
            Layer::File { name, text } => merge.file(name, text),
            Layer::Env(variables) => merge.environment(variables),
            Layer::Flag { flag, path, value } => vec![Leaf {
                path: path.split('.').map(str::to_owned).collect(),
                value: Node::of(value.clone()),
                origin: Origin::Flag(flag.clone()),
            }],
        };
        merge.put(leaves);
    }
    let Merge { stack, origins, mut problems, .. } = merge;
    problems.extend(violations(validate(&stack), &origins));
    problems.sort();
    if problems.is_empty() { Ok(Resolved { stack, origins }) } else { Err(problems) }
}

/// What the layers so far lead to.
struct Merge {
    /// Its keys are the known ones.
    defaults: Value,
    tree: Node,
    stack: Stack,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl Merge {
    fn new() -> Self {
        let stack = Stack::default();
        let defaults = tree(&stack);
        let tree = Node::of(defaults.clone());
        Self { defaults, tree, stack, origins: BTreeMap::new(), problems: Vec::new() }
    }

    /// Puts the leaves of one layer over the tree. All that was there before is known to be right.
    fn put(&mut self, mut leaves: Vec<Leaf>) {
        let before = self.tree.clone();
        while !leaves.is_empty() {
            // There may be thousands of variables, and `set` looks through all keys for each.
            let (variables, others): (Vec<&Leaf>, Vec<&Leaf>) =
                leaves.iter().partition(|leaf| leaf.path.len() == 3 && leaf.path[..2] == *VARIABLES);
            others.into_iter().for_each(|leaf| self.set(leaf));
            let variables = variables.into_iter().filter_map(|leaf| Some((leaf.path.last()?, &leaf.value)));
            self.tree.extend(VARIABLES, variables);
            let refusal = match deserialize::<Stack>(&self.tree) {
                Ok(stack) => {
                    self.stack = stack;
                    break;
                }
                Err(refusal) => refusal,
            };
            self.tree = before.clone();
            let wrong = leaves.iter().position(|leaf| is_within(&refusal.path, &leaf.path.join(".")));
            self.problems.push(problem(leaves.remove(wrong.unwrap_or_default()), refusal));
        }
        self.origins.extend(leaves.into_iter().map(|leaf| (leaf.path.join("."), leaf.origin)));
    }

    fn set(&mut self, leaf: &Leaf) {
        // Below what an earlier layer switched off with `null`, the defaults count again.
        for length in 1..leaf.path.len() {
            let above = &leaf.path[..length];
            let default = above.iter().try_fold(&self.defaults, |node, key| node.get(key));
            let there = above.iter().try_fold(&self.tree, |node, key| node.get(key));
            if let (Some(default), true) = (default, there.is_some_and(Node::is_null)) {
                self.tree.set(above, Node::of(default.clone()));
            }
        }
        self.tree.set(&leaf.path, leaf.value.clone());
    }

    fn file(&mut self, name: &str, text: &str) -> Vec<Leaf> {
        let mut walk = Walk { reader: Reader::new(name), defaults: &self.defaults, leaves: Vec::new() };
        if let Some(root) = walk.reader.root(text, &keys(&self.defaults)) {
            walk.enter(&root, &self.defaults, &mut Vec::new());
        }
        let Walk { reader, leaves, .. } = walk;
        self.problems.extend(reader.into_problems());
        leaves
    }

    /// `APPFORGE_SERVICE_PORT` sets `service.port`; an empty variable sets nothing.
    fn environment(&mut self, variables: &[(String, String)]) -> Vec<Leaf> {
        let mut paths = BTreeMap::new();
        flatten(&self.defaults, &mut Vec::new(), &mut |path, _| {
            paths.insert(variable_of(&path.join(".")), path.to_vec());
        });
        let mut leaves = Vec::new();
        for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
            let problem =
                |path: String, message: String| Problem { origin: Origin::Env(name.clone()), path, message };
            let Some(path) = paths.get(name) else {
                self.problems
                    .extend(self.unknown(name, &paths).map(|(path, message)| problem(path, message)));
                continue;
            };
            let dotted = path.join(".");
            let leaf = |path, value| Leaf { path, value, origin: Origin::Env(name.clone()) };
            match parse_value(text) {
                Ok(Node { content: Content::Mapping(entries), .. })
                    if OPEN.iter().any(|open| path == open) =>
                {
                    for entry in entries {
                        match &entry.value.content {
                            Content::List(_) if path != VARIABLES => {
                                let path = path.iter().cloned().chain([entry.key]).collect();
                                leaves.push(leaf(path, entry.value));
                            }
                            Content::Scalar(value) if path == VARIABLES && !value.is_null() => {
                                let path = path.iter().cloned().chain([entry.key]).collect();
                                leaves.push(leaf(path, entry.value));
                            }
                            _ if path == VARIABLES => {
                                self.problems.push(problem(join(&dotted, &entry.key), SCALAR.into()));
                            }
                            _ => {
                                let message = entry.value.expected_kind("a list");
                                self.problems.push(problem(join(&dotted, &entry.key), message));
                            }
                        }
                    }
                }
                Ok(value) => leaves.push(leaf(path.clone(), value)),
                Err(fault) => self.problems.push(problem(dotted, fault.message)),
            }
        }
        leaves
    }

    /// What is wrong with a variable that sets nothing: a misspelt one would be passed over. One that is near to no known
    /// one, and below no section, is the user's own.
    fn unknown(&self, name: &str, paths: &BTreeMap<String, Vec<String>>) -> Option<(String, String)> {
        if OTHER_VARIABLES.contains(&name) {
            return None;
        }
        if let Some(key) = name.strip_prefix("APPFORGE_SERVICE_ENV_") {
            let message = format!("set them all in one variable: APPFORGE_SERVICE_ENV='{{{key}: \"…\"}}'");
            return Some((join("service.env", key), message));
        }
        let known = || paths.keys().map(String::as_str).chain(OTHER_VARIABLES);
        let sections = self.defaults.as_object().into_iter().flatten().filter(|(_, value)| value.is_object());
        let is_below = |section: &str| name.starts_with(&format!("{}_", variable_of(section)));
        let near = if sections.map(|(key, _)| key).any(|section| is_below(section)) {
            nearest(name, known())
        } else {
            Some(misspelt(name, known())?)
        };
        let message = match near {
            Some(near) => format!("unknown variable; did you mean `{near}`?"),
            None => "unknown variable; `appforge config show --origin` lists the keys".to_owned(),
        };
        Some((String::new(), message))
    }
}

/// The leaves of one file.
struct Walk<'d> {
    reader: Reader,
    defaults: &'d Value,
    leaves: Vec<Leaf>,
}

impl Walk<'_> {
    /// Descends where keys are known, so no deeper than the defaults do.
    fn enter(&mut self, node: &Node, known: &Value, path: &mut Vec<String>) {
        let entries = match (&node.content, known) {
            (Content::Mapping(entries), Value::Object(_)) => entries,
            // A section with nothing below it; only what can be switched off takes `null` as a value.
            (Content::Scalar(Value::Null), Value::Object(_)) if !self.takes_null(path) => return,
            (Content::Scalar(Value::Null), Value::Array(_)) => return self.leaf(&empty_list(node), path),
            _ => return self.leaf(node, path),
        };
        let (variables, documents) = (path == VARIABLES, *path == ["patches"]);
        for entry in entries {
            path.push(entry.key.clone());
            match (known.get(&entry.key), &entry.value.content) {
                (Some(known), _) => self.enter(&entry.value, known, path),
                (None, Content::Scalar(value)) if variables && !value.is_null() => {
                    self.leaf(&entry.value, path);
                }
                (None, Content::Scalar(Value::Null)) if documents => {
                    self.leaf(&empty_list(&entry.value), path);
                }
                (None, _) if documents => self.leaf(&entry.value, path),
                (None, _) if variables => self.reader.at(entry.value.place, &path.join("."), SCALAR),
                (None, _) => {
                    let above = &path[..path.len() - 1];
                    self.reader.unknown(entry, &above.join("."), &keys(known));
                }
            }
            path.pop();
        }
    }

    fn leaf(&mut self, node: &Node, path: &[String]) {
        let origin = self.reader.origin(node.place);
        self.leaves.push(Leaf { path: path.to_vec(), value: node.clone(), origin });
    }

    fn takes_null(&self, path: &[String]) -> bool {
        let mut tree = Node::of(self.defaults.clone());
        tree.set(path, Node::of(Value::Null));
        deserialize::<Stack>(&tree).is_ok()
    }
}

/// A refused leaf; in a file, the place of what was refused within it.
fn problem(leaf: Leaf, refusal: Refusal) -> Problem {
    let origin = match (leaf.origin, refusal.place) {
        (Origin::File { name, .. }, Some(place)) => Origin::File { name, place },
        (origin, _) => origin,
    };
    Problem { origin, path: refusal.path, message: refusal.message }
}

fn violations(found: Vec<(String, String)>, origins: &BTreeMap<String, Origin>) -> Vec<Problem> {
    let problem =
        |(path, message): (String, String)| Problem { origin: origin_of(origins, &path), path, message };
    found.into_iter().map(problem).collect()
}

/// Whether a path is at `above`, or below it.
fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn empty_list(node: &Node) -> Node {
    Node { content: Content::List(Vec::new()), ..node.clone() }
}

fn keys(known: &Value) -> Vec<&str> {
    known.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn tree(stack: &Stack) -> Value {
    serde_json::to_value(stack).unwrap_or_default()
}

fn flatten(value: &Value, path: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Value)) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                path.push(key.clone());
                flatten(value, path, visit);
                path.pop();
            }
        }
        _ => visit(path, value),
    }
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
