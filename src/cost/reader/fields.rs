//! Mappings with known keys, and scalars: what is wrong is noted with its place, and reading goes on. Pure.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::cost::capacity::MAX_USERS;
use crate::cost::catalogue::Problem;
use crate::cost::money::Currency;
use crate::stack::layers::nearest;
use crate::stack::values::ByteSize;
use crate::stack::yaml::{Content, Node, is_word, shown};

/// Dearer units are a slip of the pen; the bound keeps every product within its type.
const MAX_PRICE: u64 = 1_000_000;
/// More units of anything are a slip of the pen.
const MAX_COUNT: u64 = MAX_USERS;

/// Collects problems while it reads.
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
}

/// A mapping whose keys are known.
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) entries: &'a [(String, Node, Node)],
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|(name, ..)| name == key);
        entry.map(|(_, _, node)| node).filter(|node| node.content != Content::Scalar(Value::Null))
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Reader {
    pub(super) fn fields<'a>(&mut self, node: &'a Node, path: String, known: &[&str]) -> Option<Fields<'a>> {
        let Content::Mapping(entries) = &node.content else {
            self.problem(node, &path, "a mapping was expected");
            return None;
        };
        let fields = Fields { node, path, entries };
        for (key, place, _) in entries {
            if !known.contains(&key.as_str()) {
                let message = match nearest(key, known.iter().copied()) {
                    Some(near) => format!("unknown key; did you mean `{near}`?"),
                    None => format!("unknown key; known here: {}", known.join(", ")),
                };
                match is_word(key) {
                    true => self.problem(place, &fields.at(key), &message),
                    false => self.problem(place, &fields.path, &format!("{}: {message}", shown(key))),
                }
            }
        }
        Some(fields)
    }

    pub(super) fn list<'a>(&mut self, fields: &Fields<'a>, key: &str) -> Vec<(&'a Node, String)> {
        let path = fields.at(key);
        match fields.get(key).map(|node| (node, &node.content)) {
            None => Vec::new(),
            Some((_, Content::List(nodes))) => {
                nodes.iter().enumerate().map(|(at, node)| (node, format!("{path}[{at}]"))).collect()
            }
            Some((node, _)) => {
                self.problem(node, &path, "a list was expected");
                Vec::new()
            }
        }
    }

    pub(super) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for (node, path) in self.list(fields, key) {
            match node.read(|value| text(&value)) {
                Ok(text) => texts.push(text),
                Err(message) => self.problem(node, &path, &message),
            }
        }
        texts
    }

    pub(super) fn required<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if fields.get(key).is_none() {
            self.problem(fields.node, &fields.at(key), "is missing");
        }
        self.optional(fields, key, read)
    }

    pub(super) fn or_base<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
        base: Option<T>,
    ) -> Option<T> {
        match base {
            Some(base) if fields.get(key).is_none() => Some(base),
            _ => self.required(fields, key, read),
        }
    }

    /// Like the base when the key is absent; an explicit `null` takes the base's value away.
    pub(super) fn or_kept<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
        base: Option<T>,
    ) -> Option<T> {
        if fields.entries.iter().any(|(name, ..)| name == key) {
            self.optional(fields, key, read)
        } else {
            base
        }
    }

    pub(super) fn optional<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let node = fields.get(key)?;
        let read = match &node.content {
            Content::Scalar(_) => node.read(|value| read(&value)),
            _ => Err("a single value was expected".to_owned()),
        };
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(node, &fields.at(key), &message);
                None
            }
        }
    }

    pub(super) fn problem(&mut self, node: &Node, path: &str, message: &str) {
        self.problems.push(Problem {
            line: node.line,
            column: node.column,
            path: path.to_owned(),
            message: message.to_owned(),
        });
    }
}

pub(super) fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("a number or a text was expected".into()),
    }
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    scalar(value).and_then(|text| if text.trim().is_empty() { Err("is empty".into()) } else { Ok(text) })
}

pub(super) fn word(value: &Value, known: &[&str]) -> Result<String, String> {
    let text = scalar(value)?;
    if known.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(match nearest(&text, known.iter().copied()) {
        Some(near) => format!("`{text}` is not known; did you mean `{near}`?"),
        None => format!("`{text}` is not known; known here: {}", known.join(", ")),
    })
}

pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false was expected".into())
}

pub(super) fn whole(value: &Value) -> Result<u64, String> {
    value.as_u64().ok_or_else(|| "a whole number from 0 up was expected".into())
}

pub(super) fn count(value: &Value) -> Result<u64, String> {
    let number = whole(value)?;
    if number > MAX_COUNT { Err(format!("{number} is more than {MAX_COUNT}")) } else { Ok(number) }
}

pub(super) fn positive(value: &Value) -> Result<u64, String> {
    count(value).and_then(|number| if number == 0 { Err("0 is too few".into()) } else { Ok(number) })
}

pub(super) fn money(value: &Value) -> Result<Decimal, String> {
    let text = scalar(value)?;
    let amount = Decimal::from_str_exact(&text).ok();
    let amount = amount.filter(|amount| !amount.is_sign_negative() && *amount <= MAX_PRICE.into());
    amount.ok_or_else(|| format!("`{text}` is no amount within 0 to {MAX_PRICE}"))
}

pub(super) fn memory(value: &Value) -> Result<ByteSize, String> {
    let size = scalar(value)?.parse::<ByteSize>()?;
    if size.0 == 0 { Err("0 is too little".into()) } else { Ok(size) }
}

pub(super) fn date(value: &Value) -> Result<Date, String> {
    let text = scalar(value)?;
    text.parse().map_err(|_| format!("`{text}` is no date such as 2026-02-01"))
}

pub(super) fn currency(value: &Value) -> Result<Currency, String> {
    let code = scalar(value)?;
    if code.len() == 3 && code.chars().all(|c| c.is_ascii_uppercase()) {
        Ok(Currency(code))
    } else {
        Err(format!("`{code}` is no currency code such as USD"))
    }
}
