//! The text format of metrics -> samples: what Prometheus 0.0.4 and OpenMetrics have in common. A line that is not a sample is skipped.
//! Pure.

use std::borrow::Cow;

/// Most labels of a sample that are read.
const MOST_LABELS: usize = 32;

/// One value of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: f64,
}

impl Sample<'_> {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_ref())
    }
}

/// The samples of `text` whose names `is_read` accepts; the others cost no parsing.
pub(super) fn samples<'a>(
    text: &'a str,
    is_read: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Sample<'a>> + 'a {
    text.split('\n').filter_map(move |line| {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        if !is_read(name) {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        // A time or an exemplar may follow the value.
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Sample { name, labels, value })
    })
}

type Labels<'a> = (Vec<(&'a str, Cow<'a, str>)>, &'a str);

/// The labels up to `}`, and what follows it.
fn labels(mut rest: &str) -> Option<Labels<'_>> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        if labels.len() == MOST_LABELS {
            return None;
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = quoted_text(quoted)?;
        labels.push((name, value));
        rest = after;
    }
}

/// The text up to a closing quote, and what follows that.
fn quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &text[at + 1..])),
            '\\' => match characters.next()? {
                (_, 'n') => value.push('\n'),
                (_, escaped) => value.push(escaped),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<Sample<'_>> {
        samples(text, |_| true).collect()
    }

    #[test]
    fn samples_of_both_formats_are_read() {
        let text = "# HELP a Help with {braces} 1\n# TYPE a counter\na_total{x=\"1\",y=\"2\"} 3\n\
                    b 4.5 1700000000000\nc_bucket{le=\"+Inf\"} 7 # {trace=\"t\"} 0.1\nd{} NaN\n# EOF\n";
        let found = all(text);
        let shown: Vec<(&str, f64)> = found
            .iter()
            .filter(|sample| sample.name != "#")
            .map(|sample| (sample.name, sample.value))
            .collect();
        assert_eq!(shown[..3], [("a_total", 3.0), ("b", 4.5), ("c_bucket", 7.0)]);
        assert_eq!((shown[3].0, shown[3].1.is_nan()), ("d", true));
        assert_eq!(
            (found[0].label("x"), found[0].label("y"), found[0].label("z")),
            (Some("1"), Some("2"), None)
        );
    }

    #[test]
    fn escaped_label_is_read_as_it_was() {
        let found = all("a{path=\"C:\\\\x\\n\\\"q\\\" }, y\",z=\"1\"} 2");
        assert_eq!(found[0].label("path"), Some("C:\\x\n\"q\" }, y"));
        assert_eq!((found[0].label("z"), found[0].value), (Some("1"), 2.0));
    }

    #[test]
    fn malformed_line_is_skipped_and_the_next_is_read() {
        for line in ["a", "a{", "a{x", "a{x=\"1", "a{x=\"1\\", "a{x=\"1\"}", "a b", "{} 1 }", ""] {
            let text = format!("{line}\nb 1");
            assert_eq!(all(&text).last().map(|sample| sample.name), Some("b"), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z{}=\",\\\\ \n#0-9é.+]{0,200}") {
            all(&text);
        }
    }
}
