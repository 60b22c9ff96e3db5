//! YAML text -> [`Node`]. Pure, without recursion, and bounded: in depth, in size, and no alias multiplies anything.
//!
//! Read at the level of parser events, since places and duplicate keys are lost in any value type.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::Value;

use crate::document::node::{Content, Entry, Node, Place};
use crate::document::scalar::{is_number, plain};
use crate::document::words::is_word;

/// Lists and mappings within each other.
const MAX_DEPTH: usize = 32;
/// In bytes.
const MAX_SIZE: usize = 4 << 20;

/// Why a text cannot be read, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// Reads one document. An empty text gives an empty mapping.
///
/// # Errors
/// At the first place that cannot be read, or the first duplicate key.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let (root, duplicates) = scan(text)?;
    duplicates.into_iter().next().map_or(Ok(root), Err)
}

/// Reads the value of an environment variable: a scalar, or a flow collection such as `[a, b]`.
pub(crate) fn parse_value(text: &str) -> Result<Node, Fault> {
    if text.starts_with(['[', '{']) { parse(text) } else { Ok(scalar(text, Place::START)) }
}

/// The document, and each key that stands twice. The first one counts, so that a reader finds all other problems too.
pub(crate) fn scan(text: &str) -> Result<(Node, Vec<Fault>), Fault> {
    if text.len() > MAX_SIZE {
        let message = format!("must be at most {} MiB, got {} bytes", MAX_SIZE >> 20, text.len());
        return Err(Fault { place: Place::START, message });
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.strict_indentation = true;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::default();
    while let Some((event, span)) = next(&mut parser)? {
        let place = place(span);
        match event {
            Event::DocumentStart(..) if builder.started => {
                return Err(fault(place, "expected one document, got a second one"));
            }
            Event::DocumentStart(..) => builder.started = true,
            Event::StreamEnd => break,
            event => builder.take(event, place)?,
        }
    }
    let root = builder.root.filter(|root| !root.is_null());
    let empty = || Node { place: Place::START, content: Content::Mapping(Vec::new()), written: None };
    Ok((root.unwrap_or_else(empty), builder.duplicates))
}

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Result<Option<(Event<'t>, Span)>, Fault> {
    parser.next_event().transpose().map_err(|error: ScanError| {
        let marker = error.marker();
        let place = Place { line: marker.line().max(1), column: marker.col() + 1 };
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => too_deep(place),
            kind => Fault { place, message: format!("invalid YAML: {kind}") },
        }
    })
}

fn place(span: Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn fault(place: Place, message: &str) -> Fault {
    Fault { place, message: message.to_owned() }
}

fn too_deep(place: Place) -> Fault {
    fault(place, &format!("must be nested at most {MAX_DEPTH} levels deep"))
}

fn scalar(text: &str, place: Place) -> Node {
    let value = plain(text);
    let written = (value.is_number() || value.is_boolean() || is_number(text)).then(|| text.to_owned());
    Node { place, content: Content::Scalar(value), written }
}

/// A list or mapping whose end is still to come.
enum Open {
    List(Place, Vec<Node>),
    Mapping(OpenMapping),
}

struct OpenMapping {
    place: Place,
    entries: Vec<Entry>,
    /// The line of each key.
    lines: HashMap<String, usize>,
    /// The key whose value is still to come; a duplicate one has a value, too.
    key: Option<(String, Place, Standing)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Standing {
    First,
    Duplicate,
}

#[derive(Default)]
struct Builder {
    started: bool,
    open: Vec<Open>,
    root: Option<Node>,
    duplicates: Vec<Fault>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        let node = match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => scalar(&text, place),
            Event::Scalar(text, ..) => {
                Node { place, content: Content::Scalar(Value::String(text.into_owned())), written: None }
            }
            Event::SequenceStart(..) => return self.begin(Open::List(place, Vec::new()), place),
            Event::MappingStart(..) => {
                let mapping = OpenMapping { place, entries: Vec::new(), lines: HashMap::new(), key: None };
                return self.begin(Open::Mapping(mapping), place);
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(place, nodes)) => {
                    Node { place, content: Content::List(nodes), written: None }
                }
                Some(Open::Mapping(mapping)) => {
                    let content = Content::Mapping(mapping.entries);
                    Node { place: mapping.place, content, written: None }
                }
                None => return Ok(()),
            },
            Event::Alias(_) => {
                return Err(fault(place, "aliases (`*name`) are not supported; write the value out"));
            }
            _ => return Ok(()),
        };
        self.put(node)
    }

    fn begin(&mut self, open: Open, place: Place) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(open);
        Ok(())
    }

    /// A finished node belongs to the innermost open one.
    fn put(&mut self, node: Node) -> Result<(), Fault> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Mapping(mapping)) => match mapping.key.take() {
                None => mapping.key = Some(mapping.name(&node, &mut self.duplicates)?),
                Some((key, place, Standing::First)) => {
                    mapping.entries.push(Entry { key, place, value: node });
                }
                Some(_) => {}
            },
        }
        Ok(())
    }
}

impl OpenMapping {
    fn name(&mut self, node: &Node, duplicates: &mut Vec<Fault>) -> Result<(String, Place, Standing), Fault> {
        let key = match (node.as_str(), &node.content) {
            (Some(text), _) => text.to_owned(),
            (None, Content::Scalar(value)) => value.to_string(),
            _ => return Err(fault(node.place, &node.expected_kind("a string as the key"))),
        };
        let standing = match self.lines.get(&key) {
            None => Standing::First,
            Some(line) => {
                let name = if is_word(&key) { format!(" `{key}`") } else { String::new() };
                let message = format!("duplicate key{name} (first defined on line {line})");
                duplicates.push(Fault { place: node.place, message });
                Standing::Duplicate
            }
        };
        self.lines.entry(key.clone()).or_insert(node.place.line);
        Ok((key, node.place, standing))
    }
}
