//! The type of a plain scalar: the YAML 1.2 core schema, except that what no number of ours holds exactly stays a string.
//! `yes` and `2026-11-23` are strings; so are `0755` and a number of 20 digits. Pure.

use serde_json::{Number, Value};

/// The value of a plain scalar.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['-', '+']);
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded;
    let number = numeric.then(|| number(text, digits)).flatten();
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str, digits: &str) -> Option<Number> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let signed = text.parse::<i64>().map(Number::from);
        return signed.or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
