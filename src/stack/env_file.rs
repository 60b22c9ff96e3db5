//! A file of variables, `NAME=value` a line, as dotenv and Compose have them: comments, `export`, quotes. Nothing is expanded:
//! a `$` is a dollar. Pure.

/// The variables, in the order of the file.
///
/// # Errors
/// The first line that is not a variable, as `(line, message)`. It does not quote the line, which may hold a secret.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut variables = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').ok_or((index + 1, "expected `NAME=value`"))?;
        let name = name.trim_end();
        if !is_name(name) {
            return Err((index + 1, "expected the name of an environment variable before `=`"));
        }
        let value = value.trim_start();
        let value = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let mut quoted = value[1..].to_owned();
                // A quoted value may go over several lines.
                while end(&quoted, quote).is_none() {
                    let (_, next) = lines.next().ok_or((index + 1, "the quoted value has no end"))?;
                    quoted.push('\n');
                    quoted.push_str(next);
                }
                let at = end(&quoted, quote).unwrap_or(quoted.len());
                let rest = quoted.get(at + 1..).unwrap_or_default().trim_start();
                if !rest.is_empty() && !rest.starts_with('#') {
                    return Err((index + 1, "expected the end of the line behind the quoted value"));
                }
                if quote == '\'' { quoted[..at].to_owned() } else { unescaped(&quoted[..at]) }
            }
            _ => without_comment(value).trim_end().to_owned(),
        };
        if value.contains('\0') {
            return Err((index + 1, "must not contain a NUL character"));
        }
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where the quoted text ends.
fn end(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => plain.push(c),
            _ => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some('t') => plain.push('\t'),
                Some(other @ ('"' | '\\' | '$')) => plain.push(other),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
        }
    }
    plain
}

/// A comment begins with a `#` behind a space: `#` alone is part of many passwords.
fn without_comment(text: &str) -> &str {
    let comment = text
        .match_indices('#')
        .find(|(at, _)| text[..*at].chars().next_back().is_none_or(char::is_whitespace));
    comment.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_dotenv_has_them() {
        let text = "\u{feff}# keys\n\nA=1\nexport B = two words  # a comment\nC='a $b \\n #c' # d\nD=\"x\\ty\\\"z\\$\\q\"\r\nE=\nF=p#ss=w\nG=#\nPEM=\"one\ntwo\"\n";
        let variables = parse(text).unwrap();
        let value =
            |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("A"), Some("1"));
        assert_eq!(value("B"), Some("two words"));
        assert_eq!(value("C"), Some("a $b \\n #c"));
        assert_eq!(value("D"), Some("x\ty\"z$\\q"));
        assert_eq!((value("E"), value("F"), value("G")), (Some(""), Some("p#ss=w"), Some("")));
        assert_eq!(value("PEM"), Some("one\ntwo"));
    }

    #[test]
    fn malformed_line_is_named_and_not_shown() {
        assert_eq!(parse("A=1\nhunter2\n"), Err((2, "expected `NAME=value`")));
        assert_eq!(parse("1A=x").unwrap_err().0, 1);
        assert_eq!(parse("A='x").unwrap_err(), (1, "the quoted value has no end"));
        assert!(parse("A='x' hunter2").is_err());
    }
}
