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

/// The template with the values of its `{{names}}`; an unknown name gets nothing. One pass: what a value contains is never taken for
/// a name.
pub(crate) fn fill<V: AsRef<str>>(template: &str, values: &[(&str, V)]) -> String {
    let mut filled = String::with_capacity(template.len() * 4);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            filled.push_str(value.as_ref());
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_not_taken_for_a_name() {
        let values = [("a", "{{b}}"), ("b", "2")];
        assert_eq!(fill("<{{a}}-{{b}}-{{c}}>", &values), "<{{b}}-2->");
    }

    #[test]
    fn text_cannot_leave_its_place_in_markup() {
        assert_eq!(escape("<a b=\"c\"> & \u{7}\n'd'"), "&lt;a b=&quot;c&quot;&gt; &amp;  'd'");
    }
}
