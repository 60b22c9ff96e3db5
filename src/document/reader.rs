//! Reads a tree field by field: what is wrong is noted with its place and path, and reading continues. Pure.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::document::node::{Content, Entry, Node, Place};
use crate::document::parser::{Fault, scan};
use crate::document::problem::{Origin, Problem};
use crate::document::words::{self, known_list, nearest, out_of, refused};

/// Collects the problems of one file.
pub(crate) struct Reader {
    file: String,
    problems: Vec<Problem>,
}

/// A value and its path.
#[derive(Clone, Debug)]
pub(crate) struct Field<'n> {
    pub(crate) node: &'n Node,
    /// Such as `steps[0].path`.
    pub(crate) path: String,
}

/// A mapping.
#[derive(Debug)]
pub(crate) struct Mapping<'n> {
    pub(crate) field: Field<'n>,
    pub(crate) entries: &'n [Entry],
}

impl Reader {
    /// `file` is its name for messages.
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: Vec::new() }
    }

    /// The root of the file, a mapping with these keys.
    pub(crate) fn root(&mut self, text: &str, known: &[&str]) -> Option<Node> {
        let (root, duplicates) = match scan(text) {
            Ok(read) => read,
            Err(Fault { place, message }) => {
                self.at(place, "", message);
                return None;
            }
        };
        match &root.content {
            Content::Mapping(entries) if is_foreign(entries, known) => {
                self.at(root.place, "", format!("the file has no known key; {}", known_list("key", known)));
                return None;
            }
            Content::Mapping(_) => {}
            _ => {
                self.at(root.place, "", root.expected_kind("a mapping"));
                return None;
            }
        }
        for Fault { place, message } in duplicates {
            self.at(place, "", message);
        }
        Some(root)
    }

    /// What was read, or all problems in the order of the text.
    ///
    /// # Errors
    /// When there is a problem. Without one `read` has a value.
    pub(crate) fn finish<T>(mut self, read: Option<T>) -> Result<T, Vec<Problem>> {
        self.problems.sort();
        read.filter(|_| self.problems.is_empty()).ok_or(self.problems)
    }

    /// The problems so far.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Where a node of this file is.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        Origin::File { name: self.file.clone(), place }
    }

    /// Notes a problem.
    pub(crate) fn at(&mut self, place: Place, path: &str, message: impl Into<String>) {
        let origin = self.origin(place);
        self.problems.push(Problem { origin, path: path.to_owned(), message: message.into() });
    }

    /// Notes a problem of a value. `None` stands for the value that cannot be read.
    pub(crate) fn refuse<T>(&mut self, field: &Field<'_>, message: impl Into<String>) -> Option<T> {
        self.at(field.node.place, &field.path, message);
        None
    }

    /// Notes an unknown key.
    pub(crate) fn unknown(&mut self, entry: &Entry, path: &str, known: &[&str]) {
        self.at(entry.place, path, words::unknown("key", &entry.key, known));
    }

    /// Notes the problem, if there is one.
    pub(crate) fn take<T>(&mut self, field: &Field<'_>, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.at(field.node.place, &field.path, message)).ok()
    }

    /// A mapping; each key that is not known is a problem.
    pub(crate) fn mapping<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Option<Mapping<'n>> {
        let Content::Mapping(entries) = &field.node.content else {
            let what = format!("a mapping of `{}`", known.join("`, `"));
            return self.refuse(field, field.node.expected_kind(&what));
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.unknown(entry, &field.path, known);
        }
        Some(Mapping { field: field.clone(), entries })
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, field: &Field<'n>) -> Option<Vec<Field<'n>>> {
        let Content::List(nodes) = &field.node.content else {
            return self.refuse(field, field.node.expected_kind("a list"));
        };
        let item = |(at, node)| Field { node, path: format!("{}[{at}]", field.path) };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// The value of a key; `None` when it is absent, null, or a problem.
    pub(crate) fn optional<'n, T>(
        &mut self,
        mapping: &Mapping<'n>,
        key: &str,
        read: impl FnOnce(&Field<'n>) -> Result<T, String>,
    ) -> Option<T> {
        let field = mapping.get(key)?;
        let read = read(&field);
        self.take(&field, read)
    }

    /// The same, and absence is a problem.
    pub(crate) fn required<'n, T>(
        &mut self,
        mapping: &Mapping<'n>,
        key: &str,
        read: impl FnOnce(&Field<'n>) -> Result<T, String>,
    ) -> Option<T> {
        let field = self.present(mapping, key)?;
        let read = read(&field);
        self.take(&field, read)
    }

    /// The field of a key, whose absence is a problem.
    pub(crate) fn present<'n>(&mut self, mapping: &Mapping<'n>, key: &str) -> Option<Field<'n>> {
        let field = mapping.get(key);
        if field.is_none() {
            self.at(mapping.field.node.place, &mapping.at(key), "is missing");
        }
        field
    }

    /// The items of a list that may be absent.
    pub(crate) fn items<'n>(&mut self, mapping: &Mapping<'n>, key: &str) -> Vec<Field<'n>> {
        mapping.get(key).and_then(|field| self.list(&field)).unwrap_or_default()
    }
}

impl<'n> Mapping<'n> {
    /// The field of a key; `None` when it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<Field<'n>> {
        let entry = self.entries.iter().find(|entry| entry.key == key && !entry.value.is_null())?;
        Some(Field { node: &entry.value, path: self.at(key) })
    }

    /// Whether the key stands there, even if it is null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The path of a key.
    pub(crate) fn at(&self, key: &str) -> String {
        join(&self.field.path, key)
    }
}

impl<'n> Field<'n> {
    /// The root of a tree.
    pub(crate) fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    /// A string that is not empty, as it was written.
    pub(crate) fn text(&self) -> Result<String, String> {
        match self.node.as_str() {
            Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(self.node.expected("a string")),
        }
    }

    /// A value of a type that is written as a string.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, String> {
        let text = self.text()?;
        text.parse().map_err(|reason: T::Err| refused(&reason.to_string(), &text))
    }

    pub(crate) fn boolean(&self) -> Result<bool, String> {
        self.node.boolean()
    }

    /// An integer within bounds.
    pub(crate) fn whole(&self, bounds: RangeInclusive<u64>) -> Result<u64, String> {
        let number = self.node.integer()?;
        let fits = u64::try_from(number).ok().filter(|number| bounds.contains(number));
        fits.ok_or_else(|| out_of(bounds.start(), bounds.end(), number))
    }

    /// A number within bounds.
    pub(crate) fn number(&self, bounds: RangeInclusive<f64>) -> Result<f64, String> {
        let number = self.node.float()?;
        let out = || out_of(bounds.start(), bounds.end(), number);
        Some(number).filter(|number| bounds.contains(number)).ok_or_else(out)
    }

    /// One of these words.
    pub(crate) fn word<T: Copy>(&self, known: &[(&str, T)]) -> Result<T, String> {
        let text = self.text()?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
            words::unknown("value", &text, &known)
        })
    }
}

/// The path of a key below another path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether there are keys and none of them is known, or near to a known one: it is another kind of file.
fn is_foreign(entries: &[Entry], known: &[&str]) -> bool {
    let meant = |key: &str| {
        known.contains(&key) || words::is_word(key) && nearest(key, known.iter().copied()).is_some()
    };
    !entries.is_empty() && !entries.iter().any(|entry| meant(&entry.key))
}
