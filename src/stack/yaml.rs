//! YAML text -> a tree whose every node knows its line and column. Pure.
//!
//! Read at the level of parser events, since positions and duplicate keys are lost in any value type. Plain scalars follow
//! the YAML 1.2 core schema: `yes` and `2026-11-23` are strings; `0755`, and a number that no type of ours holds exactly, stay
//! strings too. A node also keeps what was written, so that a reader of strings takes `1e3` for just that: see [`Node::read`].

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Region};
use serde_json::{Map, Value};

/// A value with the place it was read from (both 1-based).
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// What stands there.
    pub content: Content,
    /// The text of a plain scalar that is a number or a boolean, as it was written.
    pub written: Option<String>,
}

/// What stands at a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A scalar or null.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the text, each key with its place.
    Mapping(Vec<(String, Node, Node)>),
}

/// Why a text is no YAML that we read, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// The line, 1-based.
    pub line: usize,
    /// The column, 1-based.
    pub column: usize,
    /// The reason.
    pub message: String,
}

/// Deeper files are refused, since no stack needs them and recursion must end.
const MAX_DEPTH: usize = 32;

/// A longer key is not quoted in messages, in characters.
const LONGEST_KEY: usize = 40;
/// A longer value is not quoted in messages, in characters.
const LONGEST_VALUE: usize = 80;

/// Reads one document. An empty text gives an empty mapping.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut events = Events { parser: Parser::new_from_str(text) };
    let mut root = Node { line: 1, column: 1, content: Content::Mapping(Vec::new()), written: None };
    let mut documents = 0;
    loop {
        let (event, at) = events.next()?;
        match event {
            Event::StreamEnd => return Ok(root),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(wrong(at, "one file holds one document"));
                }
            }
            other => {
                let node = events.node(other, at, 0)?;
                if node.content != Content::Scalar(Value::Null) {
                    root = node;
                }
            }
        }
    }
}

/// Reads the value of an environment variable: a scalar, or a flow list such as `[a, b]`.
pub fn parse_value(text: &str) -> Result<Node, SyntaxError> {
    if text.starts_with(['[', '{']) { parse(text) } else { Ok(scalar(text, 1, 1)) }
}

impl Node {
    /// A value that was not read from YAML.
    pub fn of(value: Value) -> Self {
        Self { line: 1, column: 1, content: Content::Scalar(value), written: None }
    }

    /// What `read` makes of this node: of what was written, if it takes a string there, otherwise of the value. So `1e3` is
    /// the string `1e3` where a string belongs, and the number 1,000 where a number does.
    ///
    /// # Errors
    /// What `read` says about the value.
    pub fn read<T, E>(&self, read: impl Fn(Value) -> Result<T, E>) -> Result<T, E> {
        self.literal().and_then(|written| read(written).ok()).map_or_else(|| read(self.to_json()), Ok)
    }

    /// The value with each number and boolean as the string that was written, also in a list; `None` when there is none.
    pub fn literal(&self) -> Option<Value> {
        match &self.content {
            Content::List(nodes) if nodes.iter().any(|node| node.written.is_some()) => {
                Some(nodes.iter().map(|node| node.literal().unwrap_or_else(|| node.to_json())).collect())
            }
            _ => self.written.clone().map(Value::String),
        }
    }

    /// The value without its places.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                let object: Map<String, Value> =
                    entries.iter().map(|(key, _, node)| (key.clone(), node.to_json())).collect();
                Value::Object(object)
            }
        }
    }
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Region), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(SyntaxError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                message: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Region::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, at: Region, depth: usize) -> Result<Node, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(wrong(at, "nested too deeply"));
        }
        let (line, column) = (at.start.line(), at.start.col() + 1);
        let content = match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => return Ok(scalar(&text, line, column)),
            Event::Scalar(text, _, _, _) => Content::Scalar(Value::String(text.into_owned())),
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.mapping(depth)?,
            Event::Alias(_) => {
                return Err(wrong(at, "aliases (`*name`) are not supported: write the value out"));
            }
            _ => return Err(wrong(at, "a value was expected here")),
        };
        Ok(Node { line, column, content, written: None })
    }

    fn list(&mut self, depth: usize) -> Result<Content, SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(nodes)),
                (event, at) => nodes.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Content, SyntaxError> {
        let mut entries: Vec<(String, Node, Node)> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Content::Mapping(entries));
            }
            let key = self.node(event, at, depth + 1)?;
            let name = match (&key.written, &key.content) {
                (Some(text), _) | (_, Content::Scalar(Value::String(text))) => text.clone(),
                (None, Content::Scalar(value)) => value.to_string(),
                _ => return Err(wrong(at, "a key is a single word")),
            };
            if let Some((_, first, _)) = entries.iter().find(|(known, ..)| *known == name) {
                return Err(wrong(
                    at,
                    &format!("{} stands twice, first in line {}", shown(&name), first.line),
                ));
            }
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            entries.push((name, key, value));
        }
    }
}

fn scalar(text: &str, line: usize, column: usize) -> Node {
    let value = plain(text);
    let written = (value.is_number() || value.is_boolean()).then(|| text.to_owned());
    Node { line, column, content: Content::Scalar(value), written }
}

/// A key for messages. What does not look like a key is not quoted: a file that was named by mistake may be a private key
/// or a list of passwords, and a line of it such as `root:$6$...:` is a mapping.
pub fn shown(key: &str) -> String {
    if is_word(key) { format!("`{key}`") } else { "a key that is not a word".to_owned() }
}

/// Whether a key looks like one.
pub fn is_word(key: &str) -> bool {
    let letters = key.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
    letters && !key.is_empty() && key.chars().count() <= LONGEST_KEY
}

/// The message about a file of which [`is_foreign`] holds.
pub fn other_kind(known: &[&str]) -> String {
    format!("no key of this file is known; known here: {}", known.join(", "))
}

/// A value for messages; one of several lines, or a long one, is not quoted.
pub fn shown_value(value: &Value) -> String {
    if is_long(value) { "a longer text".to_owned() } else { value.to_string() }
}

/// Whether a value is a text that messages do not quote.
pub fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\n') || text.chars().count() > LONGEST_VALUE)
}

/// Whether a mapping has keys and none of them is one of `known`, or near to it: it is another kind of file.
pub fn is_foreign(root: &Node, known: &[&str]) -> bool {
    let Content::Mapping(entries) = &root.content else { return false };
    let meant = |key: &str| known.contains(&key) || nearest(key, known.iter().copied()).is_some();
    !entries.is_empty() && !entries.iter().any(|(key, ..)| meant(key))
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The core schema of YAML 1.2, except that a number stays a text when it has leading zeros or too many digits.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded;
    if numeric {
        if let Ok(number) = text.parse::<i64>() {
            return number.into();
        }
        if let Ok(number) = text.parse::<u64>() {
            return number.into();
        }
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Value::String(text.to_owned());
        }
        if let Some(number) = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

fn wrong(at: Region, message: &str) -> SyntaxError {
    SyntaxError { line: at.start.line(), column: at.start.col() + 1, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_know_where_they_stand() {
        let Content::Mapping(entries) = parse("a: 1\nb:\n  c: [x, y]\n").unwrap().content else { panic!() };
        assert_eq!((entries[1].1.line, entries[1].1.column), (2, 1));
        let Content::Mapping(inner) = &entries[1].2.content else { panic!() };
        assert_eq!((inner[0].1.line, inner[0].1.column), (3, 3));
    }

    #[test]
    fn plain_words_keep_what_the_user_wrote() {
        let text = "[yes, 0755, 2026-11-23, 1.5, 3, 'null', ~, true, 08, -4, 1_000, 18446744073709551616]";
        let want = json!([
            "yes",
            "0755",
            "2026-11-23",
            1.5,
            3,
            "null",
            null,
            true,
            "08",
            -4,
            "1_000",
            "18446744073709551616"
        ]);
        assert_eq!(parse(text).unwrap().to_json(), want);
    }

    #[test]
    fn reader_of_strings_gets_what_was_written() {
        let string = |value: Value| value.as_str().map(str::to_owned).ok_or(());
        let number = |value: Value| value.as_f64().ok_or(());
        for written in ["1e3", "+5", "1.10", "12345678901234567890", "true", "yes", "-0", "1.0"] {
            let node = parse_value(written).unwrap();
            assert_eq!(node.read(string), Ok(written.to_owned()));
        }
        assert_eq!(parse_value("1e3").unwrap().read(number), Ok(1000.0));
        assert_eq!(parse_value("~").unwrap().read(string), Err(()));
        let node = parse("1e3: {+5: [1.10, '7', ~]}").unwrap();
        let Content::Mapping(entries) = &node.content else { panic!() };
        let Content::Mapping(inner) = &entries[0].2.content else { panic!() };
        assert_eq!((entries[0].0.as_str(), inner[0].0.as_str()), ("1e3", "+5"));
        assert_eq!(inner[0].2.read(Ok::<_, ()>), Ok(json!(["1.10", "7", null])));
    }

    #[test]
    fn a_duplicate_key_names_both_lines() {
        let error = parse("port: 1\nname: x\nport: 2\n").unwrap_err();
        assert_eq!((error.line, error.column), (3, 1));
        assert_eq!(error.message, "`port` stands twice, first in line 1");
    }

    #[test]
    fn broken_yaml_has_a_place() {
        let error = parse("a: [1, 2\nb: 3\n").unwrap_err();
        assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
    }

    #[test]
    fn an_empty_file_is_an_empty_mapping() {
        assert_eq!(parse("# nothing\n").unwrap().to_json(), json!({}));
    }
}
