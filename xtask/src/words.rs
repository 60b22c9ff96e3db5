//! Words that STYLE.md rules out: the number in each file may only fall. `xtask/words.txt` has the numbers of today.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::run::tracked;

/// What is read: all that users and readers of the code see.
const WITHIN: [&str; 8] =
    ["src", "service/src", "crates", "templates", "docs", "README.md", "ARCHITECTURE.md", "CHANGELOG.md"];
/// The numbers of today: a line `FILE NUMBER WORD`.
const KEPT: &str = "xtask/words.txt";
/// Each word with a plain substitute; names such as `is_told` count too.
const WORDS: [(&str, &str); 24] = [
    ("anew", "again; recreated"),
    ("anybody", "name who"),
    ("are no", "are not"),
    ("believe", "trust; assume"),
    ("believed", "trusted; assumed"),
    ("believes", "trusts; assumes"),
    ("dearer", "more expensive"),
    ("do not know", "have no"),
    ("does not know", "has no; cannot identify"),
    ("for ever", "indefinitely"),
    ("go on", "continue"),
    ("goes on", "continues"),
    ("is no", "is not a; unknown"),
    ("knows", "has; can identify"),
    ("mend", "fix"),
    ("nobody", "name who"),
    ("of its own", "its own"),
    ("somebody", "name who"),
    ("stands", "is"),
    ("tell", "report; distinguish"),
    ("tells", "reports; distinguishes"),
    ("told", "reported; configured"),
    ("wanted", "expected; desired"),
    ("wants", "requires; requests"),
];

/// The lines of each word in each file.
type Found = BTreeMap<(String, &'static str), Vec<usize>>;
/// The number of each word in each file.
type Numbers = BTreeMap<(String, String), usize>;

/// What differs from the numbers of today. With `update` they are rewritten, if no word became more frequent as a whole.
pub(crate) fn check(root: &Path, update: bool) -> Result<Vec<String>> {
    let mut found = Found::new();
    for file in tracked(root, &WITHIN)? {
        // A fixture may be binary.
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        collect(&file, &text, &mut found);
    }
    let path = root.join(KEPT);
    let kept = parse(&std::fs::read_to_string(&path).with_context(|| format!("cannot read {KEPT}"))?)?;
    if !update {
        return Ok(differences(&found, &kept));
    }
    for (word, _) in WORDS {
        let now: usize = found.iter().filter(|((_, of), _)| *of == word).map(|(_, lines)| lines.len()).sum();
        let before: usize = kept.iter().filter(|((_, of), _)| of == word).map(|(_, number)| number).sum();
        if now > before {
            bail!("{now} times `{word}`, at most {before} are allowed; `cargo xtask tidy` lists them");
        }
    }
    let mut text = String::new();
    for ((file, word), lines) in &found {
        writeln!(text, "{file} {} {word}", lines.len())?;
    }
    std::fs::write(&path, text).with_context(|| format!("cannot write {KEPT}"))?;
    Ok(Vec::new())
}

fn differences(found: &Found, kept: &Numbers) -> Vec<String> {
    let mut differences = Vec::new();
    for ((file, word), lines) in found {
        let allowed = kept.get(&(file.clone(), (*word).to_owned())).copied().unwrap_or_default();
        if lines.len() > allowed {
            let plain = WORDS.iter().find(|(known, _)| known == word).map_or("", |(_, plain)| plain);
            let at: Vec<String> = lines.iter().map(usize::to_string).collect();
            differences.push(format!(
                "{file}:{}: {} times `{word}` (at most {allowed}); write: {plain}",
                at.join(","),
                lines.len()
            ));
        }
    }
    let fewer = kept.iter().any(|((file, word), number)| {
        let lines = found.iter().find(|((of, known), _)| of == file && known == word);
        lines.map_or(0, |(_, lines)| lines.len()) < *number
    });
    if fewer && differences.is_empty() {
        differences.push(format!("{KEPT}: some words became fewer; run `cargo xtask tidy --update-words`"));
    }
    differences
}

fn collect(file: &str, text: &str, found: &mut Found) {
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for phrase in line.split(|c: char| !c.is_alphanumeric() && !" _-'".contains(c)) {
            let words: Vec<&str> = phrase.split([' ', '_', '-']).filter(|word| !word.is_empty()).collect();
            for (wanted, _) in WORDS {
                let parts: Vec<&str> = wanted.split(' ').collect();
                let starts = words.windows(parts.len()).enumerate().filter(|(_, window)| *window == parts);
                // "is no longer" is plain English.
                let hits = starts.filter(|(at, _)| words.get(at + parts.len()) != Some(&"longer")).count();
                if hits > 0 {
                    let lines = found.entry((file.to_owned(), wanted)).or_default();
                    lines.extend(std::iter::repeat_n(number + 1, hits));
                }
            }
        }
    }
}

fn parse(text: &str) -> Result<Numbers> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let (file, number, word) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(((file.to_owned(), word.to_owned()), number))
    };
    text.lines().map(|text| line(text).with_context(|| format!("{KEPT}: invalid line `{text}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Found {
        let mut found = Found::new();
        collect("a.rs", text, &mut found);
        found
    }

    #[test]
    fn word_is_found_in_text_and_in_names_but_not_in_other_words() {
        let lines = found(
            "// Nobody is told.\nfn it_is_no_file() {}\nlet retold = untold;\nit is no longer here; is. No\n",
        );
        let words: Vec<_> = lines.iter().map(|((_, word), lines)| (*word, lines.as_slice())).collect();
        assert_eq!(words, [("is no", &[2][..]), ("nobody", &[1]), ("told", &[1])]);
    }

    #[test]
    fn higher_number_fails_and_lower_number_asks_for_an_update() {
        let kept = parse("a.rs 1 told\n").unwrap();
        assert_eq!(differences(&found("told\n"), &kept), Vec::<String>::new());
        let more = differences(&found("told\nnobody\ntold\n"), &kept);
        assert_eq!(
            more,
            [
                "a.rs:2: 1 times `nobody` (at most 0); write: name who",
                "a.rs:1,3: 2 times `told` (at most 1); write: reported; configured"
            ]
        );
        assert!(differences(&found("plain\n"), &kept)[0].ends_with("run `cargo xtask tidy --update-words`"));
        assert!(parse("a.rs told\n").is_err());
    }
}
