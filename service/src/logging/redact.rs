//! Takes the credentials out of URIs, whoever put them into a line. Pure.

/// The line with `***` for the user and password of each URI. Only the first pass looks at lines that hold none.
pub(super) fn redacted(line: &[u8]) -> Vec<u8> {
    const SCHEME: &[u8] = b"://";
    let mut clean = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.windows(SCHEME.len()).position(|window| window == SCHEME) {
        let (before, after) = rest.split_at(at + SCHEME.len());
        clean.extend_from_slice(before);
        // A password may hold any sign that a careless writer left unescaped: the last `@` of the word counts.
        let word = after.iter().position(|byte| byte.is_ascii_whitespace() || b"\"'`<>".contains(byte));
        let word = &after[..word.unwrap_or(after.len())];
        rest = after;
        if let Some(at) = word.iter().rposition(|byte| *byte == b'@') {
            clean.extend_from_slice(b"***");
            rest = &after[at..];
        }
    }
    clean.extend_from_slice(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_uri_stays() {
        for (line, clean) in [
            ("plain", "plain"),
            ("at mongodb://h:27017/appforge", "at mongodb://h:27017/appforge"),
            ("mongodb://u:p@h:1/a, redis://:p@h", "mongodb://***@h:1/a, redis://***@h"),
            (r#"{"uri":"redis://u:p/w:x@h","n":"a@b"}"#, r#"{"uri":"redis://***@h","n":"a@b"}"#),
            ("://", "://"),
            ("x://@", "x://***@"),
        ] {
            assert_eq!(String::from_utf8(redacted(line.as_bytes())).unwrap(), clean);
        }
    }
}
