//! Text -> YAML that every reader takes for that text. The only owner of YAML quoting.

use std::fmt::Write;

use serde_json::Value;

/// A double-quoted YAML scalar (YAML 1.2, 5.7 and 7.3.1). It is also JSON, except for characters that JSON allows bare and
/// YAML does not, which are escaped too.
pub(super) fn yaml(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Controls, line separators, the byte order mark and non-characters are not printable in YAML.
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04x}", character as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A whole value in block style, each text quoted; `indent` is the column it starts at.
pub(super) fn block(value: &Value) -> String {
    let mut text = String::new();
    write_block(value, 0, &mut text);
    text
}

fn write_block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                text.push_str(&" ".repeat(indent));
                text.push_str(&key_text(key));
                text.push(':');
                write_value(value, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                write_value(item, indent + 2, text);
            }
        }
        scalar => {
            text.push_str(&scalar_text(scalar));
            text.push('\n');
        }
    }
}

fn write_value(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            write_block(value, indent, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            write_block(value, indent, text);
        }
        scalar => {
            text.push(' ');
            text.push_str(&scalar_text(scalar));
            text.push('\n');
        }
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => yaml(text),
        other => other.to_string(),
    }
}

/// Words that no schema takes for anything else stay bare, for readability.
fn key_text(key: &str) -> String {
    const TAKEN: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !TAKEN.contains(&key.to_ascii_lowercase().as_str());
    if plain { key.to_owned() } else { yaml(key) }
}
