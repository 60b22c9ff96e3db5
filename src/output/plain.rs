//! Text that others wrote, for a terminal: what would move the cursor, change colours or set titles is taken out. Pure.

use std::borrow::Cow;

/// The text without escape sequences and control characters, but with its line ends and tabs. A carriage return within a
/// line becomes a blank.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_control) {
        clean.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        let control = chars.next();
        rest = chars.as_str();
        match control {
            Some('\u{1b}') => rest = after_escape(rest),
            Some('\u{9b}') => rest = after_parameters(rest),
            Some('\r') if !rest.starts_with('\n') => clean.push(' '),
            _ => {}
        }
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// JSON that means the same and has no control characters, of which JSON itself escapes only those below a blank.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if is_control(character) {
            clean.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

fn is_control(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

/// What follows an escape sequence (ECMA-48) whose first character is gone.
fn after_escape(text: &str) -> &str {
    let Some(kind) = text.chars().next() else { return text };
    match kind {
        '[' => after_parameters(&text[1..]),
        // A title, a link, or a command for a device: text up to a terminator. Without one, it is shown.
        ']' | 'P' | 'X' | '^' | '_' => after_string(&text[1..]).unwrap_or(&text[1..]),
        ' '..='/' => after_final(text.trim_start_matches(|c| (' '..='/').contains(&c)), '0'),
        '0'..='~' => &text[1..],
        _ => text,
    }
}

fn after_parameters(text: &str) -> &str {
    let text = text.trim_start_matches(|c| ('0'..='?').contains(&c));
    after_final(text.trim_start_matches(|c| (' '..='/').contains(&c)), '@')
}

fn after_final(text: &str, first: char) -> &str {
    text.strip_prefix(|c| (first..='~').contains(&c)).unwrap_or(text)
}

fn after_string(text: &str) -> Option<&str> {
    let line = text.split('\n').next().unwrap_or_default();
    let ends = ["\u{7}", "\u{1b}\\", "\u{9c}"];
    let (at, end) = ends.iter().filter_map(|end| Some((line.find(end)?, end))).min()?;
    text.get(at + end.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_taken_out_and_text_stays() {
        for (text, clean) in [
            ("plain, ü\t日\n", "plain, ü\t日\n"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("a\u{1b}[2J\u{1b}[1;1Hb", "ab"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}]0;no end", "0;no end"),
            ("\u{1b}]0;no end\nnext\u{7}", "0;no end\nnext"),
            ("\u{1b}cx", "x"),
            ("\u{1b}(Bx", "x"),
            ("\u{9b}31mred\u{9d}", "red"),
            ("50%\r100%\r\nnext\u{8}\u{7f}\u{0}", "50% 100%\nnext"),
            ("end\u{1b}", "end"),
            ("cut\u{1b}[31", "cut"),
            ("\u{1b}ü", "ü"),
        ] {
            assert_eq!(plain(text), clean, "{text:?}");
        }
    }

    #[test]
    fn json_keeps_its_meaning_without_control_characters() {
        let value = serde_json::json!({"name": "a\u{1b}[2J\u{9b}31m\u{7f}b\n"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let clean = json(&text);
        assert!(!clean.contains(is_control), "{clean:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}
