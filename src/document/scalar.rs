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
    let number = is_numeric(text).then(|| number(text, unsigned(text))).flatten();
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// Whether a plain scalar is a number, also one that no type of ours holds.
pub(crate) fn is_number(text: &str) -> bool {
    is_numeric(text) && text.parse::<f64>().is_ok()
}

/// Whether a number is the one that was written.
pub(crate) fn is_exact(written: &str, value: f64) -> bool {
    decimal(written).is_some_and(|written| Some(written) == decimal(&format!("{value:e}")))
}

/// Sign, digits and exponent of a number, without zeros at either end.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = unsigned(mantissa).split_once('.').unwrap_or((unsigned(mantissa), ""));
    let digits = format!("{whole}{part}");
    let significant = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let exponent = exponent.parse::<i64>().ok()?.checked_add(zeros - i64::try_from(part.len()).ok()?)?;
    let significant = significant.trim_start_matches('0');
    let exponent = if significant.is_empty() { 0 } else { exponent };
    Some((text.starts_with('-') && !significant.is_empty(), significant.to_owned(), exponent))
}

fn unsigned(text: &str) -> &str {
    text.trim_start_matches(['-', '+'])
}

fn is_numeric(text: &str) -> bool {
    let digits = unsigned(text);
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded
}

fn number(text: &str, digits: &str) -> Option<Number> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let signed = text.parse::<i64>().map(Number::from);
        return signed.or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
