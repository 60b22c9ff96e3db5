//! Text -> markup: what is written between tags or into an attribute of HTML, SVG or XML. Pure.

/// The text with its special characters escaped. Control characters, which XML forbids, are left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_leave_its_place_in_markup() {
        assert_eq!(escape("<a b=\"c\"> & \u{7}\n'd'"), "&lt;a b=&quot;c&quot;&gt; &amp;  'd'");
    }
}
